"""The interface of a model: an encoder of images, a decoder of codes, and a way to find the weights of both."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.errors import UserError
from autoencoders.models.blocks import Shape

if TYPE_CHECKING:
    from autoencoders.data.principal_components import PrincipalComponents

Losses = dict[str, Tensor]  # scalars by name: `loss` is minimised, all are logged


class Model(nn.Module):
    """A model of images (B, C, H, W) in [0, 1] with codes z (B, latent).

    A kind has `encode` and `decode`. `initialise` sets its weights, of some kinds for good; where they are trained in
    steps it has `loss`. A kind whose codes are distributions has `posterior` and `log_likelihood`, too.
    """

    discretised: bool = False
    """Whether `log_likelihood` is of 8-bit pixels, not of real numbers: only then are there bits per dimension."""

    def __init__(self, shape: Shape, latent: int) -> None:
        super().__init__()
        self.shape = shape
        self.latent = latent

    def encode(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) → codes (B, latent)."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, latent) → images (B, C, H, W)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Images → their reconstructions."""
        return self.decode(self.encode(x))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images → mean and log-variance of q(z|x), each (B, latent); no log-variance where a code is a point."""
        return self.encode(x), None

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """Return log p(x|z) in nats, (B,), of images and codes."""
        raise NotImplementedError

    @property
    def n_components(self) -> int:
        """How many principal components of the training images `initialise` needs; it may get more."""
        return self.latent

    def initialise(self, components: "PrincipalComponents") -> None:
        """Set the weights, all or some, from the mean and the principal components of the training images."""

    @property
    def scores(self) -> nn.Module | None:
        """What makes of images the scores of principal components that the model works on; None: it sees pixels."""
        return None

    @property
    def inputs(self) -> nn.Module | None:
        """What makes of images (B, C, H, W), once, the rows (B, K) on which the model trains; None: it takes images."""
        return None

    def decayed(self) -> list[nn.Parameter]:
        """Return the weights that training draws towards zero, the more the fewer images there are."""
        return []

    def sample_noise(self, images: int, generator: torch.Generator) -> Tensor | None:
        """Return the random numbers that `loss` needs for this number of images; None if it needs none."""
        return None

    def loss_weights(self, progress: float | None = None) -> Mapping[str, float]:
        """Return the weights of the loss's terms when this share of the steps is done; without it, for validation."""
        return {}

    def loss(self, x: Tensor, noise: Tensor | None, weights: Mapping[str, float] = {}) -> Losses:
        """Return `loss` and its terms: sums over pixels, means over images. `weights` come from `loss_weights`.

        x are images (B, C, H, W) in [0, 1], or what `inputs` makes of them.
        """
        raise NotImplementedError

    def validation_losses(self, x: Tensor, noise: Tensor | None) -> Losses:
        """Return the loss of images (B, C, H, W) with its full weights, its terms, and `mse`, the mean over pixels."""
        return {**self.loss(x, noise, self.loss_weights()), "mse": F.mse_loss(self(x), x)}

    @property
    def loss_unit(self) -> str:
        """The unit of `loss`, as the axis of a figure has it."""
        raise NotImplementedError

    def decoder_layers(self) -> list[nn.Module]:
        """Return torch's layers that, one after the other, decode codes to images in [0, 1], perhaps flattened."""
        raise NotImplementedError


def all_finite(values: Tensor, what: str) -> Tensor:
    """Return `values`, what a model computed of images; raise `UserError` where one is NaN or infinite."""
    if not values.isfinite().all():
        raise UserError(
            f"the model's {what} of these images are NaN or infinite: its weights are too large. "
            "Train it again, with a lower learning rate."
        )
    return values
