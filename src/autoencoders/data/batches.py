"""Minibatches of float images on the device, from uint8 arrays that stay on the device where they fit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESIDENT_SHARE = 0.5
"""Share of the GPU's free memory that images may take; a larger set stays in (memory-mapped) host memory."""


class Batches:
    """Images uint8 (N, C, H, W) served as float32 batches in [0, 1] on `device`; the last batch may be smaller."""

    def __init__(self, images: "NDArray[np.uint8]", batch_size: int, device: torch.device) -> None:
        self.batch_size = batch_size
        self.device = device
        self._images = _tensor(images)
        if device.type == "cuda" and images.nbytes < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            self._images = self._images.to(device)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._images) // self.batch_size)

    def shuffled(self, generator: torch.Generator) -> Iterator[Tensor]:
        """One epoch in an order drawn from `generator` (a CPU generator: the order is the same on every device)."""
        order = torch.randperm(len(self._images), generator=generator).to(self._images.device)
        for indices in order.split(self.batch_size):
            yield self._float(self._images.index_select(0, indices))

    def in_order(self) -> Iterator[Tensor]:
        """One epoch in the stored order."""
        for block in self._images.split(self.batch_size):
            yield self._float(block)

    def _float(self, block: Tensor) -> Tensor:
        return block.to(self.device, non_blocking=True).float().div_(255)


def _tensor(images: "NDArray[np.uint8]") -> Tensor:
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # nothing here writes to it
        return torch.from_numpy(images)
