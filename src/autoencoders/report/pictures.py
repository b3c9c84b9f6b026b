"""Figures inside the page: as compressed data URLs, with captions and alternative texts."""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from autoencoders.data.prepared import DatasetInfo
from autoencoders.errors import UserError
from autoencoders.files.reading import damage_named, open_file
from autoencoders.params import KINDS
from autoencoders.plots.style import DPI

if TYPE_CHECKING:
    from autoencoders.params import ModelParams

CSS_DPI = 96
MAX_WEBP_SIDE = 16_383  # pixels of the longest side that WebP can have
SHARED = {
    "comparison": (
        "Reconstruction and generation at a glance.",
        "Two charts with a row for each model: bars of the test MSE, each with a mark at PCA’s error for as many "
        "dimensions; and Fréchet distances of images decoded from N(0, I), a fitted Gaussian and a fitted mixture, "
        "with a line at the distance of real images. The numbers are in the table above.",
    ),
    "errors": (
        "The squared error of each test image. Below a model’s mean lie the usual images, in the tail at the right the "
        "odd ones. The worst are shown above.",
        "A row for each model: a histogram of the squared errors of the test images, with a line at the mean, and, "
        "where there are classes, a cell with the mean of each class.",
    ),
    "reconstructions": (
        "Test images and what each model makes of them after storing them in its code.",
        "A row of test images, and below it a row of their reconstructions for each model, with the model’s test MSE.",
    ),
    "samples": (
        "Images decoded from z ~ N(0, I). Only a VAE is trained to draw well here.",
        "For each network a grid of 64 images decoded from random draws of N(0, I), with its Fréchet distance.",
    ),
    "interpolations": (
        "From one test image to another: the codes are mixed step by step, and each mixture is decoded.",
        "A row for each model: eleven images that lead from the reconstruction of one test image to that of another.",
    ),
    "loss": (
        "Losses by step. Where the dashed training line falls and the validation line does not, a model overfits.",
        "Line charts of reconstruction loss and KL against the step, training dashed and validation solid, a line for "
        "each model.",
    ),
    "kl": (
        "KL by latent dimension. A dimension near 0 is not used. A dimension is active if its posterior mean varies "
        "between images, with a variance of more than 0.01.",
        "A bar chart for each VAE of the KL of each latent dimension in nats.",
    ),
}
"""Caption and alternative text of the figures that show all models, in the order of the page."""
CHARTS = ("comparison", "errors", "loss", "kl", "prediction")
"""Figures without pictures: 256 colours are enough for their lines and dots."""
N_COLOURS = 256
BY_MODEL = {
    "prediction": (
        "The test set in the latent plane of {model}{projected}.",
        "A scatter chart of the test codes of {model}, coloured by class where there are classes, each class’s name at "
        "its median.",
    ),
    "learned_distribution": (
        "What {model} draws across the latent plane: a grid over the quantiles of {grid}.",
        "A sheet of images decoded by {model} at evenly spread quantiles of {grid} in two latent dimensions; "
        "neighbours resemble each other.",
    ),
}


@dataclass(frozen=True)
class Picture:
    """A figure for the page; `width` and `height` in CSS pixels, as large as it was designed."""

    name: str  # of the file
    source: str  # a data URL
    width: int
    height: int
    alt: str
    caption: str = ""
    is_chart: bool = False  # without photographs, so that its colours may be turned on a dark page


def picture(path: Path, alt: str, caption: str = "") -> Picture:
    """Return the figure `path` for the page, in fewer bytes; raise `UserError` where it cannot be read.

    A chart has at most 256 colours, which halves it; of other figures every pixel is as it was.
    """
    damage = damage_named(
        path, "Run the `plots` stage.", Exception
    )  # a decoder fed with broken bytes may raise anything
    with damage, open_file(path) as file, Image.open(file) as image:
        image.load()
        is_chart = path.stem.partition("--")[0] in CHARTS
        (kind, data), size = _smaller(image, is_chart), image.size
    width, height = (round(side * CSS_DPI / DPI) for side in size)
    address = f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")
    return Picture(path.stem, address, max(width, 1), max(height, 1), alt, caption, is_chart)


def data_card(path: Path, info: DatasetInfo) -> Picture:
    """Return the data card for the page."""
    by_class = f" in a row for each of its {len(info.classes)} classes" if info.classes else ""
    alt = (
        f"The data card of {info.title}: the mean training image, pixel mean and standard deviation, sample images"
        f"{by_class}, and the number of images in each split."
    )
    return picture(path, alt, "What the models learned from.")


def _smaller(image: Image.Image, is_chart: bool) -> tuple[str, bytes]:
    """Return format and bytes of the picture on white: WebP takes two thirds of PNG's bytes."""
    white = Image.new("RGBA", image.size, "white")
    flat = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if is_chart:
        flat = flat.quantize(N_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    file = io.BytesIO()
    if max(image.size) > MAX_WEBP_SIDE:
        flat.save(file, "PNG", optimize=True)
        return "png", file.getvalue()
    flat.save(file, "WEBP", lossless=True, method=1, quality=0)  # more effort: three times as long for 7 % less
    return "webp", file.getvalue()


def model_figures(folder: Path) -> dict[str, Path]:
    """Return the figures of models in the folder of the stage `plots`, by name: all but the data card and the rungs."""
    return {path.stem: path for path in sorted(folder.glob("*.png")) if path.stem != "data_card"}


def shared_figures(folder: Path, models: Iterable[str]) -> list[Picture]:
    """Return the figures that show all models, in the page's order; those of no known name come last.

    Raise `UserError` where the folder has no figures.
    """
    found = model_figures(folder)
    if not found:
        raise UserError(f"{folder} holds no figures. Run the `plots` stage.")
    of_one = {f"{kind}--{model}" for kind in BY_MODEL for model in models}
    known = [name for name in SHARED if name in found]
    names = [*known, *(name for name in found if name not in known and name not in of_one)]
    described = {name: (alt, caption) for name, (caption, alt) in SHARED.items()}
    return [picture(found[name], *described.get(name, (f"Figure {name}.", name))) for name in names]


def figures_of(model: str, entry: "ModelParams", folder: Path) -> list[Picture]:
    """Return the figures of one model, by its entry of params.yaml."""
    kind = KINDS[entry.kind]
    texts = {
        "model": f"{model} ({kind.label}, {entry.latent}-dimensional)",
        "projected": ", its first two principal components" if entry.latent > 2 else "",
        "grid": "N(0, 1)" if kind.has_posterior else "its own codes, since nothing in its training forms them",
    }
    found = model_figures(folder)
    return [
        picture(found[name], alt.format(**texts), caption.format(**texts))
        for figure, (caption, alt) in BY_MODEL.items()
        if (name := f"{figure}--{model}") in found
    ]


def pictures(folder: Path, models: Mapping[str, "ModelParams"]) -> list[Picture]:
    """Return all figures of models, those that show all of them first."""
    own = [shown for name, entry in models.items() for shown in figures_of(name, entry, folder)]
    return [*shared_figures(folder, models), *own]
