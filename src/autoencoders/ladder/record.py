"""The result of a rung: a folder with its numbers, and the arrays of its figure.

rung.json     name, parameters, metrics, facts of the story, data set, hardware, duration and end (in seconds), tags
series.csv    one row for each measurement; with a column `step` or `epoch`, curves: one for each value of `target`,
              `weights` or `images`
arrays.npz    images and curves for the figure

A rung that has nothing to measure has `rung.json` alone, without metrics.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autoencoders.errors import UserError
from autoencoders.files.reading import DAMAGE, Side, damage_named, read_checked, read_json, read_npz
from autoencoders.files.results import replaceable, result_folder, write_csv
from autoencoders.model_folder.schema import Dataset, FileSection, Name, Tags, Text, Value

if TYPE_CHECKING:
    from autoencoders.data.prepared import DatasetInfo

RUNGS = ("one-image", "one-hot", "auto-decoder", "linear", "generation", "beta")
"""In the order of the story. A rung's section of params.yaml and its folder here have `_` in place of `-`."""
FORMAT = 3
CONTENTS = ("rung.json", "series.csv", "arrays.npz", "figure.png")  # the last until format 2
Arrays = Mapping[str, NDArray[Any]]
Series = Sequence[Mapping[str, Any]]  # the rows of series.csv


@dataclass(frozen=True)
class Result:
    """What a rung measured."""

    summary: str
    """What the stage prints, one line."""
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """What the story and the figure need beside metrics and parameters, as JSON can hold it."""
    series: Series = ()
    arrays: Arrays = field(default_factory=dict)


Seconds = Annotated[float, Field(ge=0, lt=1e11)]  # since 1970, or how long something took


class RungDescription(FileSection):
    """What `rung.json` holds."""

    format: Literal[3]  # FORMAT
    name: Name
    params: dict[Name, Any]
    metrics: dict[Name, Value]
    facts: dict[Name, Any]
    dataset: Dataset
    shape: Annotated[list[Side], Field(min_length=3, max_length=3)]
    hardware: Text
    seconds: Seconds
    ended: Seconds
    tags: Tags


def save_rung(
    folder: Path,
    name: str,
    result: Result,
    *,
    data: "DatasetInfo",
    hardware: str,
    seconds: float,
    tags: Mapping[str, str],
) -> None:
    """Write what the rung `name` measured to `folder`, in place of what was there, whole or not at all.

    `tags`: where it ran, for its run in MLflow.
    """
    record = {
        "format": FORMAT,
        "name": name,
        "params": result.params,
        "metrics": result.metrics,
        "facts": result.facts,
        "dataset": {"name": data.name, "content_hash": data.content_hash},
        "shape": data.shape,
        "hardware": hardware,
        "seconds": round(seconds, 2),
        "ended": round(time.time(), 3),
        "tags": {"rung": name, "data_hash": data.content_hash, "hardware": hardware, **tags},
    }
    with result_folder(folder, CONTENTS) as draft:
        if result.series:
            write_csv(draft / "series.csv", result.series)
        if result.arrays:
            np.savez(draft / "arrays.npz", **result.arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
        text = json.dumps(record, indent=2, ensure_ascii=False)
        (draft / "rung.json").write_text(f"{text}\n", encoding="utf-8")


def check_folder(folder: Path, name: str) -> None:
    """Raise `UserError` where `folder` holds anything but an earlier result of the rung `name`."""
    replaceable(folder, CONTENTS)
    with suppress(*DAMAGE):  # no result, or an unreadable one
        earlier = read_json(folder / "rung.json")
        if isinstance(earlier, dict) and earlier.get("name", name) != name:
            raise UserError(f"{folder} holds the rung {earlier['name']}. Name another folder with --out.")


def read_rung(folder: Path) -> dict[str, Any]:
    """Return what `rung.json` holds; raise `UserError` where the folder holds no rung, or a damaged one."""
    path = folder / "rung.json"
    with damage_named(path, _cure(path)):
        return read_checked(path, RungDescription)


def read_arrays(folder: Path) -> dict[str, NDArray[Any]]:
    """Return what `arrays.npz` holds; raise `UserError` where it is missing or damaged."""
    path = folder / "arrays.npz"
    with damage_named(path, _cure(path), Exception):
        return read_npz(path)


def figure_file(figures: Path, name: str) -> Path:
    """Return where the stage `plots` draws the rung `name`, `figures` being the folder of all figures."""
    return figures / "ladder" / f"{name}.png"


def damaged(path: Path, why: str) -> UserError:
    """Return the error for a file of a rung that cannot be used."""
    return UserError(f"{path} is missing or damaged ({why}). {_cure(path)}")


def _cure(path: Path) -> str:
    return f"Run `dvc repro` or `autoencoders ladder {path.parent.name}`."
