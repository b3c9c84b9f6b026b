"""Large images, reduced for the rungs that train on pixels: they are about networks, not about details."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from autoencoders.data.batches import EVAL_BATCH

MAX_SIDE = 32
"""Pixels; larger images are reduced. The rungs' networks have the size for such images."""


def reduced_size(shape: Sequence[int]) -> tuple[int, int] | None:
    """Return height and width to which images (…, H, W) are reduced; None where they are small enough."""
    height, width = shape[-2:]
    factor = MAX_SIDE / max(height, width)
    return None if factor >= 1 else (max(1, round(height * factor)), max(1, round(width * factor)))


def reduced(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a copy of images (N, C, H, W) with at most `MAX_SIDE` pixels a side, by averaging."""
    size = reduced_size(images.shape)
    if not size:
        return np.array(images)
    blocks = [
        F.interpolate(torch.from_numpy(np.array(images[start : start + EVAL_BATCH])).float(), size, mode="area")
        for start in range(0, len(images), EVAL_BATCH)
    ]
    return torch.cat([block.round().byte() for block in blocks]).numpy()
