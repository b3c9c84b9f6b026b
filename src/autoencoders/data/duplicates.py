"""Copies of images: exact ones, and near ones such as the same photograph in another size, brightness or compression.

Two images are near copies where the root-mean-square difference of their pixels is at most `MAX_DIFFERENCE`, after
both are brought to mean 0 and standard deviation 1, and neither is much brighter or of much more contrast. Candidates
come from a hash of 8×9 cells of the image, and all are compared pixel by pixel. The signs of differences between cells
(a difference hash of 64 bits) are not enough to find candidates: of 60,000 garments of Fashion-MNIST only 48,000 have
hashes of their own, and 448 share one. So the cells themselves are hashed. Shifted, mirrored or cropped copies are not
found.

An image of one grey level shows nothing that a model could remember, and is nobody's copy.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.arrays import images_per_block

Images = NDArray[np.uint8]
Numbers = NDArray[np.int64]

MAX_DIFFERENCE = 0.1
"""Of near copies, in standard deviations of an image's pixels: their correlation is at least 0.995."""
MAX_BRIGHTER, MAX_CONTRAST = 40.0, 1.4
"""Of near copies: the difference of their mean grey levels (of 255), and the ratio of their standard deviations."""
CELLS = (8, 9)
GRIDS, COMPONENTS, INTERVAL = 12, 6, 1.0
"""Of the hash that finds candidates: grids, their dimensions, and the side of a bucket in standard deviations."""
WINDOW = 8
"""With how many images of its bucket each is compared, so that time grows with N and not with N²."""
MAX_GROUP, MAX_GROUP_SHARE = 10, 0.05
"""A larger group of near copies is a kind of images, such as one product before one camera, and no group of copies."""


@dataclass(frozen=True)
class Copies:
    """Which of N images are copies of which."""

    groups: Numbers
    """(N,) the number of the first image that each is a copy of; its own, where there is none."""
    exact: int
    """Images with the pixels of an earlier one."""
    near: int
    """Further images that are a near copy of an earlier one."""
    flat: int
    """Images of one grey level, which count as no copies."""
    alike: int
    """Images in groups too large to be copies."""


def find_copies(*parts: Images) -> Copies:
    """Find the copies among images (N, C, H, W), which may be in several arrays: numbers go on from one to the next."""
    found = [_describe(part) for part in parts]
    digests = [digest for described in found for digest in described.digests]
    thumbnails, mean, std = (
        np.concatenate([getattr(described, name) for described in found]) for name in ("thumbnails", "mean", "std")
    )
    first: dict[bytes, int] = {}
    groups = np.array([first.setdefault(digest, number) for number, digest in enumerate(digests)], np.int64)
    flat = std == 0
    groups[flat] = np.flatnonzero(flat)
    exact = int((groups != np.arange(len(groups))).sum())
    distinct = np.flatnonzero((groups == np.arange(len(groups))) & ~flat)

    one, other = distinct[_candidates(thumbnails[distinct].reshape(len(distinct), CELLS[0] * CELLS[1]))].T
    close = np.abs(mean[one] - mean[other]) <= MAX_BRIGHTER
    close &= np.maximum(std[one], std[other]) <= MAX_CONTRAST * np.minimum(std[one], std[other])
    one, other = one[close], other[close]
    close = _difference(parts, one, other, mean, std) <= MAX_DIFFERENCE
    joined = _joined(len(groups), one[close], other[close])[groups]
    sizes = np.bincount(joined, minlength=len(groups))[joined]
    alike = (sizes > max(MAX_GROUP, MAX_GROUP_SHARE * len(groups))) & (joined != groups)
    alike = np.isin(joined, joined[alike])
    joined = np.where(alike, groups, joined)
    near = int((joined != np.arange(len(groups))).sum()) - exact
    return Copies(joined, exact, near, int(flat.sum()), int(alike.sum()))


def copies_of_earlier(groups: Numbers, *splits: Numbers) -> Numbers:
    """Return the numbers of the images of `splits` that have a copy in an earlier one of them."""
    seen, found = groups[splits[0]], [splits[0][:0]]
    for split in splits[1:]:
        found.append(split[np.isin(groups[split], seen)])
        seen = np.concatenate([seen, groups[split]])
    return np.concatenate(found)


@dataclass(frozen=True)
class _Described:
    digests: list[bytes]
    thumbnails: NDArray[np.float32]
    """(N, 8, 9): mean grey level of each cell, in standard deviations from the image's mean."""
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    """(N,) of all pixels and channels, of 255."""


