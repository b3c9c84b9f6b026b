"""Labelled rows of images: the frame of the reconstruction and interpolation figures."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoencoders.plots.names import drawn
from autoencoders.plots.style import (
    DETAIL_SIZE,
    NAME_SIZE,
    RULE,
    Array,
    new_figure,
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
    figure.set_layout_engine("none")  # all is placed by hand: data units are inches
    across, up = figure.get_size_inches()
    axes = figure.add_axes((left / across, BELOW / up, strip_width / across, body / up))
    for i, (name, detail, images) in enumerate(rows):
        middle = (i + 0.5) * pitch + (0.12 if i else 0)
        extent = (0, strip_width, middle + strip_height / 2, middle - strip_height / 2)
        show(axes, tiled(images, count, gap), extent)
        row_label(axes, middle, name, detail)
    axes.axhline(pitch + 0.06, color=RULE, linewidth=0.8)
    axes.set(xlim=(0, strip_width), ylim=(body, 0))
    centres = (np.arange(count) * (width + gap) + width / 2) * inch
    return figure, (axes, centres)
