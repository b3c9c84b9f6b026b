"""Arrays of images that may be larger than memory: written to a file a block at a time, and mapped from there."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 16 * 2**20


def spool(path: Path, blocks: Iterable[NDArray[np.uint8]], item: tuple[int, ...]) -> NDArray[np.uint8]:
    """Write blocks of shape (n, *item) to `path` and return all of them as one read-only memory map (N, *item).

    Written as a plain file, not through a writable map: a map that outgrows the disk kills the process.
    """
    with path.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block).data)
    count = path.stat().st_size // int(np.prod(item))
    if count == 0:
        return np.empty((0, *item), np.uint8)
    return np.memmap(path, np.uint8, mode="r", shape=(count, *item))


def gather(path: Path, images: NDArray[np.uint8], order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return `images[order]` as a memory map of `path`, holding only a block of it in memory at a time."""
    step = images_per_block(images.shape[1:])
    blocks = (images[order[start : start + step]] for start in range(0, len(order), step))
    return spool(path, blocks, images.shape[1:])


def images_per_block(item: tuple[int, ...]) -> int:
    """Return how many uint8 images of shape `item` make a block of at most `BLOCK_BYTES` (at least one)."""
    return max(1, BLOCK_BYTES // int(np.prod(item)))
