"""What the weight β of a VAE's KL changes: rate and distortion, active units, KL per dimension, images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from autoencoders.plots.image_rows import image_table
from autoencoders.plots.labels import far_apart, spread
from autoencoders.plots.style import MUTED, PALETTE, Array, log_scale, new_figure, note, styled

MIN_KL = 1e-3  # nats below which a dimension's KL is drawn as this much: the scale is logarithmic
MIN_GAP = 0.1  # from one named β to the next, as a share of the axis


@styled
def draw(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Figure:
    """Draw a sweep over `betas` (b,), ascending.

    `recon` (b,) in nats per image; `kl` (b, k) in nats, by dimension; `mse` (b,) per pixel; `active_units` (b,);
    `originals` (n, C, H, W), `reconstructions` and `samples` (b, n, C, H, W): images, floats in [0, 1] or uint8.
    """
    betas, kl, mse, originals = (arrays[name] for name in ("betas", "kl", "mse", "originals"))
    names = [f"β = {beta:g}" for beta in betas]
    _, _, height, width = originals.shape
    row = min(0.42 * height / width, 1.2)  # inches
    table = (len(betas) + 1) * (row + 0.03) + 0.5
    figure = new_figure(9, 6.4 + table, "The weight β of the KL: information in the code, and error")
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[5.8, table])
    panels = above.subplots(2, 2)
    _rate_distortion(panels[0, 0], kl.sum(axis=1), arrays["recon"], names)
    _kl_map(panels[0, 1], names, kl)
    units = f"dimensions in use, of {kl.shape[1]}"
    _against(panels[1, 0], betas, arrays["active_units"], "Active units", units, "s", PALETTE[4])
    panels[1, 0].set_ylim(-0.04 * kl.shape[1], 1.08 * kl.shape[1])
    panels[1, 0].yaxis.set_major_locator(MaxNLocator(integer=True))
    _against(panels[1, 1], betas, mse, "Test error", "test MSE per pixel", "o", PALETTE[0])
    panels[1, 1].set_ylim(0, 1.15 * float(mse.max()))
    left, right = below.subplots(1, 2)
    blank = np.ones(originals.shape)
    image_table(left, [("test images", "", originals), *_rows(names, arrays["reconstructions"])])
    image_table(right, [("", "", blank), *_rows(names, arrays["samples"])])
    left.set_title("Reconstructions")
    right.set_title("Decoded draws from N(0, I)")
    return figure


def _rows(names: Sequence[str], images: Array) -> list[tuple[str, str, Array]]:
    return [(name, "", row) for name, row in zip(names, images, strict=True)]


def _rate_distortion(axes: Axes, rate: Array, distortion: Array, names: Sequence[str]) -> None:
    axes.plot(rate, distortion, "-o", color=PALETTE[0], markersize=5, linewidth=1.2)
    axes.margins(x=0.06, y=0.1)
    axes.set_xlim(right=axes.get_xlim()[1] + 0.2 * float(np.ptp(rate)) + 1e-9)  # for the last label
    axes.set_ylim(axes.get_ylim())  # the labels must not move it
    at: Array = (axes.transScale + axes.transLimits).transform(np.column_stack([rate, distortion]))
    levels = spread(at[:, 1] + 0.03, 0.055, 0.0, 1.0)
    for x, level, name in zip(rate, levels, names, strict=True):
        note(axes, name, (x, level), (6, 0), xycoords=axes.get_xaxis_transform(), va="center")
    axes.set(
        title="Rate and distortion", xlabel="KL: information in the code (nats per image)",
        ylabel="reconstruction error\n(nats per image)",
    )  # fmt: skip
    axes.grid()


def _kl_map(axes: Axes, names: Sequence[str], kl: Array) -> None:
    """A row for each β, its dimensions sorted by KL: the dark ones have collapsed to N(0, 1)."""
    ordered = -np.sort(-kl, axis=1)
    top = max(float(ordered.max()), 10 * MIN_KL)
    image = axes.imshow(
        np.maximum(ordered, MIN_KL), aspect="auto", cmap="cividis", norm=LogNorm(MIN_KL, top),
        extent=(0.5, kl.shape[1] + 0.5, len(names) - 0.5, -0.5), interpolation="nearest",
    )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(title="KL per dimension", xlabel="latent dimension, sorted by KL")
    bar = axes.figure.colorbar(image, ax=axes, extend="min", label="nats", format="{x:g}")
    bar.outline.set_visible(False)


def _against(axes: Axes, betas: Array, values: Array, title: str, label: str, marker: str, colour: str) -> None:
    axes.plot(betas, values, "-", marker=marker, color=colour, markersize=5, linewidth=1.2)
    log_scale(axes, "x")
    named = far_apart(betas.tolist(), MIN_GAP * math.log(betas[-1] / betas[0]))
    axes.xaxis.set_major_locator(FixedLocator(named))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color=MUTED, linestyle=":", linewidth=1, label="β = 1, the ELBO")
    axes.legend(loc="best", handlelength=1.5)
    axes.set(title=title, xlabel="β", ylabel=label)
    axes.grid(axis="y")
