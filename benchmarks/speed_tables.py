"""The tables of `speed.py`: from rows to Markdown."""

from collections.abc import Callable, Iterable, Sequence

from speed_rows import Row, Summary, summaries, table

NOT_REPEATABLE = "(!): the runs lie further than 10 % from their median: measure again on an idle machine."


def conditions(rows: Sequence[Row], part: str) -> str:
    """Return a sentence that says what a part was measured with."""
    of = next(row for row in rows if row.part == part)
    runs = max(row.round for row in rows if row.part == part)
    threads = f"{of.threads} thread{'s' if of.threads > 1 else ''} on {of.cores} cores of {of.processor}"
    return f"{threads}, torch {of.torch}; medians of {runs} run{'s' if runs > 1 else ''} ± the furthest from it."


def step_tables(rows: Sequence[Row]) -> str:
    """Return how fast the step is beside its matrix products, and what takes its time."""
    found = summaries(rows, "step")
    cases = list(dict.fromkeys(subject for subject, _ in found))
    precision = {row.subject: row.precision for row in rows if row.part == "step"}
    roofline = table(
        ("step", "precision", "images/s", "ms", "products alone, ms", "share of the step"),
        (
            (
                case,
                precision[case],
                found[case, "images_per_second"].shown(),
                found[case, "step_ms"].shown(),
                found[case, "products_ms"].shown(),
                percent(found[case, "products_share"]),
            )
            for case in cases
        ),
    )
    groups = [metric.removeprefix("share of ") for case, metric in found if case == cases[0] and "share of " in metric]
    profile = table(
        ("profiled", *groups),
        ((case, *(percent(found[case, f"share of {group}"]) for group in groups)) for case in cases),
    )
    return "\n\n".join((conditions(rows, "step"), roofline, profile, *_warning(found.values())))


def percent(share: Summary) -> str:
    """Return a share in percent."""
    return f"{100 * share.median:.0f} %" + ("" if share.repeatable else " (!)")


def _warning(found: Iterable[Summary]) -> list[str]:
    return [] if all(one.repeatable for one in found) else [NOT_REPEATABLE]


TABLES: dict[str, Callable[[Sequence[Row]], str]] = {"step": step_tables}
"""Part → its tables."""
