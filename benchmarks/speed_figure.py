"""One figure of what `speed.py` measured: quality over time, images a second, and how cost grows."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, StrMethodFormatter
from speed_contenders import CONTENDERS, MLP, OWN, TARGET
from speed_part import Part, curve_of, growth
from speed_rows import Row, exponent

from autoencoders.plots.style import INK, MUTED, PALETTE, colours, log_scale, new_figure, save, styled

TOP = 125.0
"""Nats; what lies above is the first epochs'."""
OURS, OTHERS = PALETTE[0], PALETTE[3]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the panels for which there are rows, and write them to `path` as PNG."""
    save(figure(rows), path)


@styled
def figure(rows: Sequence[Row]) -> Figure:
    """Return the figure; it has a panel for every kind of measurement that `rows` hold."""
    panels = []
    peers, scaling = Part(rows, "peers"), Part(rows, "scaling")
    if peers.rows:
        panels += [lambda axes: _quality(axes, peers), lambda axes: _throughput(axes, peers)]
    if scaling.rows:
        panels.append(lambda axes: _growth(axes, scaling))
    of = rows[0]
    note = f"{of.threads} threads, {of.processor}, torch {of.torch}"
    drawn = new_figure(4.6 * max(1, len(panels)), 3.6, "Speed, on MNIST", note)
    for position, panel in enumerate(panels, start=1):
        panel(drawn.add_subplot(1, len(panels), position))
    return drawn


def _quality(axes: Axes, part: Part) -> None:
    names = [one.name for one in CONTENDERS if one.full != "never" and one.name in part.subjects]
    colour = colours(sorted(names, key=lambda name: name != OWN))  # this project's is the palette's first everywhere
    for name in names:
        for turn in part.by_round(name, "neg_elbo of epoch 1"):
            seconds, values = zip(*curve_of(part, name, turn), strict=True)
            label = name if turn == 1 else None
            line = axes.plot(seconds, values, "o-", markersize=3, color=colour[name], label=label)[0]
            line.set(linewidth=2.2 if name == OWN else 1.2, alpha=1.0 if turn == 1 else 0.4)
    axes.axhline(TARGET, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set(title=f"Time to quality, {MLP}", xlabel="seconds of training", ylabel="test −ELBO, nats")
    log_scale(axes, "x")
    axes.set_ylim(top=TOP)
    axes.yaxis.set_major_locator(MultipleLocator(5))
    axes.legend(loc="upper right")


def _throughput(axes: Axes, part: Part) -> None:
    shown = [one for one in CONTENDERS if (one.name, "images_per_second") in part.found][::-1]
    speeds = [part.found[one.name, "images_per_second"].median for one in shown]
    own = [one.name.startswith(OWN) for one in shown]
    axes.barh(range(len(shown)), speeds, color=[OURS if mine else OTHERS for mine in own])
    axes.set_yticks(range(len(shown)), [f"{one.group}: {one.name.split(',')[0]}, batch {one.batch}" for one in shown])
    for place, speed in enumerate(speeds):
        axes.annotate(f"{speed:,.0f}", (speed, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_title("Images a second in training")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(x=0.15)


def _growth(axes: Axes, part: Part) -> None:
    for kind, colour in (("images ×", OURS), ("latent", PALETTE[2])):
        sizes, seconds = zip(*growth(part, kind), strict=True)
        name = f"{kind.removesuffix(' ×')}: exponent {exponent(sizes, seconds):.2f}"
        axes.plot(sizes, seconds, "o-", markersize=3, color=colour, label=name)
    first = growth(part, "images ×")[0]
    axes.plot([1, 8], [first[1], 8 * first[1]], ":", color=INK, linewidth=0.8, label="linear")
    axes.set(title="Seconds of an epoch", xlabel="times the images; latent dimensions")
    log_scale(axes, "x")
    log_scale(axes, "y")
    axes.legend(loc="upper right")
