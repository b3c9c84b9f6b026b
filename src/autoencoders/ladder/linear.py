"""The linear autoencoder, which finds by training what PCA computes, and how far apart the two are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.data.batches import Batches
from autoencoders.evaluation.reconstruction import mse
from autoencoders.models.base import Losses, Model
from autoencoders.models.blocks import Shape, initialise, mlp_decoder, mlp_encoder
from autoencoders.models.pca import PCA
from autoencoders.params import Pca
from autoencoders.training.loop import fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autoencoders.params import Train

    Floats = NDArray[np.float64]


class LinearAutoencoder(Model):
    """Autoencoder of images (B, C, H, W) with one linear layer each way: no activation, no sigmoid at the end."""

    def __init__(self, shape: Shape, latent: int, generator: torch.Generator) -> None:
        super().__init__(shape, latent)
        self.encoder = mlp_encoder(shape, (), latent)
        self.decoder = mlp_decoder(shape, (), latent)
        initialise(self, generator)

    @torch.no_grad()
    def init_output_bias(self, mean: Tensor) -> None:
        """Set the biases so that the `mean` image (C, H, W) has the code 0, and is drawn from it.

        Else learning the codes' mean holds up the rest: after 6 epochs of MNIST the error at k = 16 is 0.15 % above
        PCA's instead of 0.02 %.
        """
        _layer(self.encoder, 1).bias.copy_(-_layer(self.encoder, 1).weight @ mean.flatten())
        _layer(self.decoder, 0).bias.copy_(mean.flatten())

    def encode(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) → codes (B, latent)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, latent) → images (B, C, H, W), possibly outside [0, 1]."""
        return self.decoder(z)

    def loss(self, x: Tensor, noise: Tensor | None, weights: Mapping[str, float] = {}) -> Losses:
        """Return the squared error, sum over pixels, mean over images."""
        recon = F.mse_loss(self(x), x, reduction="sum") / len(x)
        return {"loss": recon, "recon": recon}

    @torch.no_grad()
    def basis(self) -> "Floats":
        """Return the images (C·H·W, latent) that the code's numbers are weights of: the decoder's matrix.

        The encoder's would not do: its weights on pixels that never change are as they were drawn.
        """
        return _layer(self.decoder, 0).weight.double().cpu().numpy()


def _layer(layers: nn.Sequential, index: int) -> nn.Linear:
    layer = layers[index]
    assert isinstance(layer, nn.Linear)
    return layer


def train_linear(
    train: Batches,
    validation: Batches,
    mean: Tensor,
    latent: int,
    settings: "Train",
    on_batch: Callable[[], object] = lambda: None,
) -> LinearAutoencoder:
    """Return a linear autoencoder trained by minibatches of squared error; `mean` (C, H, W) is the images' mean."""
    channels, height, width = mean.shape
    generator = torch.Generator().manual_seed(settings.seed)
    model = LinearAutoencoder((channels, height, width), latent, generator)
    model.init_output_bias(mean)
    fit(model, train, validation, settings, on_batch=on_batch)
    return model


@torch.inference_mode()
def mean_error(model: Model, images: Batches) -> float:
    """Return the squared error of the reconstructions per pixel, mean over `images`."""
    errors = torch.cat([mse(x, model.decode(model.encode(x))) for x in images.in_order()])
    return errors.double().mean().item()


NOTHING = 1e-8
"""Squared error per pixel that counts as none, a fortieth of a grey level: shares of it mean nothing."""


def share_above(value: float, reference: float) -> float:
    """Return by what share an error is above another; 0 where both are none."""
    return 0.0 if max(value, reference) <= NOTHING else value / max(reference, NOTHING) - 1


@dataclass(frozen=True)
class Fit:
    """A linear autoencoder, measured."""

    mse: float
    """Per pixel, on the test images"""
    train_mse: float
    angles: "Floats"
    """Degrees between its space and PCA's, smallest first: of k, those of the components that PCA finds"""
    basis: "Floats"
    """(C·H·W, k), the decoder's columns"""

    @property
    def largest_angle(self) -> float:
        """0° where there is nothing to compare."""
        return float(self.angles.max(initial=0))


@dataclass(frozen=True)
class PcaCurve:
    """PCA of the training images for every number of dimensions up to K."""

    components: "Floats"
    """(C·H·W, K), orthonormal, largest variance first"""
    mse: "Floats"
    """(K + 1,): error per pixel on the test images with 0 … K components"""
    train_mse: "Floats"
    """(K + 1,): the same on the images that it was made from, where no linear code has less"""

    def found(self, latent: int) -> int:
        """Return how many of the first `latent` components lower the error: any others are arbitrary directions."""
        return int((-np.diff(self.train_mse[: latent + 1]) > NOTHING).sum())


@torch.inference_mode()
def pca_curve(images: "NDArray[np.uint8]", train: Batches, test: Batches, largest: int) -> PcaCurve:
    """Fit PCA to `images` (N, C, H, W) and measure, in float64, what each component up to `largest` adds.

    `train` holds the same images, `test` others.
    """
    _, channels, height, width = images.shape
    pca = PCA(Pca(latent=largest), (channels, height, width))
    pca.fit(images)
    components, mean = pca.components.double(), pca.mean.double()
    return PcaCurve(components.T.numpy(), *(_left_by(components, mean, batches) for batches in (test, train)))


def _left_by(components: Tensor, mean: Tensor, images: Batches) -> "Floats":
    """Return the error per pixel (K + 1,) that 0 … K of the `components` (K, C·H·W) leave."""
    total, explained, count = 0.0, torch.zeros(len(components), dtype=torch.float64), 0
    for x in images.in_order():
        centred = x.cpu().flatten(1).double() - mean
        total += centred.square().sum().item()
        explained += (centred @ components.T).square().sum(0)
        count += len(x)
    explained_by = torch.cat([torch.zeros(1, dtype=torch.float64), explained.cumsum(0)])
    return ((total - explained_by).clamp(min=0) / (count * len(mean))).numpy()


def principal_angles(a: "Floats", b: "Floats") -> "Floats":
    """Return the angles, min(k, n), between the column spaces of `a` (D, k) and `b` (D, n), in degrees, smallest first.

    0° throughout: one space; 90°: a direction of one that is orthogonal to all of the other (Björck & Golub 1973).
    """
    from scipy.linalg import subspace_angles

    return np.degrees(subspace_angles(a, b))[::-1]


def turned_to(target: "Floats", basis: "Floats") -> "Floats":
    """Return the orthonormal basis (D, k) of `basis`' column space that is nearest to the orthonormal `target` (D, k).

    Orthogonal Procrustes (Schönemann 1966).
    """
    orthonormal = np.linalg.qr(basis)[0]
    left, _, right = np.linalg.svd(orthonormal.T @ target)
    return orthonormal @ (left @ right)
