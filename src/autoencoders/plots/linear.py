"""The linear autoencoder beside PCA: errors, angles between their spaces, components as images."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from autoencoders.plots.image_rows import image_table
from autoencoders.plots.names import drawn
from autoencoders.plots.style import INK, MUTED, PALETTE, Array, log_scale, new_figure, styled

LEAST_ANGLE = 1e-3
"""Degrees below which angles are drawn at this one: the scale is logarithmic."""
LEAST_ERROR = 1e-8
"""Squared error per pixel of which no share is told."""
MARKERS = "osD^vP*X"


@styled
def linear_and_pca(
    title: str,
    pca: Array,
    linear: Mapping[int, float],
    nonlinear: Mapping[str, tuple[int, float]],
    angles: Mapping[int, Array],
    components: Sequence[tuple[str, str, Array]],
    numbers: Sequence[int],
) -> Figure:
    """Draw test errors against dimensions, principal angles, and components as images.

    `pca` (K + 1,): test MSE per pixel with 0 … K components. `linear`: dimensions → test MSE. `nonlinear`: name →
    (dimensions, test MSE). `angles`: dimensions → principal angles (k,) in degrees, smallest first. `components`: rows
    of (name, detail, images (n, C, H, W)), signed, each scaled to its own largest value; `numbers` (n,) names them.
    """
    height, width = components[0][2].shape[2:]
    strip = min(0.8 * height / width, 1.6)  # inches, of one row
    figure = new_figure(9, 4.3 + len(components) * (strip + 0.05), title)
    (above,), (below,) = figure.subfigures(
        2, 1, squeeze=False, height_ratios=[3.6, len(components) * (strip + 0.05) + 0.3]
    )
    left, right = above.subplots(1, 2, width_ratios=[1.25, 1])
    _errors(left, pca, linear, nonlinear)
    _angles(right, angles)
    images = below.subplots()
    image_table(images, [(*row[:2], grey_at_zero(row[2])) for row in components], [str(number) for number in numbers])
    images.set_title("Components as images (grey: 0)", pad=16)
    return figure


def grey_at_zero(images: Array) -> Array:
    """Return signed images (n, C, H, W) as images in [0, 1]: 0 becomes 0.5, each image's largest value 0 or 1."""
    largest = np.abs(images).max((1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * images / np.where(largest > 0, largest, 1)


def _errors(axes: Axes, pca: Array, linear: Mapping[int, float], nonlinear: Mapping[str, tuple[int, float]]) -> None:
    axes.plot(np.arange(1, len(pca)), pca[1:], color=PALETTE[0], linewidth=1.8, label="PCA")
    axes.plot(
        list(linear), list(linear.values()), "s", color=INK, markersize=8, markerfacecolor="none", markeredgewidth=1.4,
        label="linear autoencoder",
    )  # fmt: skip
    if nonlinear:
        points = np.array(list(nonlinear.values()))
        axes.plot(
            points[:, 0], points[:, 1], "^", color=PALETTE[2], markersize=7, label="nonlinear autoencoder", zorder=3
        )
    low = min([*pca[1:], *linear.values(), *(value for _, value in nonlinear.values())])
    if 0 < 4 * low < pca[1]:
        log_scale(axes, "y")
    for name, (latent, value) in nonlinear.items():
        change = f": {100 * (value / pca[latent] - 1):+.0f} %".replace("-", "−") if pca[latent] > LEAST_ERROR else ""
        near_end = latent > 0.75 * len(pca)
        axes.annotate(
            f"{drawn(name)}{change}", (latent, value), xytext=(-8 if near_end else 8, 0),
            textcoords="offset points", ha="right" if near_end else "left", va="center", fontsize=8,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title="Reconstruction", xlabel="latent dimensions k", ylabel="test MSE per pixel")
    axes.grid(axis="y")
    axes.legend(loc="upper right")


def _angles(axes: Axes, angles: Mapping[int, Array]) -> None:
    log_scale(axes, "y")
    for i, (latent, values) in enumerate(angles.items()):
        axes.plot(
            np.arange(1, len(values) + 1), np.maximum(values, LEAST_ANGLE), marker=MARKERS[i % len(MARKERS)],
            markersize=5, linewidth=1, color=PALETTE[(4, 0, 2, 6)[i % 4]], label=f"k = {latent}",
        )  # fmt: skip
    axes.axhline(1, color=MUTED, linestyle="--", linewidth=0.8, label="1°")
    least = max(min(float(values.min(initial=90)) for values in angles.values()), LEAST_ANGLE)
    axes.set_ylim(min(0.1, 0.8 * least), 90)  # 90°: nothing in common
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(title="Angles between its space and PCA's", xlabel="principal angle, smallest first", ylabel="degrees")
    axes.grid(axis="y")
    axes.legend(loc="upper left")
