"""The duration, hardware and commit of each training and rung, and the main results in a few sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from autoencoders.data.prepared import DatasetInfo
from autoencoders.evaluation.measures import MEASURES
from autoencoders.report.comparison import best_of
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


def leading_sentences(dataset: DatasetInfo, measured: pd.DataFrame, still_pca: str | None = None) -> list[str]:
    """Return the main results, from the columns `mse` and `frechet/…` of a table with a row for each model.

    `still_pca` is the line on models that are PCA as they began, if there are any (see `measures.still_pca`).
    """
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
    notes = [still_pca] if still_pca else []
    if not several or measured[["mse", "frechet/prior"]].isna().any(axis=None):
        return [start, *notes]
    exact, inventive = (best_of(measured[key], MEASURES[key]) for key in ("mse", "frechet/prior"))
    error, distance = (measured[key].min() for key in ("mse", "frechet/prior"))
    return [
        start,
        f"Most exact {'is' if len(exact) == 1 else 'are'} {join_words(exact)}, with a mean squared error of "
        f"{error:.5f} per pixel. Most realistic are the images that {join_words(inventive)} "
        f"decode{'s' if len(inventive) == 1 else ''} from N(0, I): their Fréchet distance to real images is "
        f"{format_number(distance)}. Other real images have {format_number(measured['frechet/floor'].iloc[0])}.",
        *notes,
    ]
