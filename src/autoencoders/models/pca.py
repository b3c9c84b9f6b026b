"""Principal component analysis: the best linear code, and the baseline that every autoencoder must beat."""

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autoencoders.models.base import Model
from autoencoders.models.blocks import Shape, linear_layer

if TYPE_CHECKING:
    from autoencoders.data.principal_components import PrincipalComponents
    from autoencoders.params import models as entries


class PCA(Model):
    """Linear code of images (B, C, H, W): z = components · (x − mean). Reconstructions are not clipped to [0, 1]."""

    mean: Tensor  # (C·H·W,)
    components: Tensor  # (latent, C·H·W), orthonormal rows, largest variance first; zero beyond the rank of the images

    def __init__(self, entry: "entries.Pca", shape: Shape, generator: torch.Generator | None = None) -> None:
        """All weights are zero until `initialise`; the `generator` is not used."""
        super().__init__(shape, entry.latent)
        self.register_buffer("mean", torch.zeros(prod(shape)))
        self.register_buffer("components", torch.zeros(entry.latent, prod(shape)))

    def initialise(self, components: "PrincipalComponents") -> None:
        """Set all weights."""
        self.mean.copy_(torch.from_numpy(components.mean))
        self.components.copy_(torch.from_numpy(components.directions[: self.latent]))

    def encode(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) → codes (B, latent)."""
        return (x.flatten(1) - self.mean) @ self.components.T

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, latent) → images (B, C, H, W), possibly outside [0, 1]."""
        return (z @ self.components + self.mean).unflatten(1, self.shape)

    def decoder_layers(self) -> list[nn.Module]:
        """Return one linear layer, and the clipping that makes its output an image."""
        return [linear_layer(self.components.T, self.mean), nn.Hardtanh(0, 1)]
