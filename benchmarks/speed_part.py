"""The rows of one part of `speed.py`, by subject, metric and round, and what several rows say together."""

from collections.abc import Iterable, Mapping
from math import isnan

from speed_contenders import TARGET, TRAINED_ON
from speed_rows import Row, Summary, summaries, summary

NOT_REPEATABLE = "(!): a run lies further than 10 % from the median. Measure again on an idle machine."
Values = dict[int, float]


class Part:
    """The rows of one part, by subject and metric."""

    def __init__(self, rows: Iterable[Row], name: str) -> None:
        self.rows = [row for row in rows if row.part == name]
        self.found = summaries((row for row in self.rows if not isnan(row.value)), name)
        self.subjects = list(dict.fromkeys(row.subject for row in self.rows))
        self.precision = {row.subject: row.precision for row in self.rows}

    def by_round(self, subject: str, metric: str) -> Values:
        """Return the values of every round."""
        return {row.round: row.value for row in self.rows if (row.subject, row.metric) == (subject, metric)}

    def failure(self, subject: str) -> str | None:
        """Return why a subject did not run, or None where it did."""
        return next((row.metric for row in self.rows if row.subject == subject and isnan(row.value)), None)

    def conditions(self, note: str = "") -> str:
        """Return a sentence that says what the part was measured with, and a warning where it needs one."""
        of, runs = self.rows[0], max(row.round for row in self.rows)
        told = (
            f"Threads: {of.threads}. Cores: {of.cores} ({of.processor}). torch {of.torch}.",
            f"Medians of {runs} runs ± the furthest of them." if runs > 1 else "One run.",
            note,
            "" if all(one.repeatable for one in self.found.values()) else NOT_REPEATABLE,
        )
        return " ".join(filter(None, told))


def epochs_to_target(part: Part, subject: str) -> dict[int, int]:
    """Return how many epochs each full run took to `TARGET`; empty where one of them did not reach it."""
    rounds = part.by_round(subject, "neg_elbo of epoch 1")
    found = {}
    for turn in rounds:
        curve = curve_of(part, subject, turn)
        reached = [epoch for epoch, (_, neg_elbo) in enumerate(curve, start=1) if neg_elbo <= TARGET]
        if not reached:
            return {}
        found[turn] = reached[0]
    return found


def curve_of(part: Part, subject: str, turn: int) -> list[tuple[float, float]]:
    """Return (seconds of training, test −ELBO) at the end of every epoch of a full run."""
    curve: list[tuple[float, float]] = []
    while True:
        epoch = len(curve) + 1
        values = [part.by_round(subject, f"{what} epoch {epoch}") for what in ("seconds until", "neg_elbo of")]
        if not all(turn in of for of in values):
            return curve
        curve.append((values[0][turn], values[1][turn]))


def to_target(part: Part, subject: str) -> Values:
    """Return the seconds of every round to `TARGET`; empty where a full run did not reach it."""
    return seconds_of(part, subject, epochs_to_target(part, subject))


def seconds_of(part: Part, subject: str, epochs: Mapping[int, int]) -> Values:
    """Return the seconds of every round for the `epochs` of the full runs.

    A short run's are those that its images a second make for the first full run's epochs.
    """
    if not epochs:
        return {}
    needed = next(iter(epochs.values()))
    return {
        turn: curve_of(part, subject, turn)[epochs[turn] - 1][0] if turn in epochs else needed * TRAINED_ON / speed
        for turn, speed in part.by_round(subject, "images_per_second").items()
    }


def ratios(above: Values, below: Values) -> Summary | None:
    """Return the ratios of the rounds that both have, or None where there are none."""
    shared = [above[turn] / below[turn] for turn in above if turn in below]
    return summary(shared) if shared else None


def growth(part: Part, kind: str) -> list[tuple[float, float]]:
    """Return (size, median seconds) of the subjects `kind` + size."""
    of = [subject for subject in part.subjects if subject.startswith(kind)]
    return [(float(subject.split()[-1]), part.found[subject, "epoch_seconds"].median) for subject in of]
