"""Labels moved apart so that none covers another."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from autoencoders.plots.names import drawn
from autoencoders.plots.style import Array, note

N_ROUNDS = 400


def spread(positions: Array, gap: float, low: float, high: float) -> Array:
    """Return `positions` (n,) moved as little as possible (least squares) to lie at least `gap` apart in [low, high].

    Their order is kept. Where n labels do not fit, they are spaced evenly over the range.
    """
    count = len(positions)
    if count == 0:
        return np.empty(0)
    from scipy.optimize import isotonic_regression  # half a second, which most figures do not need

    gap = min(gap, (high - low) / max(count - 1, 1))
    order = np.argsort(positions, kind="stable")
    steps = gap * np.arange(count)
    # Less the steps, "at least a gap apart" reads "not decreasing": isotonic regression solves it exactly.
    level = isotonic_regression(np.asarray(positions, dtype=float)[order] - steps).x
    moved = np.empty(count)
    moved[order] = np.clip(level, low, high - steps[-1]) + steps
    return moved


def far_apart(values: Sequence[float], gap: float) -> list[float]:
    """Return those of `values`, ascending or descending, whose logarithms lie at least `gap` apart, with the first."""
    kept = [values[0]]
    for value in values[1:]:
        if abs(math.log(value / kept[-1])) >= gap:
            kept.append(value)
    return kept


def repel(centres: Array, sizes: Array, low: float, high: float) -> Array:
    """Return the `centres` (n, 2) of boxes of `sizes` (n, 2) pushed apart until none overlaps, or `N_ROUNDS` are over.

    Each overlapping pair parts along the line through its centres; boxes stay inside [low, high] on both axes.
    """
    placed = np.asarray(centres, dtype=float).copy()
    placed += 1e-3 * sizes * np.random.default_rng(0).standard_normal(placed.shape)  # parts coinciding centres
    need = (sizes[:, None] + sizes[None]) / 2
    for _ in range(N_ROUNDS):
        apart = (placed[:, None] - placed[None]) / need  # in boxes: a pair overlaps where both parts are below 1
        overlap = np.clip(1 - np.abs(apart).max(-1), 0, None)
        np.fill_diagonal(overlap, 0)
        if not overlap.any():
            break
        direction = apart / np.maximum(np.linalg.norm(apart, axis=-1, keepdims=True), 1e-9)
        placed += 0.3 * (overlap[..., None] * direction * need).sum(1)
        placed = np.clip(placed, low + sizes / 2, high - sizes / 2)
    return placed


def name_ends(
    axes: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str], height: float, pitch: float = 0.17
) -> None:
    """Write each name right of `axes`, at its line's end (x, y) or near it, and join the two by a dotted line.

    `axes` is `height` inches high; names are at least `pitch` inches apart.
    """
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # what follows must not move them
    at: Array = (axes.transScale + axes.transLimits).transform(list(ends.values()))
    levels = spread(at[:, 1], pitch / height, 0.0, 1.0)
    for name, (x, y), level in zip(ends, at, levels, strict=True):
        axes.plot(
            [x, 1.0, 1.03], [y, y, level], color=colours[name], linewidth=0.8, linestyle=":",
            transform=axes.transAxes, clip_on=False, gid="leader",
        )  # fmt: skip
        note(axes, drawn(name), (1.03, level), (3, 0), xycoords="axes fraction", va="center")
