"""Rung 2: several images in the same weights, told apart by one-hot inputs. How many fit?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.ladder.memory import Memory, errors, learn, new_decoder, recall

if TYPE_CHECKING:
    from autoencoders.params import OneHotRung


@dataclass(frozen=True)
class Capacity:
    """N images in one network."""

    weights: int
    """Of the decoder, which all images share."""
    mse: float
    psnr: float
    """In dB."""
    curve: NDArray[np.float64]
    """(steps,): the MSE before each step."""
    recalled: NDArray[np.float32]
    """(N, C, H, W)."""


def counts_of(counts: Sequence[int], available: int) -> list[int]:
    """Return `counts` in ascending order, none larger than the number of images that are `available`."""
    return sorted({min(count, available) for count in counts})


def store_images(
    images: NDArray[np.uint8],
    settings: "OneHotRung",
    *,
    seed: int,
    device: torch.device,
    on_step: Callable[[], object] = lambda: None,
) -> Capacity:
    """Train one network to draw all of `images` (N, C, H, W), each from its one-hot vector of length N.

    The first layer turns a one-hot vector into `settings.latent` numbers, its column for that image. The decoder
    after it is the same for every N: equally large, with the same initial weights, trained for as many steps.
    """
    generator = torch.Generator().manual_seed(seed)
    decoder = new_decoder(images, settings.channels, settings.latent, generator)
    columns = torch.randn(len(images), settings.latent, generator=generator)
    memory = Memory(columns, decoder, learned=True).to(device)
    losses = []
    for loss in learn(
        memory, images, steps=settings.steps, batch_size=len(images), rate=settings.learning_rate, order=generator
    ):
        losses.append(loss)
        on_step()
    recalled = recall(memory)
    curve = torch.stack(losses).double().cpu().numpy()
    return Capacity(memory.weights, curve=curve, recalled=recalled.numpy(), **errors(images, recalled))
