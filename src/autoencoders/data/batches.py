"""Minibatches of float images, or what a model made of them, on the device; arrays stay there where they fit."""

import ctypes
import mmap
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESIDENT_SHARE = 0.5
"""Share of the GPU's free memory that images may take; a larger set stays in (memory-mapped) host memory."""
EVAL_BATCH = 1000
"""Images that a trained model takes at once."""
MIN_ADVISED_BYTES = 2**30
"""From this size on, a memory-mapped set may not fit in memory, and Linux is advised which images are read next."""


class Batches:
    """Serve images uint8 (N, C, H, W) as float32 batches in [0, 1] on `device`; the last batch may be smaller.

    Rows of float32 are served as they are.
    """

    def __init__(self, images: "NDArray[np.uint8 | np.float32]", batch_size: int, device: torch.device) -> None:
        self.batch_size = batch_size
        self.device = device
        self._images = _tensor(images)
        self._advisor: MapAdvisor | None = None
        if device.type == "cuda" and images.nbytes < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            self._images = self._images.to(device)
        elif isinstance(images, np.memmap) and images.nbytes >= MIN_ADVISED_BYTES:
            self._advisor = MapAdvisor(images)

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self._images)

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return -(-len(self._images) // self.batch_size)

    def endless(self, generator: torch.Generator, start: int = 0) -> Iterator[Tensor]:
        """Yield the batches of one shuffled epoch after the other, from batch `start` on.

        The orders of all epochs are drawn: a training that stopped after `start` steps gets the batches that it lacks.
        """
        while True:
            yield from self.shuffled(generator, start)
            start = max(0, start - len(self))

    def shuffled(self, generator: torch.Generator, start: int = 0) -> Iterator[Tensor]:
        """Yield one epoch, from batch `start` on, in an order drawn from `generator`.

        It is drawn on the CPU: the order is the same on every device.
        """
        order = torch.randperm(len(self._images), generator=generator).to(self._images.device)
        for indices, following in pairwise([*order.split(self.batch_size)[start:], order[:0]]):
            if self._advisor:
                self._advisor.will_need(following)
            yield self._float(self._images.index_select(0, indices))

    def in_order(self) -> Iterator[Tensor]:
        """Yield one epoch in the stored order."""
        if self._advisor:
            self._advisor.read_in_order()
        for block in self._images.split(self.batch_size):
            yield self._float(block)

    def _float(self, block: Tensor) -> Tensor:
        moved = block.to(self.device, non_blocking=True)
        return moved.float().div_(255) if block.dtype == torch.uint8 else moved


class MapAdvisor:
    """Advise Linux (madvise) which images of a memory map (N, C, H, W) are read next.

    Without advice, it reads up to megabytes ahead at every image, and drops as much that is needed again. With it, it
    fetches only the images of the next batch, many at a time, while the batch before is trained on.
    """

    def __init__(self, images: "np.memmap[tuple[int, ...], np.dtype[np.uint8 | np.float32]]") -> None:
        self._address, self._bytes, self._image_bytes = images.ctypes.data, images.nbytes, images[:1].nbytes
        self._advise = ctypes.CDLL(None).madvise
        self._advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        self._pattern: int | None = None

    def will_need(self, indices: Tensor) -> None:
        """Begin to read the images of these indices, and nothing around them."""
        self._set_pattern(mmap.MADV_RANDOM)
        for index in indices.tolist():
            self._call(self._address + index * self._image_bytes, self._image_bytes, mmap.MADV_WILLNEED)

    def read_in_order(self) -> None:
        """Read ahead again."""
        self._set_pattern(mmap.MADV_NORMAL)

    def _set_pattern(self, advice: int) -> None:
        if advice != self._pattern:
            self._call(self._address, self._bytes, advice)
            self._pattern = advice

    def _call(self, start: int, length: int, advice: int) -> None:
        before = start % mmap.PAGESIZE  # madvise(2) takes whole pages
        self._advise(start - before, length + before, advice)


def _tensor(images: "NDArray[np.uint8 | np.float32]") -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # nothing here writes to it
        return torch.from_numpy(images)
