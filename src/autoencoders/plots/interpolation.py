"""Straight lines in the latent space from one test image to another."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from autoencoders.plots.image_rows import image_rows
from autoencoders.plots.style import Array, marked, pixels, styled


@styled
def interpolations(by_model: Mapping[str, Array], endpoints: Array) -> Figure:
    """Draw for each model its decodings (steps, C, H, W) of (1 − t)·z_A + t·z_B, t = 0 … 1 in equal steps.

    `endpoints` (2, C, H, W) are the test images A and B. The top row blends their pixels, (1 − t)·A + t·B: it begins
    and ends with the originals, and shows what an interpolation without a model looks like.
    """
    shapes = {images.shape for images in by_model.values()}
    if len(shapes) != 1 or next(iter(shapes))[1:] != endpoints.shape[1:]:
        raise ValueError(f"models' images {sorted(shapes)} must match each other and the endpoints {endpoints.shape}")
    t = np.linspace(0, 1, next(iter(shapes))[0])
    first, last = pixels(endpoints).transpose(0, 3, 1, 2)
    blend = (1 - t)[:, None, None, None] * first + t[:, None, None, None] * last
    rows = [("pixel blend", "originals at the ends", blend), *((name, "", x) for name, x in by_model.items())]
    figure, (axes, centres) = image_rows("Interpolations between two test images", rows)
    ticks = marked(len(t), most=16)
    axes.set_xticks(centres[ticks], [f"{value:.2f}".rstrip("0").rstrip(".") for value in t[ticks]])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("t, from image A (0) to image B (1)")
    return figure
