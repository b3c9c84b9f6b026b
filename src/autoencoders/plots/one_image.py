"""One image in the weights: how well, how soon, and in how many weights."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

from autoencoders.plots.image_rows import strip
from autoencoders.plots.style import MUTED, PALETTE, Array, log_scale, new_figure, styled
from autoencoders.text import format_bytes

if TYPE_CHECKING:
    from autoencoders.ladder.one_image import Stored

GOOD = 40.0
"""dB: errors of 1 % of the range of a pixel, which the eye does not see."""
MARKS: tuple[tuple[Literal["-", "--"], str, str], ...] = (("-", "o", PALETTE[0]), ("--", "s", PALETTE[2]))
PANEL, TILE = 3.1, 1.4  # inches, height of the curves and of a row of pictures


@styled
def one_image(targets: Mapping[str, Array], stored: Mapping[str, Sequence["Stored"]]) -> Figure:
    """Draw for each of two `targets`, uint8 (C, H, W), what the networks `stored` made of it, in ascending size.

    Above, the largest network's PSNR against steps and every network's against its weights; below, the target, the
    largest network's snapshots and what the smaller ones end with.
    """
    figure = new_figure(10.5, PANEL + TILE * len(targets) + 0.5, "One image in the weights of a network")
    parts: Any = figure.subfigures(2, 1, height_ratios=[PANEL, TILE * len(targets)])
    above, below = parts
    left, right = above.subplots(1, 2)
    _learning(left, stored)
    _sizes(right, targets, stored)
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, label=name)
        for name, (line, marker, colour) in zip(stored, MARKS, strict=True)
    ]
    handles.append(Line2D([], [], color=MUTED, linestyle=":", label="as many weights as the image has values"))
    handles.append(Line2D([], [], color=MUTED, linestyle="-.", linewidth=0.8, label=f"{GOOD:.0f} dB"))
    above.legend(handles=handles, loc="outside lower left", ncols=4, handlelength=3.5)
    largest, *smaller = reversed(next(iter(stored.values())))
    tiles = [1 + len(largest.snapshots), len(smaller)] if smaller else [1]
    rows = below.subplots(len(targets), len(tiles), squeeze=False, width_ratios=tiles)
    for axes, (name, target) in zip(rows, targets.items(), strict=True):
        _pictures(axes, name, target, stored[name])
    return figure


def _learning(axes: Axes, stored: Mapping[str, Sequence["Stored"]]) -> None:
    for networks, (line, _, colour) in zip(stored.values(), MARKS, strict=True):
        mse = networks[-1].mse
        axes.plot(np.arange(1, len(mse)), _psnr(mse[1:]), line, color=colour, linewidth=1.5)
    axes.set(title="The largest network while it learns", xlabel="steps (log scale)", ylabel="PSNR in dB")
    _frame(axes)
    error = axes.secondary_yaxis("right", functions=(_mse, _psnr))
    low, high = axes.get_ylim()
    error.yaxis.set_major_locator(FixedLocator([10 ** (-psnr / 10) for psnr in range(0, 101, 10) if low < psnr < high]))
    error.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10f}".rstrip("0").rstrip(".")))
    error.set_ylabel("MSE per pixel")


def _sizes(axes: Axes, targets: Mapping[str, Array], stored: Mapping[str, Sequence["Stored"]]) -> None:
    for (name, networks), (line, marker, colour) in zip(stored.items(), MARKS, strict=True):
        weights, psnr = [one.weights for one in networks], [one.psnr for one in networks]
        axes.plot(weights, psnr, line, marker=marker, color=colour, linewidth=1.2)
        axes.axvline(targets[name].size, color=colour, linestyle=":", linewidth=1.2)
    axes.set(title="Networks of several sizes", xlabel="weights of the network (log scale)", ylabel="PSNR in dB")
    _frame(axes)


def _frame(axes: Axes) -> None:
    log_scale(axes, "x")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.grid(axis="y")
    axes.margins(y=0.1)
    axes.axhline(GOOD, color=MUTED, linewidth=0.8, linestyle="-.")


def _pictures(row: Sequence[Axes], name: str, target: Array, networks: Sequence["Stored"]) -> None:
    """The target and the largest network's snapshots, and then what the smaller networks end with."""
    *smaller, largest = networks
    steps = list(largest.snapshots)
    strip(
        row[0],
        np.stack([target / 255, *largest.snapshots.values()]),
        name,
        f"{'×'.join(map(str, target.shape))}, {format_bytes(target.size)}",
        above=["original", *(f"{step:,} steps" for step in steps)],
        below=["", *(_decibels(_psnr(largest.mse[step])) for step in steps)],
    )
    if smaller:
        strip(
            row[1],
            np.stack([one.snapshots[steps[-1]] for one in reversed(smaller)]),
            above=[f"{one.weights:,} weights" for one in reversed(smaller)],
            below=[_decibels(one.psnr) for one in reversed(smaller)],
        )


def _psnr(mse: Any) -> Any:
    return -10 * np.log10(np.maximum(mse, 1e-10))


def _mse(psnr: Any) -> Any:
    return 10 ** (-psnr / 10)


def _decibels(psnr: float) -> str:
    return f"{psnr:.1f} dB"
