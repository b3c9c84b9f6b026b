"""One image in the weights: how well, how soon, and in how many weights."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

from autoencoders.plots.image_rows import strip
from autoencoders.plots.style import MUTED, PALETTE, Array, log_scale, new_figure, styled
from autoencoders.text import format_bytes

LINE_STYLES: tuple[tuple[Literal["-", "--"], str, str], ...] = (("-", "o", PALETTE[0]), ("--", "s", PALETTE[2]))
PANEL, TILE = 3.1, 1.4  # inches, height of the curves and of a row of pictures


@styled
def draw(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Figure:
    """Draw what networks of several sizes made of each of two targets.

    Above, the largest network's PSNR against steps and every network's against its weights; below, the target, the
    largest network's snapshots and what the smaller ones end with.
    """
    targets, good = facts["targets"], facts["good_psnr"]
    figure = new_figure(10.5, PANEL + TILE * len(targets) + 0.5, "One image in the weights of a network")
    parts: Any = figure.subfigures(2, 1, height_ratios=[PANEL, TILE * len(targets)])
    above, below = parts
    left, right = above.subplots(1, 2)
    _learning(left, [arrays[f"{target['key']}/mse"] for target in targets], good)
    _sizes(right, targets, good)
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, label=target["name"])
        for target, (line, marker, colour) in zip(targets, LINE_STYLES, strict=True)
    ]
    handles.append(Line2D([], [], color=MUTED, linestyle=":", label="as many weights as the image has values"))
    handles.append(Line2D([], [], color=MUTED, linestyle="-.", linewidth=0.8, label=f"{good:.0f} dB"))
    above.legend(handles=handles, loc="outside lower left", ncols=4, handlelength=3.5)
    smaller = len(targets[0]["networks"]) - 1
    tiles = [1 + len(facts["steps"]), smaller] if smaller else [1]
    rows = below.subplots(len(targets), len(tiles), squeeze=False, width_ratios=tiles)
    for axes, target in zip(rows, targets, strict=True):
        _pictures(axes, target, facts["steps"], arrays)
    return figure


def _learning(axes: Axes, curves: Sequence[Array], good: float) -> None:
    for mse, (line, _, colour) in zip(curves, LINE_STYLES, strict=True):
        axes.plot(np.arange(1, len(mse)), _psnr(mse[1:]), line, color=colour, linewidth=1.5)
    axes.set(title="The largest network while it learns", xlabel="steps (log scale)", ylabel="PSNR in dB")
    _frame(axes, good)
    error = axes.secondary_yaxis("right", functions=(_mse, _psnr))
    low, high = axes.get_ylim()
    error.yaxis.set_major_locator(FixedLocator([10 ** (-psnr / 10) for psnr in range(0, 101, 10) if low < psnr < high]))
    error.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10f}".rstrip("0").rstrip(".")))
    error.set_ylabel("MSE per pixel")


def _sizes(axes: Axes, targets: Sequence[Mapping[str, Any]], good: float) -> None:
    for target, (line, marker, colour) in zip(targets, LINE_STYLES, strict=True):
        weights, psnr = ([network[key] for network in target["networks"]] for key in ("weights", "psnr"))
        axes.plot(weights, psnr, line, marker=marker, color=colour, linewidth=1.2)
        axes.axvline(target["bytes"], color=colour, linestyle=":", linewidth=1.2)
    axes.set(title="Networks of several sizes", xlabel="weights of the network (log scale)", ylabel="PSNR in dB")
    _frame(axes, good)


def _frame(axes: Axes, good: float) -> None:
    log_scale(axes, "x")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.grid(axis="y")
    axes.margins(y=0.1)
    axes.axhline(good, color=MUTED, linewidth=0.8, linestyle="-.")


def _pictures(
    row: Sequence[Axes], target: Mapping[str, Any], steps: Sequence[int], arrays: Mapping[str, Array]
) -> None:
    """The target and the largest network's snapshots, and then what the smaller networks end with."""
    key = target["key"]
    original, mse, snapshots, ends = (arrays[f"{key}/{name}"] for name in ("original", "mse", "snapshots", "smaller"))
    strip(
        row[0],
        np.stack([original / 255, *snapshots]),
        target["name"],
        f"{'×'.join(map(str, target['shape']))}, {format_bytes(target['bytes'])}",
        above=["original", *(f"{step:,} steps" for step in steps)],
        below=["", *(_decibels(_psnr(mse[step])) for step in steps)],
    )
    if len(ends):
        smaller = target["networks"][-2::-1]
        strip(
            row[1],
            ends[::-1],
            above=[f"{network['weights']:,} weights" for network in smaller],
            below=[_decibels(network["psnr"]) for network in smaller],
        )


def _psnr(mse: Any) -> Any:
    return -10 * np.log10(np.maximum(mse, 1e-10))


def _mse(psnr: Any) -> Any:
    return 10 ** (-psnr / 10)


def _decibels(psnr: float) -> str:
    return f"{psnr:.1f} dB"
