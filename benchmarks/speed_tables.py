"""The tables of `speed.py`: from the rows of a part to Markdown."""

import numpy as np
import pandas as pd
from common import MAX_SPREAD, format_number, format_runs, mark_spread, markdown, spread
from speed_contenders import CONTENDERS, MAX_EPOCHS, MLP, OWN, TARGET, TRAINED_ON


def tables_of(part: str, rows: pd.DataFrame) -> str:
    """Return what the `rows` of a part were measured with, and its tables."""
    values = rows.pivot_table("value", ["subject", "metric"], "round", sort=False)
    tables = peers_tables(rows, values) if part == "peers" else [measured_table(values)]
    return "\n\n".join([conditions(rows, values), *tables])


def conditions(rows: pd.DataFrame, values: pd.DataFrame) -> str:
    """Return what the rows were measured with, and a warning where they cannot be repeated."""
    row, rounds = rows.iloc[0], values.shape[1]
    steady = values.apply(spread, axis=1).max() <= MAX_SPREAD
    note = "" if steady else " (!): a run is more than 10 % away from the median. Measure again on an idle machine."
    return (
        f"Threads: {row['threads']}. Cores: {row['cores']} ({row['processor']}). torch {row['torch']}. "
        f"{f'Medians of {rounds} runs ± the furthest of them.' if rounds > 1 else 'One run.'}{note}"
    )


def measured_table(values: pd.DataFrame) -> str:
    """Return a line for each subject, a column for each metric."""
    subjects, metrics = (list(dict.fromkeys(values.index.get_level_values(level))) for level in ("subject", "metric"))
    lines = []
    for subject in subjects:
        of_subject = (runs_of(values, subject, metric) for metric in metrics)
        lines.append([subject, *(format_runs(runs) if len(runs) else "" for runs in of_subject)])
    return markdown(["", *(metric.replace("_", " ") for metric in metrics)], lines)


def runs_of(values: pd.DataFrame, subject: str, metric: str) -> pd.Series:
    """Return the values of every round that has one."""
    known = (subject, metric) in values.index
    return pd.Series(values.loc[(subject, metric)]).dropna() if known else pd.Series(dtype=float)


# Peers


def full_runs(values: pd.DataFrame, subject: str) -> dict[int, list[tuple[float, float]]]:
    """Return round → (seconds of training, test −ELBO) at each epoch's end, of runs to `TARGET` or the last epoch."""
    curves: dict[int, list[tuple[float, float]]] = {}
    for epoch in range(1, MAX_EPOCHS + 1):
        seconds = runs_of(values, subject, f"seconds until epoch {epoch}")
        neg_elbo = runs_of(values, subject, f"neg_elbo of epoch {epoch}")
        for turn in seconds.index:
            curves.setdefault(turn, []).append((seconds[turn], neg_elbo[turn]))
    return curves


def seconds_to_target(values: pd.DataFrame, subject: str) -> pd.Series:
    """Return the seconds of every round to `TARGET`; empty where a full run did not reach it.

    A short run's are those that its images a second make for the epochs of the first full run.
    """
    curves = full_runs(values, subject)
    if not curves or any(curve[-1][1] > TARGET for curve in curves.values()):
        return pd.Series(dtype=float)
    epochs = len(next(iter(curves.values())))
    seconds = epochs * TRAINED_ON / runs_of(values, subject, "images_per_second")
    for turn, curve in curves.items():
        seconds[turn] = curve[-1][0]
    return seconds


def times_faster(values: pd.DataFrame, subject: str) -> pd.Series:
    """Return how many times sooner than `subject` this project reaches `TARGET`, of every round that has both."""
    return (seconds_to_target(values, subject) / seconds_to_target(values, OWN)).dropna()


def times_images(values: pd.DataFrame, subject: str) -> pd.Series:
    """Return the images a second as times those of the first of the group, of every round that has both."""
    group = next(contender.group for contender in CONTENDERS if contender.name == subject)
    first = next(contender.name for contender in CONTENDERS if contender.group == group)
    speed, others = (runs_of(values, name, "images_per_second") for name in (subject, first))
    return (speed / others).dropna()


def peers_tables(rows: pd.DataFrame, values: pd.DataFrame) -> list[str]:
    """Return the times to the quality to reach, and images a second at a fixed network."""
    quality, speed = [], []
    precision = dict(zip(rows["subject"], rows["precision"], strict=True))
    for contender in (contender for contender in CONTENDERS if contender.name in precision):
        name = contender.name
        images, times = runs_of(values, name, "images_per_second"), times_images(values, name)
        cells = [contender.group, name.split(",")[0], str(contender.batch), precision[name], format_runs(images)]
        speed.append([*cells, _times(times)])
        if curves := list(full_runs(values, name).values()):
            seconds = seconds_to_target(values, name)
            epochs, neg_elbo = np.median([(len(curve), curve[-1][1]) for curve in curves], axis=0)
            reached = format_runs(seconds) if len(seconds) else "not reached"
            quality.append([name, f"{epochs:g}", f"{neg_elbo:.1f}", reached, _times(times_faster(values, name))])
    return [
        markdown([f"{MLP}, until test −ELBO {TARGET}", "epochs", "−ELBO", "seconds", f"times {OWN}'"], quality),
        markdown(["network", "trained by", "batch", "precision", "images/s", "times the group's first"], speed),
    ]


def _times(ratios: pd.Series) -> str:
    return f"{format_number(ratios.median())} ×{mark_spread(ratios)}" if len(ratios) else ""
