"""A VAE of more dimensions than a plane has, for the page: sliders move the code that it decodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.prepared import Split
from autoencoders.models import Model
from autoencoders.report.decoders import Decoder, as_base64, decoder
from autoencoders.report.thumbnails import Tiles, tiles

N_SLIDERS = 5


@dataclass(frozen=True)
class Start:
    """A test image whose code the sliders may start from."""

    text: str  # which image it is
    code: str  # base64 of little-endian float32
    tiles: Tiles  # the image


@dataclass(frozen=True)
class Sliders:
    """A model with its widest dimensions, those whose codes vary most over the test images."""

    name: str
    latent: int
    decoder: Decoder
    dimensions: list[int]  # from 0 on, the widest first
    deviations: list[float]  # standard deviations of the test codes along them
    starts: Sequence[Start]


def sliders(
    name: str,
    model: Model,
    codes: NDArray[np.float32],
    test: Split,
    indices: NDArray[np.intp],
    classes: Mapping[int, str],
) -> Sliders:
    """Return the sliders of a model with test `codes` (N, latent), to start from the test images at `indices`.

    `classes`: their names by label; empty where there are no labels.
    """
    deviation = codes.std(axis=0)
    widest = np.argsort(-deviation, kind="stable")[:N_SLIDERS]
    draws = np.random.default_rng(0).standard_normal((256, model.latent)).astype(np.float32)
    starts = [
        Start(
            f"test image {index}" + ("" if test.labels is None else f", class {classes[int(test.labels[index])]}"),
            as_base64(codes[index], "<f4"),
            tiles(test.images[index : index + 1]),
        )
        for index in indices.tolist()
    ]
    return Sliders(name, model.latent, decoder(model, draws), widest.tolist(), deviation[widest].tolist(), starts)
