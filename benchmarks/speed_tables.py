"""The tables of `speed.py`: from rows to Markdown, measured values beside what is to be reached."""

from collections.abc import Callable, Sequence
from statistics import median

from speed_contenders import CONTENDERS, MLP, OWN, OWN_BATCH, TARGET
from speed_part import Part, Values, curve_of, epochs_to_target, growth, ratios, seconds_of, to_target
from speed_rows import Row, Summary, exponent, number, summary, table

FASTER_TO_TARGET = {"pytorch/examples": 10.0, "pythae": 20.0, "Lightning": 12.0}
"""Peer → how many times sooner this project is to reach the peer's −ELBO."""
FASTER = {f"{OWN}, mlp, batch 128": 2.5, OWN: 7.0, f"{OWN}, conv, batch {OWN_BATCH}": 3.0}
"""Contender → times the images a second of the first of its group."""
REFERENCE_EPOCHS = 10
"""What pytorch/examples trains for."""
LEAST_SHARE = 0.6
MOST_EXPONENT = 1.05
"""Linear; the 0.05 are for noise."""
MOST_MB, MOST_GROWTH = 1500.0, 0.05
LEAST_OF_SPEED = 0.5
MOST_SECONDS = {"10,000": 10.0, "NLL": 60.0}
"""First word of what is evaluated → seconds."""


def peers_tables(rows: Sequence[Row]) -> str:
    """Return the times to the quality to reach, and images a second at a fixed network."""
    part = Part(rows, "peers")
    return "\n\n".join((part.conditions("Runs interleaved."), _to_target_table(part), _throughput_table(part)))


def _to_target_table(part: Part) -> str:
    own = to_target(part, OWN)
    lines: list[tuple[str, ...]] = []
    for one in CONTENDERS:
        if one.full == "never" or one.name not in part.subjects:
            continue
        if reason := part.failure(one.name):
            lines.append((one.name, reason, "", "", "", "", ""))
            continue
        curves = {turn: curve_of(part, one.name, turn) for turn in part.by_round(one.name, "neg_elbo of epoch 1")}
        told: list[tuple[str, dict[int, int], float | None]] = []
        if "at_least" in one.options and all(len(curve) >= REFERENCE_EPOCHS for curve in curves.values()):
            told.append((f"{one.name}, {REFERENCE_EPOCHS} epochs", dict.fromkeys(curves, REFERENCE_EPOCHS), None))
        if reached := epochs_to_target(part, one.name):
            told.append((one.name, reached, FASTER_TO_TARGET.get(one.name)))
        for name, epochs, goal in told:
            quality = median(curves[turn][epoch - 1][1] for turn, epoch in epochs.items())
            seconds = seconds_of(part, one.name, epochs)
            faster = ratios(seconds, own) if one.name != OWN else None
            cells = (name, f"{median(epochs.values()):g}", f"{quality:.1f}", shown(seconds))
            lines.append((*cells, *_judged(faster, goal, "×")))
        if not reached:
            last = median(curve[-1][1] for curve in curves.values())
            lines.append((one.name, "not reached", f"{last:.1f}", "", "", "", ""))
    header = (f"{MLP}, until test −ELBO {TARGET}", "epochs", "−ELBO", "seconds", f"times {OWN}'", "goal", "met")
    return table(header, lines)


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
        lines.append((*told, shown(speeds), *_judged(ratio, FASTER.get(one.name), "×")))
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


def shown(values: Values) -> str:
    """Return the median of the rounds and their spread."""
    return summary(list(values.values())).shown()


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{round(100 * share)} %"


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
