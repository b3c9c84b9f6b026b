"""What an autoencoder and a VAE invent, and how far their codes lie from N(0, I)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from autoencoders.plots.names import drawn
from autoencoders.plots.style import PALETTE, RULE, Array, image_panel, new_figure, styled, subscripted
from autoencoders.text import format_number

PANEL, BELOW = 2.15, 3.0  # inches, of a panel's side, and of the charts under them with the figure's title
NORMAL_90 = 1.645  # N(0, 1) has its middle 90 % between − and + this
MAX_NAMED_DIMENSIONS = 20  # up to as many dimensions carry their names


def draw(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Figure:
    """Draw test images beside those that the two models generate, and below them where their codes lie."""
    ae, vae, floor = facts["autoencoder"], facts["vae"], format_number(facts["frechet_floor"])
    drawn_from = (
        (ae["name"], "N(0, I)", ae["frechet_prior"], "autoencoder/prior"),
        (vae["name"], "N(0, I)", vae["frechet_prior"], "vae/prior"),
        (ae["name"], "a mixture", ae["frechet_mixture"], "autoencoder/mixture"),
    )
    panels = [("test images", f"floor of the distance {floor}", arrays["real"])]
    for name, source, distance, images in drawn_from:
        panels.append((f"{name}, z from {source}", f"Fréchet distance {format_number(distance)}", arrays[images]))
    return panels_and_codes(panels, {ae["name"]: arrays["autoencoder/codes"], vae["name"]: arrays["vae/codes"]})


@styled
def panels_and_codes(panels: Sequence[tuple[str, str, Array]], codes: Mapping[str, Array]) -> Figure:
    """Draw panels of (name, detail, images (n, C, H, W)) side by side, and below them where models' codes lie.

    `codes`: model → mean, low and high (3, k), `low` to `high` holding the middle 90 % of a dimension's codes.
    """
    _, _, height, width = panels[0][2].shape
    panel = min(PANEL * height / width, 2 * PANEL)
    figure = new_figure(len(panels) * (PANEL + 0.12), panel + 0.5 + BELOW, "Inventing images")
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[panel + 0.5, BELOW - 0.4])
    for axes, (name, detail, images) in zip(above.subplots(1, len(panels)), panels, strict=True):
        image_panel(axes, images, name, detail, fontsize=9)
    _codes(below.subplots(1, len(codes), sharey=True, squeeze=False)[0], codes)
    label = "middle 90 % of the codes (VAE: draws from q(z|x))"
    handles = [
        Patch(color=RULE, label="middle 90 % of N(0, 1)"),
        Line2D([], [], color=PALETTE[0], linewidth=4, solid_capstyle="butt", label=label),
        Line2D([], [], linestyle="", marker="o", color=PALETTE[2], markersize=4, label="mean of the codes"),
    ]
    below.legend(handles=handles, loc="outside lower left", ncols=3)
    return figure


def _codes(panels: Sequence[Axes], codes: Mapping[str, Array]) -> None:
    for axes, (name, (mean, low, high)) in zip(panels, codes.items(), strict=True):
        dimension = np.arange(1, len(mean) + 1)
        axes.axhspan(-NORMAL_90, NORMAL_90, color=RULE, linewidth=0, zorder=0)
        axes.vlines(dimension, low, high, color=PALETTE[0], linewidth=max(1.0, min(6.0, 90 / len(mean))))
        axes.plot(dimension, mean, "o", color=PALETTE[2], markersize=3.5)
        axes.set_xlim(0.3, len(mean) + 0.7)
        axes.set_title(f"Codes of the test images: {drawn(name)}")
        axes.set_xlabel("latent dimension")
        if len(mean) <= MAX_NAMED_DIMENSIONS:
            axes.set_xticks(dimension, [subscripted("z", int(j)) for j in dimension])
            axes.tick_params(axis="x", length=0, labelsize=7)
    panels[0].set_ylabel("code")
