"""What models make of images: reconstructions, interpolations, and samples from the prior."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from autoencoders.plots.image_rows import image_rows, interpolation_rows
from autoencoders.plots.style import Array, image_panel, new_figure, panel_grid, styled
from autoencoders.text import format_number

PANEL = 2.7  # inches, of a model's samples


@styled
def reconstructions(originals: Array, by_model: Mapping[str, Array], mse: Mapping[str, float]) -> Figure:
    """Draw `originals` (n, C, H, W) on top and one row of reconstructions, equally shaped, for each model.

    `mse`: test error per pixel, written under the model's name. Raise ValueError for another shape.
    """
    for name, images in by_model.items():
        if images.shape != originals.shape:
            raise ValueError(f"{name}: reconstructions {images.shape} do not match originals {originals.shape}")
    rows = [("originals", "", originals)]
    rows += [(name, f"test MSE {format_number(mse[name])}", images) for name, images in by_model.items()]
    figure, _ = image_rows("Test images and their reconstructions", rows)
    return figure


@styled
def interpolations(by_model: Mapping[str, Array], endpoints: Array) -> Figure:
    """Draw for each model its decodings (steps, C, H, W) of (1 − t)·z_A + t·z_B, t = 0 … 1 in equal steps.

    `endpoints` (2, C, H, W) are the test images A and B. The top row blends their pixels, (1 − t)·A + t·B: it begins
    and ends with the originals, and shows what an interpolation without a model looks like.
    Raise ValueError where images differ in shape, or models in their number of steps.
    """
    shapes = {images.shape for images in by_model.values()}
    if len(shapes) != 1 or next(iter(shapes))[1:] != endpoints.shape[1:]:
        raise ValueError(f"models' images {sorted(shapes)} must match each other and the endpoints {endpoints.shape}")
    title, detail = "Interpolations between two test images", "originals at the ends"
    return interpolation_rows(title, by_model, endpoints, detail, "t, from image A (0) to image B (1)", max_ticks=16)


@styled
def prior_samples(by_model: Mapping[str, Array], frechet: Mapping[str, float]) -> Figure:
    """Draw each model's images (n, C, H, W), decoded from z ~ N(0, I), as one square-ish panel, side by side.

    `frechet`: Fréchet distance of the model's samples to the test set, written under its name.
    """
    rows, columns = panel_grid(len(by_model), max_columns=4)
    _, _, height, width = next(iter(by_model.values())).shape
    panel_height = min(PANEL * height / width, 2 * PANEL)
    figure = new_figure(
        columns * (PANEL + 0.2), rows * (panel_height + 0.6) + 0.4, "Samples: decoded draws from N(0, I)"
    )
    for i, (name, images) in enumerate(by_model.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        image_panel(axes, images, name, f"Fréchet distance {format_number(frechet[name])}")
    return figure