def _describe(images: Images) -> _Described:
    count, _, height, width = images.shape
    rows, columns = _cells(height, CELLS[0]), _cells(width, CELLS[1])
    digests: list[bytes] = []
    thumbnails = np.empty((count, *CELLS), np.float32)
    mean, std = np.empty(count, np.float32), np.empty(count, np.float32)
    step = images_per_block(images.shape[1:])
    for start in range(0, count, step):
        here = slice(start, start + step)
        block = np.ascontiguousarray(images[here])
        digests += [hashlib.blake2b(image.data, digest_size=16).digest() for image in block]
        pixels = block.astype(np.float32)
        mean[here], std[here] = pixels.mean(axis=(1, 2, 3)), pixels.std(axis=(1, 2, 3))
        # exactly: the mean of many float32 is rounded
        std[here][block.min(axis=(1, 2, 3)) == block.max(axis=(1, 2, 3))] = 0
        thumbnails[here] = rows @ (pixels.mean(axis=1) @ columns.T)
    thumbnails -= mean[:, np.newaxis, np.newaxis]
    thumbnails /= np.maximum(std, 1e-6)[:, np.newaxis, np.newaxis]
    return _Described(digests, thumbnails, mean, std)


def _cells(side: int, count: int) -> NDArray[np.float32]:
    """Return the weights (count, side) by which `side` pixels in a row become the means of `count` cells."""
    edges = np.arange(count + 1) * side / count
    low, high = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    pixel = np.arange(side)
    inside = (pixel >= low[:, np.newaxis]) & (pixel < high[:, np.newaxis])
    return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


def _candidates(cells: NDArray[np.float32]) -> Numbers:
    """Return pairs (n, 2) of images, by their numbers, whose cells (N, d) differ no more than those of near copies may.

    Locality-sensitive hashing (Datar et al. 2004): the first principal components of the cells are cut into intervals,
    which makes a grid of buckets. Near copies are mostly in one bucket, and hardly ever apart in all of several grids.
    """
    count = len(cells)
    if count < 2:
        return np.empty((0, 2), np.int64)
    centred = cells - cells.mean(axis=0)
    main = np.linalg.eigh(centred.T @ centred).eigenvectors[:, ::-1][:, :COMPONENTS]
    places = centred @ main / INTERVAL
    rng = np.random.default_rng(0)
    found = [np.empty((0, 2), np.int64)]
    for _ in range(GRIDS):
        grid = np.floor(places + rng.random(places.shape[1], np.float32)).astype(np.int64)
        bucket = (grid * rng.integers(1, 2**62, grid.shape[1])).sum(axis=1)  # its sum may overflow, as hashes do
        along = centred @ rng.standard_normal(centred.shape[1], np.float32)
        order = np.lexsort((along, bucket))
        for step in range(1, min(WINDOW, count - 1) + 1):
            shared = np.flatnonzero(bucket[order[:-step]] == bucket[order[step:]])
            pairs = np.stack([order[shared], order[shared + step]], axis=1)
            difference = np.square(cells[pairs[:, 0]] - cells[pairs[:, 1]]).mean(axis=1)
            # those of near copies differ no more than their pixels, but for cells that share pixels
            found.append(np.sort(pairs[difference <= (1.2 * MAX_DIFFERENCE) ** 2], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _difference(
    parts: Sequence[Images], one: Numbers, other: Numbers, mean: NDArray[np.float32], std: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the root-mean-square difference of pairs of images, each brought to mean 0 and standard deviation 1."""

    def pixels(numbers: Numbers) -> NDArray[np.float32]:
        shape = (len(numbers), 1, 1, 1)
        return (_gathered(parts, numbers) - mean[numbers].reshape(shape)) / std[numbers].reshape(shape)

    differences = [np.empty(0, np.float32)]
    step = images_per_block(parts[0].shape[1:])
    for start in range(0, len(one), step):
        difference = pixels(one[start : start + step]) - pixels(other[start : start + step])
        differences.append(np.sqrt(np.square(difference).mean(axis=(1, 2, 3))))
    return np.concatenate(differences)


def _gathered(parts: Sequence[Images], numbers: Numbers) -> NDArray[np.float32]:
    found = np.empty((len(numbers), *parts[0].shape[1:]), np.float32)
    start = 0
    for part in parts:
        here = (numbers >= start) & (numbers < start + len(part))
        found[here] = part[numbers[here] - start]
        start += len(part)
    return found


def _joined(count: int, one: Numbers, other: Numbers) -> Numbers:
    """Return, for each of `count` numbers, the smallest that is joined to it by pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(one), np.int8), (one, other)), (count, count))
    _, component = connected_components(links, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component].astype(np.int64)
