"""Reading `history.csv`, the metrics of each epoch of a training."""

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from autoencoders.files.reading import damage_named, numbers, read_bytes
from autoencoders.model_folder.schema import HISTORY

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = {"seconds", "timestamp", "train/recon", "val/recon", "val/loss"}
"""Columns that every version wrote."""
MAX_BYTES = 64 * 2**20  # a hundred thousand epochs have fewer
MAX_SECONDS = 1e11  # since 1970, or of an epoch: three thousand years


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return the rows of `history.csv`; none where the file is missing, as for a model not trained in epochs.

    Raise `UserError` where the file is damaged.
    """
    path = folder / HISTORY
    if not path.exists():
        return []
    with damage_named(path, "`dvc pull` it, or train the model again.", csv.Error):
        text = read_bytes(path, MAX_BYTES).decode("utf-8")
        rows = [numbers(row) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]
        if not rows:
            raise ValueError("it has no epoch")
        for epoch, row in enumerate(rows, 1):
            if row.get("epoch") != epoch or not row.keys() >= REQUIRED:
                raise ValueError(f"epoch {epoch} is missing, or incomplete")
            if not all(map(math.isfinite, row.values())) or not 0 <= row["timestamp"] < MAX_SECONDS > row["seconds"]:
                raise ValueError(f"epoch {epoch} holds an impossible number")
    return rows


def read_history_table(folder: Path) -> "pd.DataFrame | None":
    """Return `history.csv` as a table with a row for each epoch; None where there is none."""
    import pandas as pd

    return pd.read_csv(folder / HISTORY) if read_history(folder) else None
