"""The tables of `speed.py`: from rows to Markdown, measured values beside what is to be reached."""

from collections.abc import Callable, Iterable, Sequence
from math import isnan

from speed_contenders import CONTENDERS, MLP, OWN, TARGET
from speed_rows import Row, Summary, exponent, number, summaries, summary, table

NOT_REPEATABLE = "(!): a run lies further than 10 % from the median. Measure again on an idle machine."
FASTER_TO_TARGET = {"pytorch/examples": 10.0, "pythae": 20.0, "Lightning": 12.0}
"""Peer → how many times sooner this project is to reach the peer's −ELBO."""
FASTER = {f"{OWN}, mlp, batch 128": 2.5, OWN: 7.0, f"{OWN}, conv, batch default": 3.0}
"""Contender → times the images a second of the first of its group."""
LEAST_SHARE = 0.6
MOST_EXPONENT = 1.05
"""Linear; the 0.05 are for noise."""
MOST_MB, MOST_GROWTH = 1500.0, 0.05
LEAST_OF_SPEED = 0.5
MOST_SECONDS = {"10,000": 10.0, "NLL": 60.0}
"""First word of what is evaluated → seconds."""
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
            f"Medians of {runs} run{'s' if runs > 1 else ''} ± the furthest of them.",
            note,
            "" if all(one.repeatable for one in self.found.values()) else NOT_REPEATABLE,
        )
        return " ".join(filter(None, told))


def peers_tables(rows: Sequence[Row]) -> str:
    """Return the times to the quality to reach, and images a second at a fixed network."""
    part = Part(rows, "peers")
    return "\n\n".join((part.conditions("Runs interleaved."), _to_target_table(part), _throughput_table(part)))


def _to_target_table(part: Part) -> str:
    own = to_target(part, OWN)
    lines = []
    for one in CONTENDERS:
        if one.full == "never" or one.name not in part.subjects:
            continue
        if reason := part.failure(one.name):
            lines.append((one.name, reason, "", "", "", ""))
            continue
        seconds, epochs = to_target(part, one.name), epochs_to_target(part, one.name)
        if not seconds:
            lines.append((one.name, "not reached", "", "", "", ""))
            continue
        told = (one.name, number(summary(list(epochs.values())).median, 2), summary(list(seconds.values())).shown())
        faster = ratios(seconds, own) if one.name != OWN else None
        lines.append((*told, *_judged(faster, FASTER_TO_TARGET.get(one.name), "×")))
    header = (f"to a test −ELBO of {TARGET}, {MLP}", "epochs", "seconds", f"times {OWN}'", "goal", "met")
    return table(header, lines)


def epochs_to_target(part: Part, subject: str) -> Values:
    """Return how many epochs each full run took to `TARGET`; empty where one of them did not reach it."""
    rounds = part.by_round(subject, "neg_elbo of epoch 1")
    found = {}
    for turn in rounds:
        curve = curve_of(part, subject, turn)
        reached = [epoch for epoch, (_, neg_elbo) in enumerate(curve, start=1) if neg_elbo <= TARGET]
        if not reached:
            return {}
        found[turn] = float(reached[0])
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
    """Return the seconds of every round to `TARGET`; those of a short run are its epoch's, times the full run's epochs.

    Empty where a full run did not reach it.
    """
    epochs = epochs_to_target(part, subject)
    if not epochs:
        return {}
    needed = next(iter(epochs.values()))
    return {
        turn: curve_of(part, subject, turn)[int(epochs[turn]) - 1][0] if turn in epochs else needed * seconds
        for turn, seconds in part.by_round(subject, "epoch_seconds").items()
    }


def ratios(above: Values, below: Values) -> Summary | None:
    """Return the ratios of the rounds that both have, or None where there are none."""
    shared = [above[turn] / below[turn] for turn in above if turn in below]
    return summary(shared) if shared else None


def _throughput_table(part: Part) -> str:
    lines = []
    for one in CONTENDERS:
        if one.name not in part.subjects:
            continue
        if reason := part.failure(one.name):
            lines.append((one.group, one.name, one.batch, "", reason, "", "", ""))
            continue
        first = next(other.name for other in CONTENDERS if other.group == one.group)
        speeds = part.by_round(one.name, "images_per_second")
        ratio = ratios(speeds, part.by_round(first, "images_per_second")) if one.name != first else None
        told = (one.group, one.name.split(",")[0], one.batch, part.precision[one.name])
        lines.append((*told, summary(list(speeds.values())).shown(), *_judged(ratio, FASTER.get(one.name), "×")))
    return table(
        ("network", "trained by", "batch", "precision", "images/s", "times the group's first", "goal", "met"), lines
    )


