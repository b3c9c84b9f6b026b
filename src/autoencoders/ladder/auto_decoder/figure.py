"""Random vectors against learned ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoencoders.plots.image_rows import strip
from autoencoders.plots.labels import name_ends
from autoencoders.plots.style import MUTED, PALETTE, Array, log_scale, new_figure, note, styled
from autoencoders.text import format_decimal, format_number

VECTORS = ("random", "learned")
PANEL, TILE = 2.9, 0.84  # inches, height of the curves and of a row of pictures
LINE_STYLES = (("--", "//", PALETTE[1]), ("-", "", PALETTE[0]))


@styled
def draw(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Figure:
    """Draw what decoders make of images from the random and from the learned vectors.

    Above, the MSE against epochs, and how alike the images are whose vectors are neighbours; below, the first images,
    redrawn, and the image whose vector lies nearest to each.
    """
    rows = 1 + 2 * len(VECTORS)
    figure = new_figure(10.5, PANEL + TILE * rows + 0.6, "Random vectors and learned ones")
    grid = figure.add_gridspec(1 + rows, 5, height_ratios=[PANEL, *[TILE] * rows])
    _learning(figure.add_subplot(grid[0, :3]), {name: arrays[f"{name}/curve"] for name in VECTORS})
    _likeness(figure.add_subplot(grid[0, 3:]), {name: facts[name]["likeness"] for name in VECTORS})
    strip(figure.add_subplot(grid[1, :]), arrays["originals"] / 255, "originals")
    for row, name in enumerate(VECTORS, start=2):
        detail = f"MSE {format_decimal(facts[name]['mse'])}"
        strip(figure.add_subplot(grid[row, :]), arrays[f"{name}/recalled"], f"{name} vectors", detail)
    for row, name in enumerate(VECTORS, start=2 + len(VECTORS)):
        nearest = arrays[f"{name}/nearest"] / 255
        strip(figure.add_subplot(grid[row, :]), nearest, "nearest neighbours", f"of the {name} vectors")
    return figure


def _learning(axes: Axes, curves: Mapping[str, Array]) -> None:
    ends, colours = {}, {}
    for (kind, curve), (line, _, colour) in zip(curves.items(), LINE_STYLES, strict=True):
        name, epochs = f"{kind} vectors", np.arange(1, len(curve) + 1)
        axes.plot(epochs, curve, line, color=colour, linewidth=1.6)
        ends[name], colours[name] = (float(epochs[-1]), float(curve[-1])), colour
    log_scale(axes, "y")
    axes.set(title="While learning", xlabel="epochs", ylabel="MSE per pixel (log scale)")
    axes.grid(axis="y")
    name_ends(axes, ends, colours, PANEL - 0.9)


def _likeness(axes: Axes, likeness: Mapping[str, float]) -> None:
    """Bars: how much an image differs from its nearest neighbour, 1 being the difference of any two images."""
    for y, ((kind, value), (_, hatch, colour)) in enumerate(zip(likeness.items(), LINE_STYLES, strict=True)):
        axes.barh(y, value, height=0.5, color=colour, hatch=hatch, edgecolor="white")
        note(axes, f"{kind} vectors", (0, y - 0.3), (2, 2))
        note(axes, format_number(value), (value, y), (4, 0), va="center")
    axes.axvline(1, color=MUTED, linestyle="--", linewidth=1)
    axes.set_ylim(len(likeness) - 0.4, -0.7)
    axes.set_xlim(0, 1.25 * max(1, *likeness.values()))
    axes.set(
        title="How unlike neighbours look", yticks=[],
        xlabel="squared difference of neighbours\n(1: of any two images)",
    )  # fmt: skip
    axes.grid(axis="x")
