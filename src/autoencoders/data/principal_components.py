"""Principal components of images: the baseline of every autoencoder, and what one begins with.

They are computed once a data set, of its training split alone: with validation images in them, validation would be
blind.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_EXACT = 6000
"""The lesser of images and values per image up to which the decomposition is exact; above, it is iterated."""
EXACT_SUMMANDS = 256
"""Products of two 8-bit values, so many of which float32 adds without rounding: 256 · 255² < 2²⁴."""
BLOCK_BYTES = 64 * 2**20
"""Of the float32 images that are in memory at once."""
RANK_TOLERANCE = 1e-12
"""Share of the largest variance below which a variance is rounding."""
TOLERANCE = 1e-8
"""Share of the captured variance by which an iteration must change it to go on."""


@dataclass(frozen=True)
class PrincipalComponents:
    """The directions in which images (N, C, H, W), pixels in [0, 1], vary most; D = C·H·W."""

    mean: Floats
    """(D,)"""
    directions: NDArray[np.float32]
    """(K, D): orthonormal rows, largest variance first; zero beyond the rank of the images."""
    variances: Floats
    """(K,): of the images along each direction."""
    rest: float
    """Variance along all other directions together."""

    def leading(self, count: int) -> "PrincipalComponents":
        """Return the first `count` of them."""
        rest = self.rest + float(self.variances[count:].sum())
        return PrincipalComponents(self.mean, self.directions[:count], self.variances[:count], rest)


def principal_components(images: NDArray[np.uint8], count: int, max_exact: int = MAX_EXACT) -> PrincipalComponents:
    """Return the first `count` principal components of `images` (N, C, H, W).

    The smaller of two matrices is decomposed: the covariance (D, D), or the Gram matrix (N, N) of the images, whose
    eigenvalues are the same (Turk & Pentland 1991). Where both are larger than `max_exact`, the components come from an
    iteration that begins with those of the first images; these must be in random order.
    """
    flat = images.reshape(len(images), -1)
    if min(flat.shape) > max_exact:
        mean, variances, columns, total = _iterated(flat, count, max_exact)
    elif flat.shape[1] <= flat.shape[0]:
        mean, variances, columns, total = _of_covariance(flat, count)
    else:
        mean, variances, columns, total = _of_gram_matrix(flat, count)
    found = int((variances > RANK_TOLERANCE * max(variances[0], np.finfo(float).tiny)).sum())
    variances, columns = variances[:found], columns[:, :found]
    # An eigenvector's sign is arbitrary: make its largest entry positive, so equal data give equal weights.
    columns = columns * np.sign(columns[np.abs(columns).argmax(0), np.arange(found)])
    directions = np.zeros((count, flat.shape[1]), np.float32)
    directions[:found] = columns.T
    padded = np.pad(variances, (0, count - found))
    return PrincipalComponents(mean, directions, padded, max(0.0, total - float(variances.sum())))


def _of_covariance(flat: NDArray[np.uint8], count: int) -> tuple[Floats, Floats, Floats, float]:
    """Return mean (D,), variances (k,), directions (D, k), and the total variance of the rows of `flat` (N, D)."""
    count_of_images, size = flat.shape
    total, products = np.zeros(size), np.zeros((size, size))
    for start in range(0, count_of_images, EXACT_SUMMANDS):
        block = flat[start : start + EXACT_SUMMANDS].astype(np.float32)
        total += block.sum(0, dtype=np.float64)
        products += block.T @ block
    products -= np.outer(total, total) / count_of_images
    products /= count_of_images * 255**2
    variances, vectors = _largest_eigenvectors(products, count)
    return total / count_of_images / 255, variances, vectors, float(products.trace())


def _of_gram_matrix(flat: NDArray[np.uint8], count: int) -> tuple[Floats, Floats, Floats, float]:
    """Return the same from the inner products of the rows: fast where there are fewer images than values in each."""
    count_of_images, size = flat.shape
    mean = flat.sum(0, dtype=np.float64) / count_of_images / 255
    gram = np.zeros((count_of_images, count_of_images))
    for start in range(0, size, EXACT_SUMMANDS):
        block = flat[:, start : start + EXACT_SUMMANDS].astype(np.float32)
        gram += block @ block.T
    means = gram.mean(0)
    gram += means.mean() - means - means[:, None]
    gram /= count_of_images * 255**2
    total = float(gram.trace())
    variances, vectors = _largest_eigenvectors(gram, count)
    variances = variances[variances > RANK_TOLERANCE * max(variances[0], np.finfo(float).tiny)]
    if not len(variances):
        return mean, np.zeros(1), np.zeros((size, 1)), total
    # An image direction is the combination of the images by an eigenvector; its length is known.
    weights = vectors[:, : len(variances)] / np.sqrt(variances * count_of_images) / 255
    columns = np.zeros((size, len(variances)))
    for start in range(0, count_of_images, step := _rows_per_block(size)):
        columns += flat[start : start + step].T.astype(np.float32) @ weights[start : start + step].astype(np.float32)
    return mean, variances, _orthonormal(columns), total


def _iterated(flat: NDArray[np.uint8], count: int, first: int) -> tuple[Floats, Floats, Floats, float]:
    """Return the same by subspace iteration (Halko, Martinsson & Tropp 2011), without a matrix of N or D squared."""
    mean, squares = np.zeros(flat.shape[1]), 0.0
    for block in _blocks(flat):
        mean += block.sum(0, dtype=np.float64)
        squares += float(np.square(block, dtype=np.float64).sum())
    mean /= len(flat)
    total = squares / len(flat) - float(mean @ mean)
    centre = mean.astype(np.float32)

    def covariance_times(basis: Floats) -> Floats:
        narrow, product = basis.astype(np.float32), np.zeros_like(basis)
        for block in _blocks(flat):
            block -= centre
            product += block.T @ (block @ narrow)
        return product / len(flat)

    width = min(flat.shape[1], first - 1, count + max(16, count // 4))  # oversampling: fewer iterations
    basis = _of_gram_matrix(flat[:first], width)[2] if first < flat.shape[1] else _of_covariance(flat[:first], width)[2]
    variances, vectors = leading_eigenvectors(covariance_times, basis, count)
    return mean, variances, vectors, total


def leading_eigenvectors(
    times: Callable[[Floats], Floats], basis: Floats, count: int, tolerance: float = TOLERANCE
) -> tuple[Floats, Floats]:
    """Return the `count` largest eigenvalues and eigenvectors (D, count) of a symmetric matrix (D, D).

    `times` multiplies the matrix by a basis (D, k), and `basis` is the orthonormal one to begin with, k ≥ `count`.
    """
    captured = 0.0
    for _ in range(300):
        product = times(basis)
        values, rotation = np.linalg.eigh(basis.T @ product)
        variances, vectors = values[::-1][:count], basis @ rotation[:, ::-1][:, :count]
        before, captured = captured, float(variances.sum())
        if abs(captured - before) <= tolerance * captured:
            break
        basis = _orthonormal(product)
    return variances, vectors


def _largest_eigenvectors(matrix: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the `count` largest eigenvalues of a symmetric matrix, largest first, and their vectors as columns."""
    from scipy.linalg import eigh  # a third of a second to import, and half of numpy's time for a few vectors

    size = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=[max(0, size - count), size - 1], check_finite=False)
    return values[::-1], vectors[:, ::-1]


def _orthonormal(columns: Floats) -> Floats:
    """Return an orthonormal basis of the space of `columns` (D, k), each turned towards its column."""
    q, r = np.linalg.qr(columns)
    return q * np.sign(np.diag(r))


def _blocks(flat: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    """Yield the rows as pixels in [0, 1], a block at a time."""
    step = _rows_per_block(flat.shape[1])
    for start in range(0, len(flat), step):
        yield flat[start : start + step].astype(np.float32) / np.float32(255)


def _rows_per_block(size: int) -> int:
    return max(1, BLOCK_BYTES // (4 * size))
