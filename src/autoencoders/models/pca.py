"""Principal component analysis: the best linear code, and the baseline that every autoencoder must beat."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from autoencoders.models.blocks import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_UP_TO = 4096
"""Pixels up to which all eigenvectors are computed; above, the leading ones by subspace iteration."""


class PCA(nn.Module):
    """Linear code of images (B, C, H, W): z = components · (x − mean). Reconstructions are not clipped to [0, 1]."""

    mean: Tensor  # (C·H·W,)
    components: Tensor  # (latent, C·H·W), orthonormal rows, largest variance first

    def __init__(self, shape: Shape, latent: int) -> None:
        super().__init__()
        self.shape = shape
        self.latent = latent
        self.register_buffer("mean", torch.zeros(prod(shape)))
        self.register_buffer("components", torch.zeros(latent, prod(shape)))

    def encode(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) → codes (B, latent)."""
        return (x.flatten(1) - self.mean) @ self.components.T

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, latent) → images (B, C, H, W), possibly outside [0, 1]."""
        return (z @ self.components + self.mean).unflatten(1, self.shape)

    def fit(self, images: "NDArray[np.uint8]", chunk: int = 4096) -> None:
        """Set mean and components from uint8 `images` (N, C, H, W), in float64, `chunk` images at a time."""
        flat = images.reshape(len(images), -1)
        total = np.zeros(flat.shape[1])
        products = np.zeros((flat.shape[1], flat.shape[1]))
        for start in range(0, len(flat), chunk):
            block = flat[start : start + chunk].astype(np.float64) / 255
            total += block.sum(0)
            products += block.T @ block
        mean = total / len(flat)
        vectors = leading_eigenvectors(products / len(flat) - np.outer(mean, mean), self.latent)
        # An eigenvector's sign is arbitrary: make its largest entry positive, so that equal data give equal weights.
        vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(self.latent)])
        self.mean.copy_(torch.from_numpy(mean))
        self.components.copy_(torch.from_numpy(vectors.T.copy()))


def leading_eigenvectors(
    symmetric: "NDArray[np.float64]", count: int, tolerance: float = 1e-10
) -> "NDArray[np.float64]":
    """Return the `count` eigenvectors of largest eigenvalue as columns (D, count), largest first."""
    size = len(symmetric)
    if size <= EXACT_UP_TO:
        return np.linalg.eigh(symmetric)[1][:, ::-1][:, :count]
    width = min(size, 2 * count + 16)  # oversampling makes the iteration converge in a few rounds
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((size, width)))[0]
    captured = 0.0
    for _ in range(300):
        basis = np.linalg.qr(symmetric @ basis)[0]
        values, rotation = np.linalg.eigh(basis.T @ symmetric @ basis)
        before, captured = captured, float(values[-count:].sum())
        if abs(captured - before) <= tolerance * captured:
            break
    return basis @ rotation[:, ::-1][:, :count]
