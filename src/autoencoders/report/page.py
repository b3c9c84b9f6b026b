"""The page: all parts of the report in one HTML file that loads nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from autoencoders.data.prepared import DatasetInfo
from autoencoders.errors import without_password
from autoencoders.params import Params
from autoencoders.plots.latent_plane import N_HUES
from autoencoders.plots.style import PALETTE
from autoencoders.report.comparison import NOTHING, Table
from autoencoders.report.examples import Examples, Strip
from autoencoders.report.explore import Explorable
from autoencoders.report.pictures import Picture
from autoencoders.report.provenance import RunDuration
from autoencoders.report.references import PROTOCOLS
from autoencoders.text import format_bytes, format_decimal, format_number, typeset

if TYPE_CHECKING:
    from autoencoders.ladder.stories import Story

EXAMPLE = """\
models:
  vae-2d:
    kind: vae
    arch: mlp
    hidden: [256]
    decoder_hidden: [256, 256]
    latent: 2
"""
"""What the page shows where there is no model of two latent dimensions."""


@dataclass(frozen=True)
class RungSection:
    """A rung of the ladder, its numbers as text."""

    name: str
    story: "Story"
    columns: Sequence[str]
    """What was measured."""
    rows: Mapping[str, Sequence[str]]
    """The numbers of what they were measured of; an empty name for the rung as a whole."""
    params: Mapping[str, str]
    picture: Picture | None


@dataclass(frozen=True)
class Usage:
    """The model in the Python example at the end of the page."""

    source: str  # a folder, or an MLflow URI
    shape: Sequence[int]  # channels, height, width
    samples: bool  # whether it draws new images


@dataclass(frozen=True)
class Page:
    """What the page shows, from top to bottom."""

    dataset: DatasetInfo
    made: datetime  # in UTC
    origin: Mapping[str, str]  # the tags of `tracking.run_context`; the page stores them for `publish`
    lead: Sequence[str]
    table: Table
    runs: Mapping[str, str]  # address of each model's run in MLflow
    references: Table  # all that are known for the data set
    reconstructions: Sequence[Strip]
    draws: Sequence[Strip]
    examples: Examples
    explorable: Explorable
    legend: Sequence[Mapping[str, Any]]
    rungs: Sequence[RungSection]
    figures: Sequence[Picture]
    figures_by_model: Mapping[str, Sequence[Picture]]
    mlflow: str | None  # address of the server that shows the runs; None where it is `mlflow ui`
    usage: Usage
    hardware: Sequence[str]
    versions: Mapping[str, str]  # of the software
    card: Picture
    durations: Sequence[tuple[str, Sequence[RunDuration]]]  # groups of parts with their titles
    parameters: str


def render(page: Page) -> str:
    """Return the page as HTML; every text in it is escaped."""
    environment = Environment(
        loader=PackageLoader("autoencoders.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    used = {row.note for row in page.references.references}
    environment.filters |= {"number": format_number, "bytes": format_bytes, "typeset": typeset}
    return environment.get_template("template.html").render(
        {field.name: getattr(page, field.name) for field in fields(page)},
        css=_source("report.css"),
        scripts=[_source(f"{name}.js") for name in ("page", "decoder", "plane", "sliders")],
        explorable_data={**page.explorable.data(), "palette": PALETTE[:N_HUES]},
        protocols={name: text for name, text in PROTOCOLS.items() if name in used},
        example=EXAMPLE,
    )


def rung_section(record: Mapping[str, Any], story: "Story", picture: Picture | None) -> RungSection:
    """Return a rung, as `read_rung` returns it, for the page: metrics `of/what` as a table with a row for each `of`."""
    metrics = {key.rpartition("/")[::2]: _as_text(value) for key, value in record["metrics"].items()}
    columns = list(dict.fromkeys(what for _, what in metrics))
    rows = {of: [metrics.get((of, what), NOTHING) for what in columns] for of, _ in metrics}
    return RungSection(
        name=record["name"],
        story=story,
        columns=columns,
        rows={of: cells for of, cells in rows.items() if not _is_repeated(cells, rows.values())},
        params={key: str(value) for key, value in record["params"].items()},
        picture=picture,
    )


def _is_repeated(cells: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Return whether another row has all of these cells, and more."""
    known = [place for place, cell in enumerate(cells) if cell != NOTHING]
    return any(row != cells and all(row[place] == cells[place] for place in known) for row in rows)


def parameters_as_yaml(params: Params) -> str:
    """Return all parameters but those of tracking, as params.yaml has them, without the passwords of addresses."""
    values = params.model_dump(mode="json", exclude={"tracking"})
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=64)
    return without_password(text)


def _as_text(value: float) -> str:
    if float(value).is_integer():
        return f"{value:,.0f}"
    return format_decimal(value) if abs(value) < 1e-4 else format_number(value)


def _source(name: str) -> Markup:
    return Markup((files("autoencoders.report") / name).read_text(encoding="utf-8"))
