"""The linear autoencoder, and how it is trained."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.data.batches import Batches
from autoencoders.data.principal_components import PrincipalComponents
from autoencoders.evaluation.reconstruction import mse
from autoencoders.models.base import Losses, Model
from autoencoders.models.blocks import Shape, initialise, mlp_decoder, mlp_encoder
from autoencoders.params import Train
from autoencoders.training.loop import fit


class LinearAutoencoder(Model):
    """Autoencoder of images (B, C, H, W) with one linear layer each way: no activation, no sigmoid at the end."""

    def __init__(self, shape: Shape, latent: int, generator: torch.Generator) -> None:
        super().__init__(shape, latent)
        self.encoder = mlp_encoder(shape, (), latent)
        self.decoder = mlp_decoder(shape, (), latent)
        initialise(self, generator)

    @torch.no_grad()
    def initialise(self, components: PrincipalComponents) -> None:
        """Set the biases so that the mean image has the code 0, and is drawn from it; the weights stay random.

        Else learning the codes' mean holds up the rest: after 6 epochs of MNIST the error at k = 16 is 0.15 % above
        PCA's instead of 0.02 %.
        """
        mean = torch.from_numpy(components.mean).float()
        _layer(self.encoder, 1).bias.copy_(-_layer(self.encoder, 1).weight @ mean)
        _layer(self.decoder, 0).bias.copy_(mean)

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
    def basis(self) -> NDArray[np.float64]:
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
    components: PrincipalComponents,
    shape: Shape,
    latent: int,
    settings: Train,
    on_batch: Callable[[], object] = lambda: None,
) -> LinearAutoencoder:
    """Return a linear autoencoder trained by minibatches of squared error, from random weights and the images' mean."""
    generator = torch.Generator().manual_seed(settings.seed)
    model = LinearAutoencoder(shape, latent, generator)
    model.initialise(components)
    fit(model, train, validation, settings, on_batch=on_batch)
    return model


@torch.inference_mode()
def mean_error(model: Model, images: Batches) -> float:
    """Return the squared error of the reconstructions per pixel, mean over `images`."""
    errors = torch.cat([mse(x, model.decode(model.encode(x))) for x in images.in_order()])
    return errors.double().mean().item()
