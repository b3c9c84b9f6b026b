"""The contenders' networks, in plain torch: as their descriptions have them, none of this project's code."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PlainVae(nn.Module):
    """A VAE that ends its decoder in a sigmoid and measures the cross-entropy of the probabilities."""

    encoder: nn.Module
    mu: nn.Module
    logvar: nn.Module
    decoder: nn.Module

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images → mean and log-variance (B, k)."""
        hidden = self.encoder(x)
        return self.mu(hidden), self.logvar(hidden)

    def decode(self, z: Tensor) -> Tensor:
        """Codes (B, k) → probabilities, an image each."""
        return self.decoder(z)

    def loss(self, x: Tensor) -> Tensor:
        """−ELBO in nats, summed over the batch."""
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        recon = F.binary_cross_entropy(self.decode(z).flatten(1), x.flatten(1), reduction="sum")
        return recon - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


class DenseVae(PlainVae):
    """784-hidden-k-hidden-784, ReLU."""

    def __init__(self, hidden: int, latent: int, pixels: int = 784) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU())
        self.mu, self.logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Sigmoid())


class ConvVae(PlainVae):
    """Convolutions 4×4 of stride 2, 1-32-64 channels, 28 → 14 → 7 pixels, and back."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten()
        )
        self.mu, self.logvar = nn.Linear(64 * 7 * 7, latent), nn.Linear(64 * 7 * 7, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, 64 * 7 * 7),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, 2, 1),
            nn.Sigmoid(),
        )
