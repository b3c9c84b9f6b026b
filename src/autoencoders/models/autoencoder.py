"""The autoencoder: an encoder finds the code z from which a decoder redraws the image."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from autoencoders.models.base import Losses
from autoencoders.models.network import Network


class Autoencoder(Network):
    """Deterministic autoencoder of images (B, C, H, W) in [0, 1] with codes z (B, latent)."""

    heads = 1  # z

    def encode(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] → codes z (B, latent)."""
        return self.encoder(x)

    def loss(self, x: Tensor, noise: Tensor | None = None, weights: Mapping[str, float] = {}) -> Losses:
        """Return the squared error (loss `mse`) or the Bernoulli cross-entropy in nats (loss `bce`) as `recon`.

        Sums over pixels, means over images. It is the whole loss: there is neither noise nor a weight.
        """
        return self._losses(self.decoder(self.encode(x)), x)

    def validation_losses(self, x: Tensor, noise: Tensor | None = None) -> Losses:
        """Return the loss of images (B, C, H, W), and `mse`."""
        decoded = self.decoder(self.encode(x))
        return {**self._losses(decoded, x), "mse": F.mse_loss(self.pixels(decoded), x)}

    def _losses(self, decoded: Tensor, x: Tensor) -> Losses:
        if self.logits:
            recon = F.binary_cross_entropy_with_logits(decoded, x, reduction="sum") / len(x)
        else:
            recon = self.squared_errors(decoded, x).mean()
        return {"loss": recon, "recon": recon}

    @property
    def loss_unit(self) -> str:
        """The unit of `loss`."""
        return "nats per image (Bernoulli)" if self.logits else "squared error per image"
