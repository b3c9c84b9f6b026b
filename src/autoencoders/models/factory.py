"""Building the model that an entry of `params.yaml` describes."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

import torch

from autoencoders.errors import UserError
from autoencoders.models.base import Model
from autoencoders.models.blocks import Shape

if TYPE_CHECKING:
    from autoencoders.params import ModelParams


def build(entry: "ModelParams", shape: Shape, generator: torch.Generator | None = None) -> Model:
    """Build the model of an `entry` for images of `shape` (C, H, W).

    `generator` draws the initial weights; without it they are torch's, to be overwritten by stored ones.
    Raise `UserError` where the model cannot fit the images.
    """
    from autoencoders.params.models import KINDS  # imported here, because models also run without pydantic

    if entry.latent > prod(shape):
        raise UserError(
            f"latent: {entry.latent} is larger than the data ({prod(shape)} values in an image, "
            f"{shape[0]}×{shape[1]}×{shape[2]}): nothing would be compressed. Choose at most {prod(shape)}."
        )
    return KINDS[entry.kind].load()(entry, shape, generator)


def parameter_shapes(entry: "ModelParams", shape: Shape) -> dict[str, list[int]]:
    """Return the shapes of all that `build` would make by name, without making it. Raises what `build` raises."""
    with torch.device("meta"):
        return {name: list(value.shape) for name, value in build(entry, shape).state_dict().items()}


def n_components(entry: "ModelParams", shape: Shape) -> int:
    """Return how many principal components of the training images the model of an `entry` needs to begin."""
    with torch.device("meta"):
        return build(entry, shape).n_components


def count_numbers(shapes: Mapping[str, Sequence[int]]) -> int:
    """Return how many numbers arrays of these shapes hold."""
    return sum(prod(sides) for sides in shapes.values())
