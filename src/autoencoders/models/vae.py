"""The variational autoencoder (Kingma & Welling 2014): codes held to a unit Gaussian, so that it can generate."""

from collections.abc import Sequence
from math import log, pi, prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.models.autoencoder import Autoencoder
from autoencoders.models.blocks import Shape

MIN_LOG_SIGMA = log(1 / 512)
"""Half a grey level: below it the density of 8-bit pixels grows without bound and means nothing."""


class VAE(Autoencoder):
    """VAE with posterior q(z|x) = N(mu, diag exp(logvar)), prior N(0, I) and a Bernoulli or Gaussian likelihood.

    The Gaussian's variance is one learned number for all pixels (Rybkin et al. 2021, σ-VAE).
    """

    heads = 2  # mu and logvar

    def __init__(
        self,
        shape: Shape,
        latent: int,
        arch: str,
        hidden: Sequence[int],
        decoder_hidden: Sequence[int] | None = None,
        likelihood: str = "bernoulli",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(shape, latent, arch, hidden, decoder_hidden, generator=generator)
        self.likelihood = likelihood
        if likelihood == "gaussian":
            self.log_sigma = nn.Parameter(torch.tensor(log(0.2)))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) → mean and log-variance of q(z|x), each (B, latent)."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def encode(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) → the posterior mean (B, latent)."""
        return self.posterior(x)[0]

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats, (B,). For grey pixels the Bernoulli's is a cross-entropy, no likelihood."""
        logits = self.decoder(z)
        if self.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
        log_sigma = self.log_sigma.clamp(min=MIN_LOG_SIGMA)
        squared = (torch.sigmoid(logits) - x).square().flatten(1).sum(1)
        return -0.5 * squared * torch.exp(-2 * log_sigma) - prod(self.shape) * (log_sigma + 0.5 * log(2 * pi))

    def noise(self, images: int, generator: torch.Generator) -> Tensor:
        """Return what a loss of so many images draws: (images, latent) from N(0, I), on the generator's device."""
        return torch.randn(images, self.latent, generator=generator, device=generator.device)

    def loss(self, x: Tensor, noise: Tensor | None, beta: float = 1.0) -> dict[str, Tensor]:
        """−ELBO, KL weighted by `beta` (Higgins et al. 2017), one sample of z; nats per image, means over images."""
        assert noise is not None
        mu, logvar = (value.float() for value in self.posterior(x))  # under bf16 too: three digits are too few for sums
        z = mu + noise * torch.exp(0.5 * logvar)
        recon = -self.log_likelihood(x, z).mean()
        kl = kl_to_standard_normal(mu, logvar).sum(1).mean()
        return {"loss": recon + beta * kl, "recon": recon, "kl": kl}


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp logvar) ‖ N(0, 1)) of each dimension in nats, shaped as `mu` (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mu.square() + torch.expm1(logvar) - logvar)  # exp(v) - 1 loses a collapsed dimension's digits
