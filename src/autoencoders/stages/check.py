"""Check that a run can begin."""

import os
from pathlib import Path

from autoencoders.data.catalog import FOLDER
from autoencoders.data.folder import scan
from autoencoders.errors import UserError
from autoencoders.params import Params
from autoencoders.tracking import name_launched, require_store


def check(params: Params) -> None:
    """Check params.yaml, the folder of the user's own images, and MLflow, before DVC reads them.

    If a model is missing in params.yaml, DVC would report an error in its templates. If the folder holds a pipe, DVC
    would wait forever. Raise `UserError` if something is wrong.
    """
    folder = Path(params.data.folder)
    if params.data.name == FOLDER:
        scan(folder)
    for place, _, files in os.walk(folder):
        for name in files:
            if not (Path(place) / name).is_file():
                raise UserError(f"{Path(place) / name} is a link to nothing, a pipe or a socket. Remove it.")
    require_store(params.tracking.experiment)
    name_launched("pipeline")  # `mlflow run .` checks first
    print(f"params.yaml is in order: {params.data.name}; models {', '.join(params.models)}")
