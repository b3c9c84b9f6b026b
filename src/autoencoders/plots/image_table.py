"""Rows of images in one panel of a larger figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from autoencoders.plots.style import MUTED, Array, as_floats, row_label, show, tiled


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
        axes.annotate(
            head, (i * (width + gap) + (width - 1) / 2, -0.5), xytext=(0, 2), textcoords="offset points",
            ha="center", va="bottom", fontsize=8, color=MUTED, annotation_clip=False,
        )  # fmt: skip
