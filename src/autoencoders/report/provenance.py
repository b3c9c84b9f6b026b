"""The duration, hardware and commit of each training and rung, and the main results in a few sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from autoencoders.data.prepared import DatasetInfo
from autoencoders.text import format_number, join_words


@dataclass(frozen=True)
class RunDuration:
    """Something that took time: a training, or a rung of the ladder."""

    name: str
    seconds: float | None
    hardware: str
    commit: str  # empty where unknown
    dirty: bool  # whether tracked files differed from the commit


def run_duration(name: str, seconds: float | None, hardware: str, tags: Mapping[str, Any]) -> RunDuration:
    """Return a duration with the commit that its `tags` name (see `tracking.run_context`)."""
    known = seconds is not None and not pd.isna(seconds)
    return RunDuration(
        name, seconds if known else None, hardware, tags.get("git_commit", ""), tags.get("git_dirty") == "true"
    )


def leading_sentences(dataset: DatasetInfo, measured: pd.DataFrame) -> list[str]:
    """Return the main results, from the columns `mse` and `frechet/…` of a table with a row for each model."""
    several = len(measured) > 1
    models = f"{len(measured)} models" if several else "A model"
    start = (
        f"{models} learned from {dataset.counts['train']:,} images to store an image in few numbers and to redraw it, "
        f"and {'were' if several else 'was'} measured on {dataset.counts['test']:,} others."
    )
    standing = measured.get("mse_over_pca", pd.Series(dtype=float)).dropna()
    if len(standing):
        shares = [f"{name} {value:.2f}" for name, value in standing.items()]
        start += f" Their squared error, divided by PCA's with as many numbers: {join_words(shares)}."
    if not several or measured[["mse", "frechet/prior"]].isna().any(axis=None):
        return [start]
    exact, inventive = str(measured["mse"].idxmin()), str(measured["frechet/prior"].idxmin())
    distance, floor = measured["frechet/prior"][inventive], measured["frechet/floor"].iloc[0]
    return [
        start,
        f"Most exact is {exact}, with a mean squared error of {measured['mse'][exact]:.5f} per pixel. Most realistic "
        f"are the images that {inventive} decodes from N(0, I): their Fréchet distance to real images is "
        f"{format_number(distance)}. Other real images have {format_number(floor)}.",
    ]
