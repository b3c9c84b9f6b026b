"""See that a run can begin."""

import os
from pathlib import Path

from autoencoders.data.catalog import FOLDER
from autoencoders.data.folder import scan
from autoencoders.errors import UserError
from autoencoders.params import Params
from autoencoders.tracking import require_store


def check(params: Params) -> None:
    """See that params.yaml is in order, with it the folder of your own images, and MLflow; `make run` begins with it.

    DVC reads both before any stage does: it speaks of its templates where a model is missing, and waits for ever where
    the folder holds a pipe. Raises `UserError` where something is wrong.
    """
    folder = Path(params.data.folder)
    if params.data.name == FOLDER:
        scan(folder)
    for place, _, files in os.walk(folder):
        for name in files:
            if not (Path(place) / name).is_file():
                raise UserError(f"{Path(place) / name} is a link to nothing, a pipe or a socket. Remove it.")
    require_store(params.tracking.experiment)
    print(f"params.yaml is in order: {params.data.name}; models {', '.join(params.models)}")
