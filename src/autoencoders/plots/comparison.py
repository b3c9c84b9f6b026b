"""Models side by side on the main measures."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from autoencoders.plots.style import INK, MUTED, PALETTE, RULE, log_scale, new_figure, note, row_label, styled
from autoencoders.text import format_number

SAMPLERS = {  # column: (what the legend says, marker, colour)
    "frechet/prior": ("z ~ N(0, I)", "o", PALETTE[0]),
    "frechet/gaussian": ("z ~ Gaussian fitted to the codes", "s", PALETTE[6]),
    "frechet/mixture": ("z ~ mixture fitted to the codes", "^", PALETTE[4]),
}


@styled
def comparison(metrics: pd.DataFrame, frechet_floor: float | None = None) -> Figure:
    """Draw one row for each model of `metrics`, whose index holds the names, in its order from the top.

    Columns: `latent` (dimensions), `test/mse` (per pixel), `pca/mse` (PCA's of as many dimensions), `frechet/prior`,
    `frechet/gaussian`, `frechet/mixture` (distance of 10,000 or so samples to the test set, by how z is drawn).
    All but `test/mse` may lack or hold NaN. `frechet_floor`: the distance of real images to the test set.
    """
    wide = any(column in metrics and metrics[column].notna().any() for column in SAMPLERS)
    figure = new_figure(10.5 if wide else 6.4, 0.42 * len(metrics) + 1.4 + 0.5 * wide, "Comparison on the test set")
    panels = figure.subplots(1, 2 if wide else 1, sharey=True, squeeze=False)[0]
    _errors(panels[0], metrics)
    if wide:
        _distances(panels[1], metrics, frechet_floor)
    for axes in panels:
        axes.set_ylim(len(metrics) - 0.5, -0.5)
        for y in range(1, len(metrics)):
            axes.axhline(y - 0.5, color=RULE, linewidth=0.6, zorder=0)
    for y, (name, row) in enumerate(metrics.iterrows()):
        latent = row.get("latent", np.nan)
        row_label(panels[0], y, str(name), "" if pd.isna(latent) else f"{latent:g} dimensions")
    return figure


def _errors(axes: Axes, metrics: pd.DataFrame) -> None:
    """Draw bars of the test MSE, a tick where PCA stands, and the number at the right of both."""
    mse = metrics["test/mse"].to_numpy(dtype=float)
    pca = metrics["pca/mse"].to_numpy(dtype=float) if "pca/mse" in metrics else np.full(len(mse), np.nan)
    y = np.arange(len(mse))
    axes.barh(y, mse, height=0.55, color=PALETTE[0])
    if np.isfinite(pca).any():
        ticks = axes.scatter(pca, y, marker="|", s=130, linewidths=2, color=INK, zorder=3)
        ticks.set_label("PCA with as many dimensions")
        _legend(axes, [ticks])
    ends = np.fmax(mse, pca)
    limit = 1.18 * np.nanmax(ends)
    for row, (value, tick) in enumerate(zip(mse, pca, strict=True)):
        place, side = _beside_bar(value, tick, room=0.16 * limit)
        note(axes, format_number(value), (place, row), (5 if side == "left" else -5, 0), ha=side, va="center")
    axes.set_xlim(0, limit)
    axes.set(title="Reconstruction", xlabel="test MSE per pixel (smaller is better)", yticks=[])
    axes.grid(axis="x")


def _beside_bar(value: float, tick: float, room: float) -> tuple[float, Literal["left", "right"]]:
    """Return where a bar's number starts (left) or ends (right): after the bar, or inside where PCA's tick is there."""
    if np.isnan(value):
        return 0.0, "left"
    if not value <= tick <= value + room:
        return value, "left"
    return (value, "right") if value > room else (tick, "left")


def _distances(axes: Axes, metrics: pd.DataFrame, floor: float | None) -> None:
    """Draw a mark for each sampler on a logarithmic axis, one above the other within a row, and the floor."""
    handles: list[Artist] = []
    y = np.arange(len(metrics))
    log_scale(axes, "x")
    for offset, (column, (label, marker, colour)) in zip((-0.22, 0, 0.22), SAMPLERS.items(), strict=True):
        if column in metrics and metrics[column].notna().any():
            (line,) = axes.plot(
                metrics[column].to_numpy(dtype=float), y + offset, marker, color=colour, markersize=7, label=label,
                markeredgecolor="white", zorder=3,
            )  # fmt: skip
            handles.append(line)
    if floor is not None:
        handles.append(
            axes.axvline(floor, color=MUTED, linestyle="--", linewidth=1, label=f"real images: {format_number(floor)}")
        )
    axes.set(title="Samples", xlabel="Fréchet distance (log scale, smaller is better)")
    axes.grid(axis="x")
    _legend(axes, handles)


def _legend(axes: Axes, handles: Sequence[Artist]) -> None:
    """Put a legend under the axis label of `axes`."""
    below = offset_copy(axes.transAxes, axes.get_figure(root=True), y=-0.5)
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.02, 0), bbox_transform=below, borderpad=0)
