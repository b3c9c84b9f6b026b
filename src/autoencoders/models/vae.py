"""The variational autoencoder (Kingma & Welling 2014): its codes follow a unit Gaussian, so it can generate."""

from collections.abc import Mapping
from math import exp, log, pi, prod, sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencoders.models.base import Losses
from autoencoders.models.blocks import Scores, Shape
from autoencoders.models.gaussian import kl_to_standard_normal, reparameterise
from autoencoders.models.logistic import log_probability
from autoencoders.models.network import Network

if TYPE_CHECKING:
    from autoencoders.data.principal_components import PrincipalComponents
    from autoencoders.params import models as entries

MIN_LOG_SIGMA = log(1 / 512)
"""Half a grey level. Below it, the density of 8-bit pixels grows without bound, and is meaningless."""
LOG_LOGISTIC_SCALE = log(sqrt(3) / pi)
"""Logarithm of a logistic distribution's scale where its standard deviation is 1."""


class VAE(Network):
    """VAE with posterior q(z|x) = N(mu, diag exp(logvar)), prior N(0, I) and one of three likelihoods.

    They are Bernoulli, Gaussian and logistic. The Gaussian's variance is one learned number for all pixels (Rybkin et
    al. 2021, σ-VAE), and so is the logistic distribution's scale. That one is discretised: of 8-bit pixels.
    """

    heads = 2  # mu and logvar

    def __init__(self, entry: "entries.Vae", shape: Shape, generator: torch.Generator | None = None) -> None:
        super().__init__(entry, shape, generator)
        self.likelihood, self.beta, self.kl_warmup = entry.likelihood, entry.beta, entry.kl_warmup
        self.discretised = self.likelihood == "logistic"
        if self.likelihood == "gaussian":
            self.log_sigma = nn.Parameter(torch.tensor(log(0.2)))
        elif self.likelihood == "logistic":
            self.log_scale = nn.Parameter(torch.tensor(log(0.2) + LOG_LOGISTIC_SCALE))

    @torch.no_grad()
    def linear_start(self, components: "PrincipalComponents") -> tuple[Tensor, Tensor, Tensor]:
        """Return encoder (2 · latent, D), its outputs for the mean image, and decoder (D, latent) of probabilistic PCA.

        It is the optimum of a linear VAE (Tipping & Bishop 1999, eqs. 7 to 9; Lucas et al. 2019). With the variances λ
        and the mean σ² of those that are left over, a code is (λ − σ²)^½ / λ · direction · (x − mean), its posterior
        variance σ² / λ, and the decoder (λ − σ²)^½ · directionᵀ. A direction with λ ≤ σ² is not used.
        Sets `log_sigma` to log σ, or `log_scale` so that the logistic distribution's variance is σ².
        """
        size, latent = prod(self.shape), len(components.variances)
        noise = max(components.rest / max(1, size - latent), exp(2 * MIN_LOG_SIGMA))
        if self.likelihood == "gaussian":
            self.log_sigma.fill_(0.5 * log(noise))
        else:
            self.log_scale.fill_(0.5 * log(noise) + LOG_LOGISTIC_SCALE)
        directions = torch.from_numpy(components.directions)
        variances = torch.from_numpy(components.variances).clamp(min=noise)[:, None]
        signal = (variances - noise).sqrt()
        mu, decoder = (signal / variances).float() * directions, signal.float() * directions
        logvar = (noise / variances).log().flatten().float()
        return torch.cat([mu, torch.zeros_like(mu)]), torch.cat([torch.zeros(latent), logvar]), decoder.T

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) → mean and log-variance of q(z|x), each (B, latent)."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    @property
    def inputs(self) -> Scores | None:
        """The scores, but for the logistic likelihood: it is one of pixels."""
        return None if self.discretised else super().inputs

    def encode(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) → the posterior mean (B, latent)."""
        return self.posterior(x)[0]

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """Return log p(x|z) in nats, (B,). For grey pixels the Bernoulli's is a cross-entropy, no likelihood.

        The mean of the logistic one is not clamped: black and white are the tails, which reach beyond [0, 1].
        """
        decoded = self.decoder(z)
        if self.logits:
            return -F.binary_cross_entropy_with_logits(decoded, x, reduction="none").flatten(1).sum(1)
        if self.likelihood == "logistic":
            return log_probability(x, self.unclamped(decoded), self.log_scale).flatten(1).sum(1)
        log_sigma = self.log_sigma.clamp(min=MIN_LOG_SIGMA)
        squared = self.squared_errors(decoded, x)
        return -0.5 * squared * torch.exp(-2 * log_sigma) - prod(self.shape) * (log_sigma + 0.5 * log(2 * pi))

    def sample_noise(self, images: int, generator: torch.Generator) -> Tensor:
        """Return the noise for a loss of so many images: (images, latent) from N(0, I), on the generator's device."""
        return torch.randn(images, self.latent, generator=generator, device=generator.device)

    def loss_weights(self, progress: float | None = None) -> Mapping[str, float]:
        """Return the KL's weight: half of `beta` in the share `kl_warmup` of the steps, then `beta`.

        A weight that rises from 0 ends worse: the codes' variances first shrink, and must grow again. On MNIST −ELBO is
        then 100.3 instead of 99.9 (one seed, `kl_warmup` .12).
        """
        is_warming_up = progress is not None and progress <= self.kl_warmup
        return {"beta": self.beta / 2 if is_warming_up else self.beta}

    def loss(self, x: Tensor, noise: Tensor | None, weights: Mapping[str, float] = {}) -> Losses:
        """Return −ELBO with the KL weighted by `beta` (Higgins et al. 2017; without weights 1), and both its terms.

        One sample of z; nats per image, means over images.
        """
        return self._losses(x, self.posterior(x), noise, weights)

    def validation_losses(self, x: Tensor, noise: Tensor | None) -> Losses:
        """Return −ELBO of images (B, C, H, W), the KL weighted by `beta`, its terms, and `mse` at the mean codes."""
        posterior = self.posterior(x)
        losses = self._losses(x, posterior, noise, self.loss_weights())
        return {**losses, "mse": F.mse_loss(self.decode(posterior[0]), x)}

    def _losses(
        self, x: Tensor, posterior: tuple[Tensor, Tensor], noise: Tensor | None, weights: Mapping[str, float]
    ) -> Losses:
        assert noise is not None
        mu, logvar = (value.float() for value in posterior)  # under bf16, too: three digits are too few for sums
        recon = -self.log_likelihood(x, reparameterise(mu, logvar, noise)).mean()
        kl = kl_to_standard_normal(mu, logvar).sum(1).mean()
        return {"loss": recon + weights.get("beta", 1.0) * kl, "recon": recon, "kl": kl}

    @property
    def loss_unit(self) -> str:
        """The unit of `loss`."""
        return f"nats per image ({self.likelihood.capitalize()})"
