"""PCA for every number of dimensions, and how two subspaces lie to each other."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoencoders.data.batches import Batches
from autoencoders.data.principal_components import PrincipalComponents
from autoencoders.evaluation.baseline import NO_ERROR

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PcaCurve:
    """PCA of the training images for every number of dimensions up to K."""

    components: Floats
    """(C·H·W, K), orthonormal, largest variance first"""
    mse: Floats
    """(K + 1,): error per pixel on the test images with 0 … K components"""
    train_mse: Floats
    """(K + 1,): the same on the images that it was fitted to, where no linear code has a smaller error"""

    def found(self, latent: int) -> int:
        """Return how many of the first `latent` components lower the error; any others are arbitrary directions."""
        return int((-np.diff(self.train_mse[: latent + 1]) > NO_ERROR).sum())


@torch.inference_mode()
def pca_curve(components: PrincipalComponents, train: Batches, test: Batches) -> PcaCurve:
    """Measure, in float64, what each of the `components` adds; `train` holds the images that they are of."""
    directions, mean = torch.from_numpy(components.directions).double(), torch.from_numpy(components.mean)
    return PcaCurve(directions.T.numpy(), *(_errors(directions, mean, batches) for batches in (test, train)))


def _errors(components: Tensor, mean: Tensor, images: Batches) -> Floats:
    """Return the error per pixel (K + 1,) with 0 … K of the `components` (K, C·H·W)."""
    total, explained, count = 0.0, torch.zeros(len(components), dtype=torch.float64), 0
    for x in images.in_order():
        centred = x.cpu().flatten(1).double() - mean
        total += centred.square().sum().item()
        explained += (centred @ components.T).square().sum(0)
        count += len(x)
    explained_by = torch.cat([torch.zeros(1, dtype=torch.float64), explained.cumsum(0)])
    return ((total - explained_by).clamp(min=0) / (count * len(mean))).numpy()


def principal_angles(a: Floats, b: Floats) -> Floats:
    """Return the angles, min(k, n), between the column spaces of `a` (D, k) and `b` (D, n), in degrees, smallest first.

    0° throughout: one space; 90°: a direction of one that is orthogonal to all of the other (Björck & Golub 1973).
    """
    from scipy.linalg import subspace_angles

    return np.degrees(subspace_angles(a, b))[::-1]


def turned_to(target: Floats, basis: Floats) -> Floats:
    """Return the orthonormal basis (D, k) of `basis`' column space that is nearest to the orthonormal `target` (D, k).

    Orthogonal Procrustes (Schönemann 1966).
    """
    orthonormal = np.linalg.qr(basis)[0]
    left, _, right = np.linalg.svd(orthonormal.T @ target)
    return orthonormal @ (left @ right)
