"""The models, one file per idea. A new kind is a class and a line in `KINDS`."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch

from autoencoders.errors import UserError
from autoencoders.models.autoencoder import Autoencoder
from autoencoders.models.blocks import Shape
from autoencoders.models.pca import PCA
from autoencoders.models.vae import VAE

Model = PCA | Autoencoder
"""Anything with `shape`, `latent`, `encode` and `decode`; a VAE is an Autoencoder with a posterior."""

KINDS: dict[str, Callable[..., Model]] = {"pca": PCA, "autoencoder": Autoencoder, "vae": VAE}

_TRAINING_ONLY = {"kind", "train", "beta", "kl_warmup"}


def build(params: Mapping[str, Any], shape: Shape, generator: torch.Generator | None = None) -> Model:
    """Build the model that an entry of `params.yaml` `models` describes, for images of `shape` (C, H, W).

    `generator` draws the initial weights; without it they are torch's, to be overwritten by stored ones.
    Raises `UserError` where the model cannot fit the images.
    """
    if params["latent"] > prod(shape):
        raise UserError(
            f"latent: {params['latent']} is larger than the data ({prod(shape)} values an image, "
            f"{shape[0]}×{shape[1]}×{shape[2]}): nothing would be compressed. Choose at most {prod(shape)}."
        )
    options = {key: value for key, value in params.items() if key not in _TRAINING_ONLY}
    if generator is not None and params["kind"] != "pca":
        options["generator"] = generator
    return KINDS[params["kind"]](shape, **options)


def parameter_shapes(params: Mapping[str, Any], shape: Shape) -> dict[str, list[int]]:
    """Return the shapes of all that `build` would make by name, without making it. Raises what `build` raises."""
    with torch.device("meta"):
        return {name: list(value.shape) for name, value in build(params, shape).state_dict().items()}


def count_numbers(shapes: Mapping[str, Sequence[int]]) -> int:
    """Return how many numbers arrays of these shapes hold."""
    return sum(prod(sides) for sides in shapes.values())


def all_finite(values: torch.Tensor, what: str) -> torch.Tensor:
    """Return `values`, what a model computed of images; raises `UserError` where one is NaN or infinite."""
    if not values.isfinite().all():
        raise UserError(
            f"the model's {what} of these images are NaN or infinite: its weights are too large. "
            "Train it again, with a lower learning rate."
        )
    return values
