"""Reading `history.csv`, the metrics of each validation of a training, and of the steps before it."""

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from autoencoders.files.reading import damage_named, numbers, read_bytes
from autoencoders.model_folder.schema import HISTORY, no_model

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = {"step", "epoch", "seconds", "timestamp", "val/recon", "val/loss"}
"""Columns that every row has. Those of `train/*` are empty at step 0."""
MAX_BYTES = 64 * 2**20  # a hundred thousand validations have fewer
MAX_SECONDS = 1e11  # since 1970, or from one validation to the next: three thousand years


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return the rows of `history.csv`; none where a model has none, as one that is not trained in steps.

    Raise `UserError` where the file is damaged, or there is no model.
    """
    path = folder / HISTORY
    if not path.exists():
        if not (folder / "model.json").exists():
            raise no_model(folder)
        return []
    with damage_named(path, "`dvc pull` it, or train the model again.", csv.Error):
        text = read_bytes(path, MAX_BYTES).decode("utf-8")
        rows = [numbers(row) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]
        if not rows:
            raise ValueError("it has no step")
        before = -1.0
        for number, row in enumerate(rows, 1):
            if not row.keys() >= (REQUIRED | {"train/recon"} if number > 1 else REQUIRED):
                raise ValueError(f"row {number} is incomplete")
            if not all(map(math.isfinite, row.values())) or not 0 <= row["timestamp"] < MAX_SECONDS > row["seconds"]:
                raise ValueError(f"row {number} holds an impossible number")
            if not row["step"].is_integer() or row["step"] <= before or (number == 1 and row["step"]):
                raise ValueError(f"row {number} is of another step: they begin with 0, and rise")
            before = row["step"]
    return rows


def read_history_table(folder: Path) -> "pd.DataFrame | None":
    """Return `history.csv` as a table with a row for each validation; None where there is none."""
    import pandas as pd

    return pd.read_csv(folder / HISTORY) if read_history(folder) else None
