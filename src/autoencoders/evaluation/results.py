"""Reading what the stage `evaluate` wrote for a model; damaged files raise `UserError`."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autoencoders.files.reading import damage_named, open_file, read_bytes, read_json

if TYPE_CHECKING:
    import pandas as pd

ALWAYS_MEASURED = ("mse", "frechet/prior", "frechet/floor")  # what is measured of every model
MAX_NUMBER = 3e38  # about the largest float32: what is larger was not computed here
MAX_TABLE_BYTES = 64 * 2**20
CURE = "Run the `evaluate` stage."


def read_metrics(folder: Path, needed: Sequence[str] = ("mse",)) -> dict[str, float]:
    """Return what the evaluation of a model measured; raise `UserError` where it, or what is `needed`, is missing."""
    path = folder / "metrics.json"
    with damage_named(path, CURE):
        metrics = read_json(path)
        if not isinstance(metrics, dict):
            raise ValueError("it holds no metrics by name")
        for name, value in metrics.items():
            if not isinstance(value, float | int) or isinstance(value, bool) or abs(value) > MAX_NUMBER:
                raise ValueError(f"{name}: {value!r} is not finite, or no number")
        for name in needed:
            if math.isnan(metrics.get(name, math.nan)):
                raise ValueError(f"{name}: missing")
    return metrics


def read_codes(folder: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the codes of the test images, (N, latent) as `shape` says; raise `UserError` where they are others."""
    return _read_array(folder / "codes" / "test.npy", shape)


def read_errors(folder: Path, images: int) -> NDArray[np.float32]:
    """Return the squared error of each of so many test images, (N,); raise `UserError` where it holds others."""
    return _read_array(folder / "codes" / "errors.npy", (images,))


def _read_array(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    with damage_named(path, CURE, Exception):  # numpy's reading of a damaged header may raise anything
        with open_file(path):  # refuses a pipe
            stored = np.lib.format.open_memmap(path, mode="r")  # nothing in memory yet
        if stored.dtype != np.float32 or stored.shape != shape:
            raise ValueError(f"it holds {stored.dtype} {stored.shape}, expected float32 {shape}")
        values = np.array(stored)
        if not np.isfinite(values).all():
            raise ValueError("it holds NaN or infinity")
    return values


def read_dimensions(folder: Path, latent: int, columns: Sequence[str]) -> "pd.DataFrame":
    """Return what was measured of each latent dimension, `columns` at least; raise `UserError` for a damaged file."""
    import pandas as pd

    path = folder / "codes" / "dimensions.csv"
    with damage_named(path, CURE):
        table = pd.read_csv(io.BytesIO(read_bytes(path, MAX_TABLE_BYTES)))
        check_numbers(table, ["dimension", *columns])
        if table["dimension"].tolist() != list(range(1, latent + 1)) or table[list(columns)].isna().any(axis=None):
            raise ValueError(f"it should hold the dimensions 1 to {latent}")
    return table


def check_numbers(table: "pd.DataFrame", columns: Sequence[str]) -> None:
    """Raise `ValueError` where one of the columns is missing, or holds anything but finite numbers and empty cells."""
    for column in columns:
        if column not in table or table[column].dtype.kind not in "iuf":
            raise ValueError(f"{column}: no column of numbers")
        if (table[column].abs() > MAX_NUMBER).any():
            raise ValueError(f"{column}: {table[column].abs().max()} is too large")
