"""Random vectors against learned ones."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoencoders.plots.image_rows import strip
from autoencoders.plots.labels import name_ends
from autoencoders.plots.style import MUTED, PALETTE, Array, log_scale, new_figure, styled
from autoencoders.text import format_decimal, format_number

if TYPE_CHECKING:
    from autoencoders.ladder.auto_decoder import Vectors

SHOWN = 12
PANEL, TILE = 2.9, 0.84  # inches, height of the curves and of a row of pictures
MARKS = (("--", "//", PALETTE[1]), ("-", "", PALETTE[0]))


@styled
def auto_decoder(originals: Array, by_vectors: Mapping[str, "Vectors"]) -> Figure:
    """Draw what decoders make of `originals`, uint8 (N, C, H, W), from the random and from the learned vectors.

    `by_vectors` holds both by name. Above, the MSE against epochs, and how alike the images are whose vectors are
    neighbours; below, the first images, redrawn, and the image whose vector lies nearest to each.
    """
    figure = new_figure(10.5, PANEL + TILE * (1 + 2 * len(by_vectors)) + 0.6, "Random vectors and learned ones")
    rows = 1 + 2 * len(by_vectors)
    grid = figure.add_gridspec(1 + rows, 5, height_ratios=[PANEL, *[TILE] * rows])
    _learning(figure.add_subplot(grid[0, :3]), by_vectors)
    _likeness(figure.add_subplot(grid[0, 3:]), by_vectors)
    shown = originals[:SHOWN] / 255
    strip(figure.add_subplot(grid[1, :]), shown, "originals")
    for row, (name, one) in enumerate(by_vectors.items(), start=2):
        strip(figure.add_subplot(grid[row, :]), one.recalled[: len(shown)], name, f"MSE {format_decimal(one.mse)}")
    for row, (name, one) in enumerate(by_vectors.items(), start=2 + len(by_vectors)):
        nearest = originals[one.nearest[: len(shown)]] / 255
        strip(figure.add_subplot(grid[row, :]), nearest, "nearest neighbours", f"of the {name}")
    return figure


def _learning(axes: Axes, by_vectors: Mapping[str, "Vectors"]) -> None:
    ends, colours = {}, {}
    for (name, one), (line, _, colour) in zip(by_vectors.items(), MARKS, strict=True):
        epochs = np.arange(1, len(one.curve) + 1)
        axes.plot(epochs, one.curve, line, color=colour, linewidth=1.6)
        ends[name], colours[name] = (float(epochs[-1]), float(one.curve[-1])), colour
    log_scale(axes, "y")
    axes.set(title="While learning", xlabel="epochs", ylabel="MSE per pixel (log scale)")
    axes.grid(axis="y")
    name_ends(axes, ends, colours, PANEL - 0.9)


def _likeness(axes: Axes, by_vectors: Mapping[str, "Vectors"]) -> None:
    """Bars: how much an image differs from its nearest neighbour, 1 being the difference of any two images."""
    for y, ((name, one), (_, hatch, colour)) in enumerate(zip(by_vectors.items(), MARKS, strict=True)):
        axes.barh(y, one.likeness, height=0.5, color=colour, hatch=hatch, edgecolor="white")
        axes.annotate(name, (0, y - 0.3), xytext=(2, 2), textcoords="offset points", fontsize=8)
        axes.annotate(
            format_number(one.likeness),
            (one.likeness, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.axvline(1, color=MUTED, linestyle="--", linewidth=1)
    axes.set_ylim(len(by_vectors) - 0.4, -0.7)
    axes.set_xlim(0, 1.25 * max(1, *(one.likeness for one in by_vectors.values())))
    axes.set(
        title="How unlike neighbours look", yticks=[],
        xlabel="squared difference of neighbours\n(1: of any two images)",
    )  # fmt: skip
    axes.grid(axis="x")
