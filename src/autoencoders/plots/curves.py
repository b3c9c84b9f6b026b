"""Losses over the steps of training: reconstruction and KL in panels of their own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from autoencoders.plots.labels import name_ends
from autoencoders.plots.names import drawn
from autoencoders.plots.style import MUTED, colours, log_scale, new_figure, panel_grid, styled

KL_UNIT = "nats per image"
PANEL = (4.6, 3.3)  # inches, without the names at its right
SKIPPED = 0.1  # the first part of training, which may leave the frame
MAX_MARKED = 5  # points of a line up to which each is marked
PITCH = 0.16  # inches from one name to the next


def loss_unit(entry: Mapping[str, Any]) -> str:
    """Return the unit of the reconstruction loss of a network, by its entry in params.yaml."""
    if entry.get("loss") == "mse":
        return "squared error per image"
    return f"nats per image ({entry.get('likelihood', 'bernoulli').capitalize()})"


@styled
def loss_curves(histories: Mapping[str, pd.DataFrame], units: Mapping[str, str]) -> Figure:
    """Draw `train/recon`, `val/recon` and, where a model has them, `train/kl` and `val/kl` against `step`.

    `units`: each model's unit of `recon`, e.g. "nats per image (Bernoulli)" or "squared error per image".
    Models of one unit share a panel, those of different units never do; KL, in nats per image, has its own.
    Axes fit what follows the first tenth of the steps; recon is logarithmic where it falls below a quarter.
    Raise ValueError where no history holds a loss.
    """
    panels = _panels(histories, units)
    if not panels:
        raise ValueError("no history holds a loss")
    rows, columns = panel_grid(len(panels), max_columns=3 if len(panels) == 3 else 2)
    name_width = 0.075 * max(len(drawn(name)) for name in histories) + 0.2
    height = max(PANEL[1], PITCH * len(histories) + 0.9)
    figure = new_figure(columns * (PANEL[0] + name_width), rows * height + 0.8, "Training and validation losses")
    colour = colours(histories)
    for i, (title, unit, quantity, names) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set(title=title, xlabel="step", ylabel=unit)
        _draw(axes, {name: histories[name] for name in names}, quantity, colour, height - 0.9)
    marker = "o" if min(map(len, histories.values())) <= MAX_MARKED else ""
    handles = [
        Line2D([], [], color=MUTED, linestyle="-", marker=marker, markersize=4, label="validation"),
        Line2D([], [], color=MUTED, linestyle="--", marker=marker, markersize=4, mfc="white", label="training"),
    ]
    note = "axes are fitted to what follows the first tenth of the steps"
    handles.append(Line2D([], [], linestyle="", label=note))
    figure.legend(handles=handles, loc="outside lower left", ncols=3, handlelength=3)
    return figure


def _panels(histories: Mapping[str, pd.DataFrame], units: Mapping[str, str]) -> list[tuple[str, str, str, list[str]]]:
    """Return (title, unit, quantity, models) for each unit of recon, and for KL."""
    panels = []
    for unit in dict.fromkeys(units[name] for name in histories):
        names = [name for name in histories if units[name] == unit and _holds(histories[name], "recon")]
        panels.append((f"Reconstruction: {unit.replace(' per image', '')}", unit, "recon", names))
    panels.append(("KL", KL_UNIT, "kl", [name for name in histories if _holds(histories[name], "kl")]))
    return [panel for panel in panels if panel[3]]


def _holds(history: pd.DataFrame, quantity: str) -> bool:
    columns = [f"{split}/{quantity}" for split in ("train", "val") if f"{split}/{quantity}" in history]
    return bool(columns) and bool(history[columns].notna().to_numpy().any())


def _draw(
    axes: Axes, histories: Mapping[str, pd.DataFrame], quantity: str, colour: Mapping[str, str], height: float
) -> None:
    """Draw one panel of about `height` inches with each line's name at its right end."""
    for name, history in histories.items():
        for split, line in (("train", "--"), ("val", "-")):
            if (column := f"{split}/{quantity}") in history:
                steps, values = history["step"].to_numpy(), history[column].to_numpy(dtype=float)
                marker = "o" if len(steps) <= MAX_MARKED else ""  # a single step of training makes no line
                width, face = (1.6, colour[name]) if split == "val" else (1.1, "white")
                axes.plot(
                    steps, values, line, color=colour[name], linewidth=width, marker=marker, markersize=4,
                    markerfacecolor=face,
                )  # fmt: skip
    _scale(axes, logarithmic=quantity == "recon")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.grid(axis="y")
    ends = {name: _last(history, quantity) for name, history in histories.items()}
    name_ends(axes, ends, colour, height, PITCH)


def _scale(axes: Axes, logarithmic: bool) -> None:
    """Fit the y axis to all but the first tenth of the steps, whose fall would flatten the rest to a line."""
    last = max(np.max(line.get_xdata()) for line in axes.lines)
    late = [np.asarray(line.get_ydata())[np.asarray(line.get_xdata()) > last * SKIPPED] for line in axes.lines]
    values = np.concatenate(late)
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, high = values.min(), values.max()
    if logarithmic and low > 0 and high / low > 4:
        log_scale(axes, "y")
        axes.set_ylabel(f"{axes.get_ylabel()} (log scale)")
        axes.set_ylim(low / (high / low) ** 0.06, high * (high / low) ** 0.06)
    elif high > low:
        axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _last(history: pd.DataFrame, quantity: str) -> tuple[float, float]:
    """Return the last point (step, value) of the validation line, or of the training line where there is none."""
    for column in (f"val/{quantity}", f"train/{quantity}"):
        if column in history and len(known := history[["step", column]].dropna()):
            return float(known["step"].iloc[-1]), float(known[column].iloc[-1])
    raise ValueError(f"no {quantity} in the history")
