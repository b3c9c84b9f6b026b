"""Rows of images with their names: figures of their own, or panels of larger ones."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoencoders.plots.names import drawn
from autoencoders.plots.style import (
    DETAIL_SIZE,
    INK,
    MUTED,
    NAME_SIZE,
    RULE,
    Array,
    add_axes_at,
    as_floats,
    marked,
    new_figure,
    note,
    pixels,
    row_label,
    show,
    text_width,
    tiled,
)

LABEL_HEIGHT = 0.36  # inches, of a name over a detail
TITLE, BELOW, MARGIN = 0.45, 0.5, 0.1  # inches, above and below the rows


def image_rows(title: str, rows: Sequence[tuple[str, str, Array]]) -> tuple[Figure, tuple[Axes, Array]]:
    """Draw rows of (name, detail, images (n, C, H, W)), the first set apart by a rule.

    Data units are inches, y downward. Returns the figure, its axes and the x of the images' centres (n,).
    """
    count, _, height, width = rows[0][2].shape
    inch = min(0.75, 10 / count) / max(height, width)  # of one pixel
    gap = max(1, round(0.06 * width))
    strip_width, strip_height = (count * (width + gap) - gap) * inch, height * inch
    pitch = max(strip_height + 0.06, LABEL_HEIGHT)
    labels = [(drawn(name), NAME_SIZE) for name, _, _ in rows] + [(detail, DETAIL_SIZE) for _, detail, _ in rows]
    left = 0.25 + max(text_width(text, size) for text, size in labels if text)
    body = len(rows) * pitch + 0.12
    figure = new_figure(left + strip_width + MARGIN, TITLE + body + BELOW, title)
    axes = add_axes_at(figure, left, BELOW, strip_width, body)
    for i, (name, detail, images) in enumerate(rows):
        middle = (i + 0.5) * pitch + (0.12 if i else 0)
        extent = (0, strip_width, middle + strip_height / 2, middle - strip_height / 2)
        show(axes, tiled(images, count, gap), extent)
        row_label(axes, middle, name, detail)
    axes.axhline(pitch + 0.06, color=RULE, linewidth=0.8)
    axes.set(xlim=(0, strip_width), ylim=(body, 0))
    centres = (np.arange(count) * (width + gap) + width / 2) * inch
    return figure, (axes, centres)


def interpolation_rows(
    title: str, by_model: Mapping[str, Array], ends: Array, detail: str, label: str, max_ticks: int
) -> Figure:
    """Draw each model's images (steps, C, H, W) from one end to the other below the blend of the ends' pixels.

    `ends` is (2, C, H, W), `detail` stands under the name of the blend, and `label` under the axis of t, 0 … 1.
    """
    t = np.linspace(0, 1, len(next(iter(by_model.values()))))
    first, last = pixels(ends).transpose(0, 3, 1, 2)
    blend = (1 - t)[:, None, None, None] * first + t[:, None, None, None] * last
    rows = [("pixel blend", detail, blend), *((name, "", images) for name, images in by_model.items())]
    figure, (axes, centres) = image_rows(title, rows)
    ticks = marked(len(t), max_ticks)
    axes.set_xticks(centres[ticks], [f"{value:.2f}".rstrip("0").rstrip(".") for value in t[ticks]])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(label)
    return figure


def image_table(axes: Axes, rows: Sequence[tuple[str, str, Array]], heads: Sequence[str] = ()) -> None:
    """Draw rows of (name, detail, images (n, C, H, W)) below each other, all with one n, on `axes` in pixels.

    Images are floats in [0, 1] or uint8, row by row. `heads`: a word over each column.
    """
    count, _, height, width = rows[0][2].shape
    gap = max(1, round(0.06 * width))
    show(axes, tiled(np.concatenate([as_floats(images) for _, _, images in rows]), count, gap))
    for i, (name, detail, _) in enumerate(rows):
        row_label(axes, i * (height + gap) + (height - 1) / 2, name, detail)
    for i, head in enumerate(heads):
        x = i * (width + gap) + (width - 1) / 2
        note(axes, head, (x, -0.5), (0, 2), ha="center", va="bottom", color=MUTED)


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
            note(axes, text, (x, edge), (0, offset), ha="center", va=side, fontsize=7.5, color=colour)
    if name:
        row_label(axes, height / 2, name, detail)


def padded(images: Array, count: int) -> Array:
    """Return the first `count` of images (n, C, H, W) with [0, 1] values; white ones fill up what is missing."""
    white = np.ones((max(count - len(images), 0), *images.shape[1:]), dtype=images.dtype)
    return np.concatenate([images[:count], white])
