"""The linear autoencoder beside PCA: errors, angles between their spaces, components as images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from autoencoders.plots.image_rows import image_table
from autoencoders.plots.names import drawn
from autoencoders.plots.style import INK, MUTED, PALETTE, Array, log_scale, marked, new_figure, note, styled

TITLES = {
    "alike": "Images that are all alike leave an autoencoder nothing to learn",
    "same": "A linear autoencoder is PCA",
    "error": "A linear autoencoder has PCA's error",
    "apart": "A linear autoencoder, and PCA",
}
MIN_ANGLE = 1e-3  # degrees below which angles are drawn at this one: the scale is logarithmic
N_COMPONENTS_SHOWN = 8
MARKERS = "osD^vP*X"


@styled
def draw(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Figure:
    """Draw test errors against dimensions, principal angles in degrees, and components as images, signed."""
    latent = max(fit["latent"] for fit in facts["fits"])
    chosen = marked(latent, N_COMPONENTS_SHOWN)
    components = [
        ("PCA", f"k = {latent}", arrays["components/pca"][chosen]),
        ("linear autoencoder", "as learned", arrays["components/linear"][chosen]),
        ("the same space", "turned towards PCA's", arrays["components/turned"][chosen]),
    ]
    height, width = components[0][2].shape[2:]
    strip = min(0.8 * height / width, 1.6)  # inches, of one row
    figure = new_figure(9, 4.3 + len(components) * (strip + 0.05), TITLES[facts["verdict"]])
    (above,), (below,) = figure.subfigures(
        2, 1, squeeze=False, height_ratios=[3.6, len(components) * (strip + 0.05) + 0.3]
    )
    left, right = above.subplots(1, 2, width_ratios=[1.25, 1])
    _errors(left, arrays["pca"], facts)
    _angles(right, {fit["latent"]: arrays[f"angles/{fit['latent']}"] for fit in facts["fits"]})
    images = below.subplots()
    image_table(images, [(*row[:2], grey_at_zero(row[2])) for row in components], [str(index + 1) for index in chosen])
    images.set_title("Components as images (grey: 0)", pad=16)
    return figure


def grey_at_zero(images: Array) -> Array:
    """Return signed images (n, C, H, W) as images in [0, 1]: 0 becomes 0.5, each image's largest value 0 or 1."""
    largest = np.abs(images).max((1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * images / np.where(largest > 0, largest, 1)


def _errors(axes: Axes, pca: Array, facts: Mapping[str, Any]) -> None:
    """`pca` (K + 1,): test MSE per pixel with 0 … K components."""
    linear = {fit["latent"]: fit["mse"] for fit in facts["fits"]}
    nonlinear = {model["name"]: (model["latent"], model["mse"]) for model in facts["nonlinear"]}
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
        change = (
            f": {100 * (value / pca[latent] - 1):+.0f} %".replace("-", "−") if pca[latent] > facts["no_error"] else ""
        )
        near_end = latent > 0.75 * len(pca)
        offset, side = (-8, "right") if near_end else (8, "left")
        note(axes, f"{drawn(name)}{change}", (latent, value), (offset, 0), ha=side, va="center")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title="Reconstruction", xlabel="latent dimensions k", ylabel="test MSE per pixel")
    axes.grid(axis="y")
    axes.legend(loc="upper right")


def _angles(axes: Axes, angles: Mapping[int, Array]) -> None:
    log_scale(axes, "y")
    for i, (latent, values) in enumerate(angles.items()):
        axes.plot(
            np.arange(1, len(values) + 1), np.maximum(values, MIN_ANGLE), marker=MARKERS[i % len(MARKERS)],
            markersize=5, linewidth=1, color=PALETTE[(4, 0, 2, 6)[i % 4]], label=f"k = {latent}",
        )  # fmt: skip
    axes.axhline(1, color=MUTED, linestyle="--", linewidth=0.8, label="1°")
    least = max(min(float(values.min(initial=90)) for values in angles.values()), MIN_ANGLE)
    axes.set_ylim(min(0.1, 0.8 * least), 90)  # 90°: nothing in common
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(title="Angles between its space and PCA's", xlabel="principal angle, smallest first", ylabel="degrees")
    axes.grid(axis="y")
    axes.legend(loc="upper left")
