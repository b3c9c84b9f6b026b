"""Principal component analysis: the best linear code, and the baseline that every autoencoder must beat."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autoencoders.models.base import Model
from autoencoders.models.blocks import Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from autoencoders.params import models as entries

    Floats = NDArray[np.float64]

MAX_EXACT_SIZE = 4096
"""Values per image up to which all eigenvectors are computed; above, subspace iteration finds the leading ones."""
CHUNK_BYTES = 64 * 2**20  # of the float64 images in memory at once during the iteration


class PCA(Model):
    """Linear code of images (B, C, H, W): z = components · (x − mean). Reconstructions are not clipped to [0, 1]."""

    mean: Tensor  # (C·H·W,)
    components: Tensor  # (latent, C·H·W), orthonormal rows, largest variance first

    def __init__(self, entry: "entries.Pca", shape: Shape, generator: torch.Generator | None = None) -> None:
        """All weights are zero until `fit`; the `generator` is not used."""
        super().__init__(shape, entry.latent)
        self.register_buffer("mean", torch.zeros(prod(shape)))
        self.register_buffer("components", torch.zeros(entry.latent, prod(shape)))

    def encode(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) → codes (B, latent)."""
        return (x.flatten(1) - self.mean) @ self.components.T

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, latent) → images (B, C, H, W), possibly outside [0, 1]."""
        return (z @ self.components + self.mean).unflatten(1, self.shape)

    def decoder_layers(self) -> list[nn.Module]:
        """Return one linear layer, and the clipping that makes its output an image."""
        with torch.device("meta"):  # no initial weights, which torch's global generator would draw
            linear = nn.Linear(self.latent, len(self.mean))
        linear.weight, linear.bias = nn.Parameter(self.components.T), nn.Parameter(self.mean)
        return [linear, nn.Hardtanh(0, 1)]

    def fit(self, images: "NDArray[np.uint8]", chunk: int = 4096) -> None:
        """Set mean and components from uint8 `images` (N, C, H, W), in float64, at most `chunk` images at a time."""
        flat = images.reshape(len(images), -1)
        decompose = _exact if flat.shape[1] <= MAX_EXACT_SIZE else _iterated
        mean, vectors = decompose(flat, self.latent, chunk)
        # An eigenvector's sign is arbitrary: make its largest entry positive, so equal data give equal weights.
        vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(self.latent)])
        self.mean.copy_(torch.from_numpy(mean))
        self.components.copy_(torch.from_numpy(vectors.T.copy()))


def _exact(flat: "NDArray[np.uint8]", count: int, chunk: int) -> "tuple[Floats, Floats]":
    """Return the mean (D,) of the rows of `flat` (N, D), and the first `count` eigenvectors of their covariance."""
    total = np.zeros(flat.shape[1])
    products = np.zeros((flat.shape[1], flat.shape[1]))
    for block in _blocks(flat, chunk):
        total += block.sum(0)
        products += block.T @ block
    mean = total / len(flat)
    return mean, np.linalg.eigh(products / len(flat) - np.outer(mean, mean))[1][:, ::-1][:, :count]


def _iterated(flat: "NDArray[np.uint8]", count: int, chunk: int) -> "tuple[Floats, Floats]":
    """Return the same without the covariance (D, D), which takes 4.5 TiB for 512×512 colour images."""
    chunk = max(1, min(chunk, CHUNK_BYTES // (flat.shape[1] * 8)))
    mean = sum((block.sum(0) for block in _blocks(flat, chunk)), np.zeros(flat.shape[1])) / len(flat)

    def covariance_times(basis: "Floats") -> "Floats":
        product = np.zeros_like(basis)
        for block in _blocks(flat, chunk):
            block -= mean
            product += block.T @ (block @ basis)
        return product / len(flat)

    return mean, leading_eigenvectors(covariance_times, flat.shape[1], count)


def _blocks(flat: "NDArray[np.uint8]", chunk: int) -> "Iterator[Floats]":
    for start in range(0, len(flat), chunk):
        yield flat[start : start + chunk].astype(np.float64) / 255


def leading_eigenvectors(
    times: "Callable[[Floats], Floats]", size: int, count: int, tolerance: float = 1e-10
) -> "Floats":
    """Return the `count` eigenvectors of largest eigenvalue of a symmetric matrix (D, D) as columns, largest first.

    By subspace iteration (Halko, Martinsson & Tropp 2011): `times` multiplies the matrix by a basis (D, k), and `size`
    is D.
    """
    width = min(size, 2 * count + 16)  # oversampling makes the iteration converge in a few rounds
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((size, width)))[0]
    captured = 0.0
    for _ in range(300):
        product = times(basis)
        values, rotation = np.linalg.eigh(basis.T @ product)
        vectors = basis @ rotation[:, ::-1][:, :count]
        before, captured = captured, float(values[-count:].sum())
        if abs(captured - before) <= tolerance * captured:
            break
        basis = np.linalg.qr(product)[0]
    return vectors
