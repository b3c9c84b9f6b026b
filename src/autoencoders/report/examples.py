"""What the models make of test images: strips for all of them, and for each its best and worst reconstructions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from autoencoders.data.prepared import Split
from autoencoders.models import Model
from autoencoders.report.planes import class_names
from autoencoders.report.thumbnails import Tiles, tiles
from autoencoders.text import format_number

N_TILES = 10  # images of a strip, and examples of either end
N_STOPS = 9  # of the scale's gradient
COLOURS = "inferno"  # from black, no error, to yellow
Images = NDArray[np.float32]


@dataclass(frozen=True)
class Strip:
    """A row of images: the originals, or what a model makes of them."""

    name: str
    alt: str
    tiles: Tiles


@dataclass(frozen=True)
class Example:
    """A test image over its reconstruction and its error map."""

    index: int  # within the test split
    label: str  # its class; empty where there are none
    mse: str  # in thousandths, which leaves few digits
    tiles: Tiles


@dataclass(frozen=True)
class Extremes:
    """The test images that a model reconstructs worst and best, the most extreme first."""

    name: str
    worst: Sequence[Example]
    best: Sequence[Example]


@dataclass(frozen=True)
class Examples:
    """Those of all models, and the scale of their error maps."""

    models: Sequence[Extremes]
    largest: float  # the absolute error that has the last of the colours
    colours: Sequence[str]  # of the scale, from no error on


def reconstruction_strips(models: Mapping[str, Model], images: NDArray[np.uint8]) -> list[Strip]:
    """Return the first `N_TILES` of `images` (n, C, H, W), and each model's reconstructions of them."""
    shown = images[:N_TILES].astype(np.float32) / np.float32(255)
    strips = [Strip("original", f"{len(shown)} test images", tiles(shown))]
    for name, model in models.items():
        strips.append(Strip(name, f"Their reconstructions by {name}", tiles(redrawn_by(model, shown))))
    return strips


@torch.inference_mode()
def draw_strips(models: Mapping[str, Model], seed: int) -> list[Strip]:
    """Return `N_TILES` images that each model decodes from z ~ N(0, I)."""
    strips = []
    for name, model in models.items():
        z = torch.randn(N_TILES, model.latent, generator=torch.Generator().manual_seed(seed))
        strips.append(
            Strip(name, f"{N_TILES} draws of {name} from N(0, I)", tiles(model.decode(z).clamp(0, 1).numpy()))
        )
    return strips


def examples(
    models: Mapping[str, Model], errors: Mapping[str, NDArray[Any]], test: Split, classes: Sequence[str] | None
) -> Examples:
    """Return for each model the test images of the highest and the lowest of its squared `errors` (N,)."""
    names = {} if test.labels is None else class_names(test.labels, classes)
    count = max(1, min(N_TILES, len(test.images) // 2))
    chosen = {}
    for name, model in models.items():
        order = np.argsort(-errors[name], kind="stable")
        indices = np.concatenate([order[:count], order[::-1][:count]])
        originals = test.images[indices].astype(np.float32) / 255
        redrawn = redrawn_by(model, originals)
        chosen[name] = (indices, originals, redrawn, np.abs(originals - redrawn).mean(1))
    largest = max(float(maps.max()) for *_, maps in chosen.values()) or 1.0
    found = []
    for name, (indices, originals, redrawn, maps) in chosen.items():
        coloured = _coloured(maps / largest)
        made = [
            Example(
                int(index),
                "" if test.labels is None else names[int(test.labels[index])],
                format_number(1000 * float(errors[name][index])),
                tiles(np.stack([_rgb(originals[i]), _rgb(redrawn[i]), coloured[i]]), "column"),
            )
            for i, index in enumerate(indices)
        ]
        found.append(Extremes(name, worst=made[:count], best=made[count:]))
    colours = [to_hex(colour) for colour in matplotlib.colormaps[COLOURS](np.linspace(0, 1, N_STOPS))]
    return Examples(found, largest, colours)


@torch.inference_mode()
def redrawn_by(model: Model, images: Images) -> Images:
    """Return a model's reconstructions of `images` (n, C, H, W), in [0, 1] as these are."""
    return model.decode(model.encode(torch.from_numpy(images))).clamp(0, 1).numpy()


def _coloured(maps: NDArray[Any]) -> NDArray[Any]:
    """Return maps (n, H, W) of values in [0, 1] as images (n, 3, H, W)."""
    return matplotlib.colormaps[COLOURS](maps)[..., :3].transpose(0, 3, 1, 2)


def _rgb(image: NDArray[Any]) -> NDArray[Any]:
    return np.broadcast_to(image, (3, *image.shape[1:]))
