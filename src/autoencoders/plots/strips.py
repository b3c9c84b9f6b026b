"""Captioned rows of pictures beside curves: the frame of the ladder's first figures."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from autoencoders.plots.labels import spread
from autoencoders.plots.style import INK, MUTED, Array, row_label, show, tiled


def strip(
    axes: Axes, images: Array, name: str = "", detail: str = "", above: Sequence[str] = (), below: Sequence[str] = ()
) -> None:
    """Draw `images` (n, C, H, W) in a row, `name` over `detail` at its left, and a text `above` or `below` each."""
    count, _, height, width = images.shape
    gap = max(1, round(0.08 * width), round(0.8 * height) - width if above or below else 0)  # room for the texts
    across = count * (width + gap) - gap
    show(axes, tiled(images, count, gap), (0, across, height, 0))
    centres = np.arange(count) * (width + gap) + width / 2
    for texts, edge, offset, side, colour in ((above, 0, 3, "bottom", INK), (below, height, -3, "top", MUTED)):
        for x, text in zip(centres, texts, strict=False):
            axes.annotate(
                text, (x, edge), xytext=(0, offset), textcoords="offset points", ha="center", va=side,
                fontsize=7.5, color=colour, annotation_clip=False,
            )  # fmt: skip
    if name:
        row_label(axes, height / 2, name, detail)


def padded(images: Array, count: int) -> Array:
    """Return the first `count` of images (n, C, H, W) with [0, 1] values; white ones fill up what is missing."""
    white = np.ones((max(count - len(images), 0), *images.shape[1:]), dtype=images.dtype)
    return np.concatenate([images[:count], white])


def name_ends(axes: Axes, ends: Mapping[str, tuple[float, float]], colour: Mapping[str, str], height: float) -> None:
    """Write each name right of `axes`, which is `height` inches high, level with its line's end (x, y) where free."""
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # what follows must not move them
    at: Array = (axes.transScale + axes.transLimits).transform(list(ends.values()))
    levels = spread(at[:, 1], 0.17 / height, 0.0, 1.0)
    for (name, _), (x, y), level in zip(ends.items(), at, levels, strict=True):
        axes.plot(
            [x, 1.0, 1.03], [y, y, level], color=colour[name], linewidth=0.8, linestyle=":",
            transform=axes.transAxes, clip_on=False, gid="leader",
        )  # fmt: skip
        axes.annotate(
            name, (1.03, level), xycoords="axes fraction", xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=8, annotation_clip=False,
        )  # fmt: skip


def plain(value: float) -> str:
    """Return a number in (0, 1) with three significant digits and without an exponent, e.g. ``0.0000981``."""
    return np.format_float_positional(value, precision=3, unique=False, fractional=False, trim="k")


def readable_bytes(count: float) -> str:
    """Return e.g. ``784 B``, ``3.1 kB`` or ``12 MB``; a kB is 1,000 bytes."""
    units = iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while count >= 999.5 and unit != "GB":
        count, unit = count / 1000, next(units)
    return f"{count:.0f} {unit}" if unit == "B" or count >= 9.95 else f"{count:.1f} {unit}"
