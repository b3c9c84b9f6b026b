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
    folder = Path(params.data.folder)
    if params.data.name == FOLDER:
        scan(folder)
    for place, _, files in os.walk(folder):
        for name in files:
            if not (Path(place) / name).is_file():
                raise UserError(f"{Path(place) / name} is a link to nothing, a pipe or a socket. Remove it.")
    from autoencoders.stages.duration import describe_run  # torch takes seconds to import, mistakes are found before

    lines = describe_run(params)
    require_store(params.tracking.experiment)
    name_launched("pipeline")  # `mlflow run .` checks first
    print(f"params.yaml is in order: {params.data.name}; models {', '.join(params.models)}")
    if out:
        with atomic_file(out) as draft:
            draft.write_text(IN_ORDER, encoding="utf-8")
    else:
        print("\n".join(lines))
