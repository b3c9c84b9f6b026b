"""Originals over reconstructions, model by model."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from autoencoders.plots.image_rows import image_rows
from autoencoders.plots.style import Array, styled
from autoencoders.text import format_number


@styled
def reconstructions(originals: Array, by_model: Mapping[str, Array], mse: Mapping[str, float] | None = None) -> Figure:
    """Draw `originals` (n, C, H, W) on top and one row of reconstructions, equally shaped, for each model.

    `mse`: test error per pixel, written under the model's name.
    """
    for name, images in by_model.items():
        if images.shape != originals.shape:
            raise ValueError(f"{name}: reconstructions {images.shape} do not match originals {originals.shape}")
    details = {name: f"test MSE {format_number(mse[name])}" for name in by_model if mse and name in mse}
    rows = [("originals", "", originals), *((name, details.get(name, ""), x) for name, x in by_model.items())]
    figure, _ = image_rows("Test images and their reconstructions", rows)
    return figure