def step_tables(rows: Sequence[Row]) -> str:
    """Return how fast the step is beside its matrix products, and what takes its time."""
    part = Part(rows, "step")
    found = part.found
    lines = []
    for case in part.subjects:
        measured = [found[case, metric].shown() for metric in ("images_per_second", "step_ms", "products_ms")]
        judged = _judged(found[case, "products_share"], LEAST_SHARE, "%")
        lines.append((case, part.precision[case], *measured, *judged))
    header = ("training step", "precision", "images/s", "ms", "products alone, ms", "share of the step", "goal", "met")
    groups = [metric for case, metric in found if case == part.subjects[0] and metric.startswith("share of ")]
    profile = [(case, *(percent(found[case, group].median) for group in groups)) for case in part.subjects]
    names = [group.removeprefix("share of ") for group in groups]
    return "\n\n".join((part.conditions(), table(header, lines), table(("share of a step, profiled", *names), profile)))


def scaling_tables(rows: Sequence[Row]) -> str:
    """Return the seconds of an epoch over images and latent dimensions, with the exponents that fit."""
    part = Part(rows, "scaling")
    lines = []
    for kind in ("images ×", "latent"):
        measured = growth(part, kind)
        for name, _ in measured:
            lines.append((f"{kind} {name:g}", part.found[f"{kind} {name:g}", "epoch_seconds"].shown(), "", ""))
        power = exponent([name for name, _ in measured], [seconds for _, seconds in measured])
        verdict = "yes" if power <= MOST_EXPONENT else "no"
        lines.append((f"exponent of {kind.removesuffix(' ×')}", f"{power:.2f}", "≤ 1", verdict))
    return "\n\n".join((part.conditions(), table(("", "seconds of an epoch", "goal", "met"), lines)))


def growth(part: Part, kind: str) -> list[tuple[float, float]]:
    """Return (size, median seconds) of the subjects `kind` + size."""
    of = [subject for subject in part.subjects if subject.startswith(kind)]
    return [(float(subject.split()[-1]), part.found[subject, "epoch_seconds"].median) for subject in of]


def memory_tables(rows: Sequence[Row]) -> str:
    """Return the memory of the command and over epochs, and the speed beyond memory."""
    part = Part(rows, "memory")
    lines = []
    for subject in part.subjects:
        if reason := part.failure(subject):
            lines.append((subject, reason, "", ""))
            continue
        metric, measured = next((metric, measured) for (of, metric), measured in part.found.items() if of == subject)
        if metric == "peak_mb":
            shown = f"{number(measured.median)} MB"
            lines.append((f"largest, {subject}", shown, f"< {MOST_MB:,.0f} MB", _yes(measured.median < MOST_MB)))
        elif metric == "resident_mb":
            lines.append((f"resident after {subject}", f"{number(measured.median)} MB", "", ""))
        else:
            lines.append((f"larger than memory, {subject}", f"{measured.shown()} images/s", "", ""))
    resident = [part.found[subject, "resident_mb"].median for subject in part.subjects if subject.startswith("epoch ")]
    if len(resident) > 1:
        grown = resident[-1] / resident[1] - 1
        lines.append(("growth after the second epoch", percent(grown), "≤ 5 %", _yes(grown <= MOST_GROWTH)))
    speeds = [part.by_round(of, "images_per_second") for of in part.subjects if (of, "images_per_second") in part.found]
    if len(speeds) == 2:
        kept = ratios(speeds[1], speeds[0])
        lines.append(("with the limit, of the speed without", *_judged(kept, LEAST_OF_SPEED, "%")))
    return "\n\n".join((part.conditions(), table(("memory", "measured", "goal", "met"), lines)))


def evaluation_tables(rows: Sequence[Row]) -> str:
    """Return the seconds of evaluating."""
    part = Part(rows, "evaluation")
    lines = []
    for subject in part.subjects:
        most = MOST_SECONDS[subject.split()[0].rstrip(",")]
        seconds = part.found[subject, "seconds"]
        lines.append((subject, seconds.shown(), f"< {most:g}", _yes(seconds.median < most)))
    return "\n\n".join((part.conditions(), table(("evaluation", "seconds", "goal", "met"), lines)))


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.0f} %"


def _judged(measured: Summary | None, least: float | None, unit: str) -> tuple[str, str, str]:
    """Return the text of a ratio (unit × or %), of the goal and of the verdict; empty where there is none."""
    if measured is None:
        return "", "", ""
    mark = "" if measured.repeatable else " (!)"
    shown = f"{number(measured.median)} ×" if unit == "×" else percent(measured.median)
    if least is None:
        return shown + mark, "", ""
    goal = f"≥ {least:g} ×" if unit == "×" else f"≥ {percent(least)}"
    return shown + mark, goal, _yes(measured.median >= least)


def _yes(verdict: bool) -> str:
    return "yes" if verdict else "no"


TABLES: dict[str, Callable[[Sequence[Row]], str]] = {
    "peers": peers_tables,
    "step": step_tables,
    "scaling": scaling_tables,
    "memory": memory_tables,
    "evaluation": evaluation_tables,
}
"""Part → its tables."""
