"""The comparison as the page shows it: text in cells, the best of each column marked, references below."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from autoencoders.report.measures import MEASURES, Measure
from autoencoders.report.references import Figures, Reference

Shown = Mapping[str, tuple[str, Callable[[float], str], bool | None]]
"""Column → (heading, number as text, is less better?), as in the stage `compare`."""
KINDS = {"pca": "PCA", "autoencoder": "AE", "vae": "VAE"}
NOTHING = "–"


class Cell(NamedTuple):
    """A number as text."""

    text: str
    best: bool = False


class Heading(NamedTuple):
    """What stands above a column; `better` is "less", "more" or empty."""

    measure: Measure
    better: str


@dataclass(frozen=True)
class Row:
    """A model with its kind as `note`, or the kind of a reference with its protocol as `note`."""

    name: str
    note: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """Columns with at least one measured number, a row a model, and rows of references."""

    headings: Sequence[Heading]
    rows: Sequence[Row]
    references: Sequence[Row]
    floor: float | None = None
    """The Fréchet distance of real images."""
    incomparable: Sequence[str] = ()
    """Names of the columns whose values do not compare with each other."""

    @property
    def marks_best(self) -> bool:
        """Whether any cell is marked as the best of its column."""
        return any(cell.best for row in self.rows for cell in row.cells)


def comparison(
    measured: pd.DataFrame, shown: Shown, references: Sequence[Reference] = (), incomparable: Collection[str] = ()
) -> Table:
    """Return the table of `measured`: a row a model, columns `kind`, `latent` and those that `shown` names.

    The best of a column is marked, but not in `incomparable` ones. Of the `references`, it has those of the same kind
    and latent size as a model.
    """
    columns = [column for column in shown if column in measured and measured[column].notna().any()]
    better = {column: None if column in incomparable else shown[column][2] for column in columns}
    bests = {column: best_of(measured[column], better[column]) for column in columns}
    rows = []
    for name, values in measured.iterrows():
        cells = [_cell(float(values[column]), shown[column][1], bests[column]) for column in columns]
        rows.append(Row(str(name), KINDS[values["kind"]], [Cell(str(values["latent"])), *cells]))
    alike = set(zip(measured["kind"], measured["latent"], strict=True))
    known = [reference for reference in references if (reference.kind, reference.latent) in alike]
    return Table(
        headings=_headings(better),
        rows=rows,
        references=[_reference_row(reference, shown, columns) for reference in known],
        floor=float(measured["frechet/floor"].iloc[0]) if "frechet/floor" in measured else None,
        incomparable=[MEASURES[column].name for column in columns if column in incomparable],
    )


def reference_table(references: Sequence[Reference], shown: Shown) -> Table:
    """Return the table of `references` alone, with the columns that they have."""
    columns = [column for column in shown if any(column in reference.figures for reference in references)]
    rows = [_reference_row(reference, shown, columns) for reference in references]
    return Table(_headings({column: shown[column][2] for column in columns}), [], rows)


def _headings(less_is_better: Mapping[str, bool | None]) -> list[Heading]:
    words = {True: "less", False: "more", None: ""}
    columns = [Heading(MEASURES[column], words[better]) for column, better in less_is_better.items()]
    return [Heading(MEASURES["latent"], ""), *columns]


def best_of(values: pd.Series, less_is_better: bool | None) -> float | None:
    """Return the best of values that differ; one alone is not the best of anything, nor is any where None is better."""
    known = values.dropna()
    if less_is_better is None or known.nunique() < 2:
        return None
    return float(known.min() if less_is_better else known.max())


def _cell(value: float, written: Callable[[float], str], best: float | None) -> Cell:
    return Cell(NOTHING) if pd.isna(value) else Cell(written(value), value == best)


def _reference_row(reference: Reference, shown: Shown, columns: Sequence[str]) -> Row:
    cells = [Cell(_range(reference.figures.get(column, ()), shown[column][1])) for column in columns]
    return Row(KINDS[reference.kind], reference.protocol, [Cell(str(reference.latent)), *cells])


def _range(figures: Figures, written: Callable[[float], str]) -> str:
    """One figure with the digits of its column; the ends of a range with those that they have."""
    return written(figures[0]) if len(figures) == 1 else "–".join(map(str, figures)) or NOTHING
