"""Check that a run can begin, and say what it will train and about how long it will take."""

import os
from pathlib import Path

from autoencoders.data.catalog import FOLDER
from autoencoders.data.folder import scan
from autoencoders.errors import UserError
from autoencoders.files.results import atomic_file, replaceable_file
from autoencoders.params import Params
from autoencoders.tracking import name_launched, require_store

IN_ORDER = "params.yaml is in order\n"


def check(params: Params, *, out: Path | None = None) -> None:
    """Check params.yaml, the folder of the user's own images, and MLflow, before a stage begins.

    Called before DVC, it also says what will be trained, and about how long a whole run takes. (If a model is missing
    in params.yaml, DVC would report an error in its templates. If the folder holds a pipe, DVC would wait forever.) As
    DVC's first stage it writes `out`, the same line for all parameters: DVC removes a stage's earlier results before
    it runs the stage, so a value that the stage refuses would cost them.
    Raise `UserError` if something is wrong.
    """
    if out:
        replaceable_file(out, IN_ORDER.encode())
    folder, images = Path(params.data.folder), []
    if params.data.name == FOLDER:
        images = scan(folder).images
    for place, _, files in os.walk(folder):
        for name in files:
            if not (Path(place) / name).is_file():
                raise UserError(f"{Path(place) / name} is a link to nothing, a pipe or a socket. Remove it.")
    # torch takes seconds to import, mistakes are found before
    from autoencoders.stages.duration import build_models, describe_run, expected_shape

    shape = expected_shape(params.data, images)
    if out:  # nobody reads the estimate
        build_models(params, shape)
        lines = []
    else:
        lines = describe_run(params, shape)
    require_store(params.tracking.experiment)
    if not out:  # as `mlflow run .` does first, and `-e check` does not
        name_launched("pipeline")
    print("\n".join([f"params.yaml is in order: {params.data.name}; models {', '.join(params.models)}", *lines]))
    if out:
        with atomic_file(out) as draft:
            draft.write_text(IN_ORDER, encoding="utf-8")
