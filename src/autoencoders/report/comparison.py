"""The comparison as tables show it: text in cells, the best of each column marked, references below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from autoencoders.evaluation.measures import COMPARISON_COLUMNS, MEASURES, Measure
from autoencoders.params import KINDS
from autoencoders.report.references import Reference

NOTHING = "–"
OF_ONE_LIKELIHOOD = ("neg_elbo", "nll")
"""Measures that compare within one likelihood only; those of the references are Bernoulli's."""


class Cell(NamedTuple):
    """A number as text."""

    text: str
    best: bool = False
    value: float | None = None  # with all digits; None where it is not known, or a range


@dataclass(frozen=True)
class Row:
    """A model with its kind as `note`, or the kind of a reference with its protocol as `note`."""

    name: str
    note: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """Columns with at least one number, a row for each model, and rows of references."""

    columns: Sequence[Measure]
    rows: Sequence[Row]
    references: Sequence[Row]
    floor: float | None = None  # the Fréchet distance of real images
    incomparable: Sequence[str] = ()  # headings of the columns whose values do not compare with each other

    @property
    def marks_best(self) -> bool:
        """Whether any cell is marked as the best of its column."""
        return any(cell.best for row in self.rows for cell in row.cells)


def comparison(measured: pd.DataFrame, references: Sequence[Reference] = ()) -> Table:
    """Return the table of `measured`: a row for each model, columns `kind` and `likelihood`, and one for each measure.

    The best of a column is marked where it is one model (`best_of`), but not of `OF_ONE_LIKELIHOOD` where models have
    several. Of the `references`, it has those of the same kind and latent size as a model.
    """
    likelihoods = set(measured["likelihood"].dropna()) if "likelihood" in measured else set()
    incomparable = OF_ONE_LIKELIHOOD if len(likelihoods) > 1 else ()
    columns = [
        replace(MEASURES[key], better=None) if key in incomparable else MEASURES[key]
        for key in COMPARISON_COLUMNS
        if key in measured and measured[key].notna().any()
    ]
    bests = [best_of(measured[column.key], column) for column in columns]
    rows = []
    for name, values in measured.iterrows():
        cells = [_cell(values[column.key], column, best == [name]) for column, best in zip(columns, bests, strict=True)]
        rows.append(Row(str(name), KINDS[values["kind"]].label, cells))
    alike = set(zip(measured["kind"], measured["latent"], strict=True))
    known = [reference for reference in references if (reference.kind, reference.latent) in alike]
    hidden = OF_ONE_LIKELIHOOD if likelihoods and "bernoulli" not in likelihoods else ()
    return Table(
        columns=columns,
        rows=rows,
        references=[_reference_row(reference, columns, hidden) for reference in known],
        floor=float(measured["frechet/floor"].iloc[0]) if "frechet/floor" in measured else None,
        incomparable=[column.heading for column in columns if column.key in incomparable],
    )


def reference_table(references: Sequence[Reference]) -> Table:
    """Return the table of `references` alone, with the columns that they have."""
    known = {"latent"}.union(*(reference.figures for reference in references))
    columns = [MEASURES[key] for key in COMPARISON_COLUMNS if key in known]
    return Table(columns, [], [_reference_row(reference, columns) for reference in references])


def best_of(values: pd.Series, column: Measure) -> list[Any]:
    """Return the names of the best of `values` as they are printed: several where they tie.

    Return none where neither lower nor higher is better, or where one value is alone.
    """
    known = values.dropna()
    if column.better is None or len(known) < 2:
        return []
    best = column.format(known.min() if column.better == "lower" else known.max())
    return [name for name, value in known.items() if column.format(value) == best]


def _cell(value: float, column: Measure, best: bool) -> Cell:
    return Cell(NOTHING) if pd.isna(value) else Cell(column.format(value), best, float(value))


def _reference_row(reference: Reference, columns: Sequence[Measure], hidden: Sequence[str] = ()) -> Row:
    figures: Mapping[str, Sequence[float]] = {"latent": (reference.latent,), **reference.figures}
    cells = [_range(() if column.key in hidden else figures.get(column.key, ()), column) for column in columns]
    return Row(KINDS[reference.kind].label, reference.protocol, cells)


def _range(figures: Sequence[float], column: Measure) -> Cell:
    """One figure with the digits of its column; the ends of a range with those that they have."""
    if len(figures) == 1:
        return Cell(column.format(figures[0]), value=figures[0])
    return Cell("–".join(map(str, figures)) or NOTHING)
