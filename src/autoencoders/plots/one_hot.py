"""How many images fit into one network."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from autoencoders.plots.image_rows import padded, strip
from autoencoders.plots.labels import name_ends
from autoencoders.plots.style import INK, MUTED, PALETTE, Array, log_scale, new_figure, styled
from autoencoders.text import format_bytes, format_decimal

if TYPE_CHECKING:
    from autoencoders.ladder.one_hot import Capacity

WEIGHT_BYTES = 4
SHOWN = 12
PANEL, TILE = 2.9, 0.84  # inches, height of the curves and of a row of pictures
LINES = ("-", "--", "-.", ":")
COLOURS = tuple(PALETTE[i] for i in (0, 1, 2, 4, 5, 6, 10, 11))  # strong enough for thin lines


@styled
def one_hot(originals: Array, stored: Mapping[int, "Capacity"]) -> Figure:
    """Draw what one decoder recalls of so many images: the keys of `stored`, each the first of `originals`.

    `originals`: uint8 (N, C, H, W). Above, PSNR against N and the MSE while learning; below, the first images as each
    network draws them.
    """
    figure = new_figure(10.5, PANEL + TILE * (1 + len(stored)) + 0.5, "Several images in one network")
    grid = figure.add_gridspec(2 + len(stored), 2, height_ratios=[PANEL, *[TILE] * (1 + len(stored))])
    _capacity(figure.add_subplot(grid[0, 0]), originals[0].size, stored)
    _learning(figure.add_subplot(grid[0, 1]), stored)
    shown = min(SHOWN, max(stored))
    strip(figure.add_subplot(grid[1, :]), originals[:shown] / 255, "originals")
    for row, (count, one) in enumerate(stored.items(), start=2):
        detail = f"{one.psnr:.1f} dB, MSE {format_decimal(one.mse)}"
        strip(figure.add_subplot(grid[row, :]), padded(one.recalled, shown), f"of {count:,} images", detail)
    return figure


def _capacity(axes: Axes, size: int, stored: Mapping[int, "Capacity"]) -> None:
    """PSNR against N, and the N whose images take as many bytes as the decoder's weights."""
    full = next(iter(stored.values())).weights * WEIGHT_BYTES / size
    low, high = min(*stored, full) / 1.5, max(*stored, full) * 2.2
    axes.plot(list(stored), [one.psnr for one in stored.values()], "o-", color=PALETTE[0], linewidth=1.5)
    axes.axvline(full, color=MUTED, linestyle="--", linewidth=1)
    log_scale(axes, "x")
    axes.set_xlim(low, high)
    axes.margins(y=0.15)
    named = _apart(list(stored), 0.17 * math.log(high / low))
    for count in named:
        axes.annotate(
            f"{stored[count].psnr:.1f} dB", (count, stored[count].psnr), xytext=(5, 4), textcoords="offset points",
            fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    axes.xaxis.set_major_locator(FixedLocator(named))
    axes.set_xticklabels([f"{count:,}\n{format_bytes(count * size)}" for count in named])
    axes.set(
        title="What is left of each image", ylabel="PSNR in dB, mean over the images",
        xlabel=f"images stored, and their bytes (dashed: as many as the decoder's, {format_bytes(full * size)})",
    )  # fmt: skip
    axes.grid(axis="y")


def _apart(counts: Sequence[int], gap: float) -> list[int]:
    """Return those of the ascending `counts` whose labels have room: `gap` apart in logarithm, the last among them."""
    kept = [counts[-1]]
    for count in reversed(counts):
        if math.log(kept[0] / count) >= gap:
            kept.insert(0, count)
    return kept


def _learning(axes: Axes, stored: Mapping[int, "Capacity"]) -> None:
    colours = {f"{count:,} images": COLOURS[i % len(COLOURS)] for i, count in enumerate(stored)}
    ends = {}
    for i, ((name, colour), one) in enumerate(zip(colours.items(), stored.values(), strict=True)):
        steps = np.arange(1, len(one.curve) + 1)
        axes.plot(steps, one.curve, LINES[i % len(LINES)], color=colour, linewidth=1.3)
        ends[name] = (float(steps[-1]), float(one.curve[-1]))
    log_scale(axes, "y")
    axes.set(title="While learning", xlabel="steps", ylabel="MSE per pixel (log scale)")
    axes.yaxis.label.set_color(INK)
    axes.grid(axis="y")
    name_ends(axes, ends, colours, PANEL - 0.9)
