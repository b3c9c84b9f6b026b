"""What a rung leaves behind: a folder with its numbers, its picture and what they say.

rung.json     title, claim, story, parameters, data set, metrics, hardware, duration and end (in seconds), tags
figure.png    its picture (where there is something to measure)
series.csv    what the picture draws, one row a measurement (likewise); where it has a column `step` or `epoch`, curves
              of what `GROUPS` tell apart
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from autoencoders.errors import UserError
from autoencoders.files.reading import DAMAGE, check, read_json, reason
from autoencoders.files.results import replaceable, result_folder, write_csv
from autoencoders.model_folder.schema import Dataset, Name, Part, Side, Tags, Text, Value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from autoencoders.data.prepared import DatasetInfo

RUNGS = ("one-image", "one-hot", "auto-decoder", "linear", "generation", "beta")
"""In the order of the story; the names of the stages and of their folders."""
GROUPS = ("target", "weights", "images")
"""Columns of series.csv that say whose curve a row belongs to."""
FORMAT = 2
CONTENTS = ("rung.json", "figure.png", "series.csv")
Series = Sequence[Mapping[str, Any]]
"""The rows of series.csv."""


Seconds = Annotated[float, Field(ge=0, lt=1e11)]
"""Since 1970, or how long something took."""
Story = Annotated[str, Field(max_length=100_000)]


class RungDescription(Part):
    """What `rung.json` of a rung of the ladder holds."""

    name: Name
    title: Text
    claim: Story
    story: list[Story]
    alt: Story
    params: dict[Name, Any]
    metrics: dict[Name, Value]
    dataset: Dataset
    shape: Annotated[list[Side], Field(min_length=3, max_length=3)]
    hardware: Text
    seconds: Seconds
    ended: Seconds
    tags: Tags


@dataclass(frozen=True)
class Rung:
    """A rung's result. Texts are plain; the story's paragraphs hold the numbers that were measured."""

    name: str
    """One of `RUNGS`."""
    title: str
    claim: str
    """What is put to the test, one sentence."""
    story: Sequence[str]
    """What was done and what came out, one string a paragraph."""
    alt: str
    """What the figure shows, for those who cannot see it."""
    params: dict[str, Any]
    metrics: dict[str, float]


def save_rung(
    folder: Path,
    rung: Rung,
    *,
    data: "DatasetInfo",
    hardware: str,
    seconds: float,
    series: Series | None = None,
    figure: "Figure | None" = None,
) -> None:
    """Write `rung` and what it was measured on to `folder`, in place of what was there, whole or not at all.

    A rung that has nothing to measure, as its story then says, has neither series nor figure.
    """
    from autoencoders.tracking import run_context

    described = {
        "format": FORMAT,
        **asdict(rung),
        "dataset": {"name": data.name, "content_hash": data.content_hash},
        "shape": data.shape,
        "hardware": hardware,
        "seconds": round(seconds, 2),
        "ended": round(time.time(), 3),
        "tags": {"rung": rung.name, "data_hash": data.content_hash, "hardware": hardware, **run_context()},
    }
    with result_folder(folder, CONTENTS) as draft:
        if figure is not None:
            from autoencoders.plots.style import save

            save(figure, draft / "figure.png")
        if series is not None:
            write_csv(draft / "series.csv", series)
        text = json.dumps(described, indent=2, ensure_ascii=False)
        (draft / "rung.json").write_text(f"{text}\n", encoding="utf-8")


def check_place(folder: Path, name: str) -> None:
    """Raise `UserError` where writing the rung `name` to `folder` would cost anything but an earlier one of itself."""
    replaceable(folder, CONTENTS)
    there = None
    with suppress(*DAMAGE):  # none, or one that nobody can read
        there = read_json(folder / "rung.json")
    there = there.get("name", name) if isinstance(there, dict) else name
    if there != name:
        raise UserError(f"{folder} holds the rung {there}. Name another folder with --out.")


def read_rung(folder: Path) -> dict[str, Any]:
    """Return what `rung.json` says; raises `UserError` where the folder holds no rung, or a damaged one."""
    path = folder / "rung.json"
    try:
        described = read_json(path)
        if isinstance(described, dict) and described.get("format") == FORMAT:
            check(RungDescription, described)
            return described
    except DAMAGE as error:
        raise UserError(f"{path} is missing or damaged ({reason(error)}). Run the stage `{folder.name}`.") from error
    raise UserError(f"{path} is not of format {FORMAT}. Run the stage `{folder.name}` with this version.")
