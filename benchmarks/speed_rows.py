"""Measured values as rows of a CSV file, and what tables say of them: medians, spreads, ratios, exponents."""

import csv
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from math import log
from pathlib import Path
from typing import NamedTuple

from autoencoders.errors import UserError

REPEATABLE = 0.10
"""Runs further than this share from their median are no repetition of each other, and a table says so."""


class Row(NamedTuple):
    """One measured value, and what it was measured with."""

    part: str
    subject: str
    metric: str
    round: int
    value: float
    precision: str
    threads: int
    cores: int
    processor: str
    torch: str


class Summary(NamedTuple):
    """Several runs of one measurement."""

    median: float
    spread: float
    """The furthest run's distance from the median, as a share of the median."""
    runs: int

    @property
    def repeatable(self) -> bool:
        """Whether every run lies within 10 % of the median."""
        return self.spread <= REPEATABLE

    def shown(self, digits: int = 3) -> str:
        """Return the median and its spread, such as `33,000 ± 4 %`; `(!)` marks what cannot be repeated."""
        mark = "" if self.repeatable else " (!)"
        spread = "" if self.runs < 2 else f" ± {100 * self.spread:.0f} %"
        return f"{number(self.median, digits)}{spread}{mark}"


def number(value: float, digits: int = 3) -> str:
    """Return `value` to so many significant digits, thousands separated."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - int(f"{value:e}".split("e")[1]))
    return f"{round(value, digits - 1 - int(f'{value:e}'.split('e')[1])):,.{decimals}f}"


def summary(values: Sequence[float]) -> Summary:
    """Return the median of `values` and how far the furthest is from it."""
    median = statistics.median(values)
    return Summary(median, max(abs(value - median) for value in values) / median, len(values))


def summaries(rows: Iterable[Row], part: str) -> dict[tuple[str, str], Summary]:
    """Return the summary of every (subject, metric) of a part, in the order in which they were measured."""
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.part == part:
            values.setdefault((row.subject, row.metric), []).append(row.value)
    return {key: summary(of) for key, of in values.items()}


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return p of the law cost ∝ size^p that fits best: the slope of the logarithms' least-squares line."""
    return statistics.linear_regression([log(size) for size in sizes], [log(cost) for cost in costs]).slope


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column to the left, the others to the right."""
    cells = [list(header), *(list(line) for line in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        f"| {' | '.join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in pairs)} |"
        for line in (cells[0], rule, *cells[1:])
        if (pairs := list(enumerate(zip(line, widths, strict=True))))
    )


def read(path: Path) -> list[Row]:
    """Return the rows of a CSV file of this benchmark, none where there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != Row._fields:
            raise UserError(f"{path} is no table of this benchmark. Move it away, or name another with --out.")
        return [_row(line) for line in reader]


def _row(line: Mapping[str, str]) -> Row:
    of = {**line, "round": int(line["round"]), "value": float(line["value"])}
    return Row(**of | {"threads": int(line["threads"]), "cores": int(line["cores"])})  # type: ignore[arg-type]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replace the CSV file as a whole; values to six digits."""
    write_csv(path, Row._fields, (row._replace(value=f"{row.value:.6g}") for row in rows))  # type: ignore[arg-type]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replace a CSV file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    draft.replace(path)


def processor() -> str:
    """Return the processor's name as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"
