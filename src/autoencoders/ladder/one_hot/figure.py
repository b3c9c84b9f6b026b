"""How many images fit into one network."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from autoencoders.plots.image_rows import padded, strip
from autoencoders.plots.labels import far_apart, name_ends
from autoencoders.plots.style import INK, MUTED, PALETTE, Array, log_scale, new_figure, note, styled
from autoencoders.text import format_bytes, format_decimal

Network = Mapping[str, Any]  # how many images it stores, and how well
PANEL, TILE = 2.9, 0.84  # inches, height of the curves and of a row of pictures
LINES = ("-", "--", "-.", ":")
COLOURS = tuple(PALETTE[i] for i in (0, 1, 2, 4, 5, 6, 10, 11))  # strong enough for thin lines


@styled
def draw(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Figure:
    """Draw what one decoder recalls of so many images.

    Above, PSNR against their number and the MSE while learning; below, the first images as each network draws them.
    """
    networks, originals = facts["networks"], arrays["originals"]
    figure = new_figure(10.5, PANEL + TILE * (1 + len(networks)) + 0.5, "Several images in one network")
    grid = figure.add_gridspec(2 + len(networks), 2, height_ratios=[PANEL, *[TILE] * (1 + len(networks))])
    _capacity(figure.add_subplot(grid[0, 0]), networks, facts["image_bytes"], facts["weights"] * facts["weight_bytes"])
    _learning(
        figure.add_subplot(grid[0, 1]),
        {network["images"]: arrays[f"{network['images']}/curve"] for network in networks},
    )
    strip(figure.add_subplot(grid[1, :]), originals / 255, "originals")
    for row, network in enumerate(networks, start=2):
        count, detail = network["images"], f"{network['psnr']:.1f} dB, MSE {format_decimal(network['mse'])}"
        recalled = padded(arrays[f"{count}/recalled"], len(originals))
        strip(figure.add_subplot(grid[row, :]), recalled, f"of {count:,} images", detail)
    return figure


def _capacity(axes: Axes, networks: Sequence[Network], image_bytes: int, decoder_bytes: int) -> None:
    """PSNR against the number of images, and the number whose images take as many bytes as the decoder's weights."""
    psnr = {network["images"]: network["psnr"] for network in networks}
    full = decoder_bytes / image_bytes
    low, high = min(*psnr, full) / 1.5, max(*psnr, full) * 2.2
    axes.plot(list(psnr), list(psnr.values()), "o-", color=PALETTE[0], linewidth=1.5)
    axes.axvline(full, color=MUTED, linestyle="--", linewidth=1)
    log_scale(axes, "x")
    axes.set_xlim(low, high)
    axes.margins(y=0.15)
    named = far_apart(list(psnr)[::-1], 0.17 * math.log(high / low))[::-1]
    for count in named:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        note(axes, f"{psnr[count]:.1f} dB", (count, psnr[count]), (5, 4), bbox=box)
    axes.xaxis.set_major_locator(FixedLocator(named))
    axes.set_xticklabels([f"{count:,}\n{format_bytes(count * image_bytes)}" for count in named])
    axes.set(
        title="What is left of each image", ylabel="PSNR in dB, mean over the images",
        xlabel=f"images stored, and their bytes (dashed: as many as the decoder's, {format_bytes(full * image_bytes)})",
    )  # fmt: skip
    axes.grid(axis="y")


def _learning(axes: Axes, curves: Mapping[int, Array]) -> None:
    colours = {f"{count:,} images": COLOURS[i % len(COLOURS)] for i, count in enumerate(curves)}
    ends = {}
    for i, ((name, colour), curve) in enumerate(zip(colours.items(), curves.values(), strict=True)):
        steps = np.arange(1, len(curve) + 1)
        axes.plot(steps, curve, LINES[i % len(LINES)], color=colour, linewidth=1.3)
        ends[name] = (float(steps[-1]), float(curve[-1]))
    log_scale(axes, "y")
    axes.set(title="While learning", xlabel="steps", ylabel="MSE per pixel (log scale)")
    axes.yaxis.label.set_color(INK)
    axes.grid(axis="y")
    name_ends(axes, ends, colours, PANEL - 0.9)
