"""How the error spreads over the test images: its distribution for each model, and its mean for each class."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoencoders.plots.names import drawn
from autoencoders.plots.style import (
    INK,
    MUTED,
    PALETTE,
    RULE,
    Array,
    add_axes_at,
    log_scale,
    new_figure,
    note,
    row_label,
    styled,
    text_width,
)
from autoencoders.text import format_number

MAX_CLASSES = 12
MAX_NAME_LENGTH = 18
N_BINS = 60
SMALLEST = 1e-4  # times the largest error: what is below has no place of its own
KEY = "the stronger the colour, the further above the model’s mean"  # of the cells; dark pages turn light and dark
NAMES, SPREAD, GAP, CELL, ROW = 1.9, 4.2, 0.3, 0.45, 0.5  # inches
ABOVE, BELOW = 0.75, 0.85  # inches; above without the classes' names


@styled
def error_spread(
    errors: Mapping[str, Array], labels: Array | None = None, classes: Sequence[str] | None = None
) -> Figure:
    """Draw a row for each model: a histogram of its squared errors (N,), one an image, and their mean in each class.

    `labels` (N,) are the images' classes, and `classes` have the names of these; without labels, the histograms stand
    alone. Of more than `MAX_CLASSES` classes, those of the largest error are drawn.
    """
    found = np.empty(0, int) if labels is None else np.unique(labels)
    by_class = np.array([[of[labels == label].mean() for label in found] for of in errors.values()])
    shown = found
    if len(found) > MAX_CLASSES:
        relative = (by_class / np.fmax(by_class.mean(1, keepdims=True), 1e-12)).mean(0)
        kept = np.sort(np.argsort(-relative, kind="stable")[:MAX_CLASSES])
        shown, by_class = found[kept], by_class[:, kept]
    names = [drawn(classes[label], MAX_NAME_LENGTH, str(label)) if classes else str(label) for label in shown]
    longest = max((text_width(name, 8) for name in names), default=0)
    upright = longest > CELL - 0.08
    head = ABOVE + (longest if upright else 0.15 if names else 0)
    height = ROW * len(errors)
    by_name = GAP + max(CELL * len(names), text_width(KEY, 8)) if names else 0
    figure = new_figure(NAMES + SPREAD + by_name + 0.15, head + height + BELOW, "Error of test images")
    spread = add_axes_at(figure, NAMES, BELOW, SPREAD, height)
    _spreads(spread, errors)
    if names:
        cells = add_axes_at(figure, NAMES + SPREAD + GAP, BELOW, CELL * len(names), height)
        _cells(cells, by_class, np.array([of.mean() for of in errors.values()]))
        cells.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
        some = f" (the {len(names)} of {len(found)} with the largest error)" if len(names) < len(found) else ""
        cells.set_title(f"Mean by class, × 1000{some}", pad=8)
    return figure


def _spreads(axes: Axes, errors: Mapping[str, Array]) -> None:
    """Draw each model's histogram in its row, as high as the row, and a line at the mean."""
    largest = max(float(of.max()) for of in errors.values()) or 1.0
    smallest = min(float(of.min()) for of in errors.values())
    low = max(smallest, SMALLEST * largest)
    edges = np.geomspace(low if low < largest else largest / 2, largest * 1.001, N_BINS + 1)
    log_scale(axes, "x", subs=(1, 3) if edges[-1] / edges[0] < 1000 else (1,))
    for row, (name, of) in enumerate(errors.items()):
        counts, _ = np.histogram(np.fmax(of, edges[0]), edges)
        heights = row + 0.45 - 0.8 * counts / counts.max()
        axes.stairs(heights, edges, baseline=row + 0.45, fill=True, color=PALETTE[0], alpha=0.75)
        mean = float(of.mean())
        axes.vlines(max(mean, edges[0]), row - 0.35, row + 0.45, color=INK, linewidth=1.5)
        row_label(axes, row, name, f"mean {format_number(mean)}")
        axes.axhline(row + 0.5, color=RULE, linewidth=0.6)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(len(errors) - 0.5, -0.5), yticks=[])
    axes.set_xlabel("squared error per pixel of an image (log scale)")
    axes.set_title("Distribution, with a line at the mean", pad=8)
    axes.grid(axis="x")


def _cells(axes: Axes, by_class: Array, means: Array) -> None:
    """Write each model's error in each class; the more it is above the model's mean, the stronger its colour."""
    ratios = by_class / np.fmax(means, 1e-12)[:, None]
    axes.imshow(ratios, cmap=matplotlib.colormaps["Oranges"], vmin=0.5, vmax=2.5, aspect="auto")
    for (row, column), value in np.ndenumerate(by_class):
        axes.text(column, row, format_number(1000 * value), size=7.5, color=INK, ha="center", va="center")
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    note(axes, KEY, (0, 0), (0, -12), xycoords="axes fraction", va="top", color=MUTED)
