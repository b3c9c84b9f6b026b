"""The VAE's bounds on log p(x): the ELBO, and the importance-weighted bound, in nats per image.

The model has a posterior q(z|x) = N(mu, diag(exp(logvar))), the prior N(0, I) and log p(x|z), its `log_likelihood`. The
Bernoulli of grey pixels is not a likelihood (see `reconstruction.bce`): compare such values within one protocol only.
The Gaussian's is a density. The logistic one is a probability of 8-bit pixels: it has bits per dimension, too.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from autoencoders.models import Model, Shape
from autoencoders.models.gaussian import kl_to_standard_normal, reparameterise

DECODED_ELEMENTS = 2**22
"""Pixels decoded at once without a `chunk`: 16 MiB for each layer as wide as the image."""


class ElboTerms(NamedTuple):
    """The terms of the negative ELBO, each (N,), in nats."""

    recon: Tensor  # -log p(x|z) at one sample of q(z|x)
    kl: Tensor  # KL(q(z|x) || N(0, I)), exact

    @property
    def elbo(self) -> Tensor:
        """The evidence lower bound (N,): -(recon + kl), with β = 1, also if the training used another β."""
        return -(self.recon + self.kl)


@torch.no_grad()
def elbo_terms(model: Model, x: Tensor, generator: torch.Generator, chunk: int | None = None) -> ElboTerms:
    """Return one-sample ELBO terms of x (N, C, H, W) (Kingma & Welling 2014, eq. 7), `chunk` images at a time."""
    recon, kl = [], []
    for images in x.split(chunk or _chunk(x)):
        mu, logvar = _posterior(model, images)
        z = reparameterise(mu, logvar, _noise(generator, len(images), 1, mu)[:, 0])
        recon.append(-model.log_likelihood(images, z))
        kl.append(kl_to_standard_normal(mu, logvar).sum(1))
    return ElboTerms(torch.cat(recon), torch.cat(kl))


@torch.no_grad()
def importance_weighted_bound(
    model: Model, x: Tensor, samples: int, generator: torch.Generator, chunk: int | None = None
) -> Tensor:
    """Return the bound L_K (N,) on log p(x), in nats, with K = `samples` (Burda et al. 2015, eq. 8).

    L_K = log (1/K) sum over i of p(x|z_i) p(z_i) / q(z_i|x), with z_i drawn from q(z|x); L_1 is a one-sample ELBO, and
    the expected L_K grows to log p(x) with K, so -L_K bounds the NLL from above. At most `chunk` (image, sample) pairs
    are decoded at once (default: as many as hold 2^22 pixels); every image has its own draw from `generator`, so the
    chunk does not change the value.
    Raise `ValueError` where `samples` or `chunk` is below 1.
    """
    chunk = chunk if chunk is not None else _chunk(x)
    if samples < 1 or chunk < 1:
        raise ValueError(f"samples ({samples}) and chunk ({chunk}) must be 1 or more")
    bounds = []
    for images in x.split(max(1, chunk // samples)):
        mu, logvar = _posterior(model, images)
        noise = _noise(generator, len(images), samples, mu)  # (B, K, k)
        parts = noise.split(chunk // len(images), dim=1)  # 1 or more: there are at most `chunk` images
        weights = [_log_weights(model, images, mu, logvar, part) for part in parts]
        bounds.append(torch.logsumexp(torch.cat(weights, dim=1), dim=1) - math.log(samples))
    return torch.cat(bounds).to(x.dtype)


def bits_per_dim(nats: float, shape: Shape) -> float:
    """Return `nats` per image of `shape` as bits per value of an image: nats / (C·H·W · ln 2)."""
    return nats / (math.prod(shape) * math.log(2))


def _log_weights(model: Model, images: Tensor, mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Return log p(x|z) + log p(z) - log q(z|x) (B, S), float64, at z = mu + sigma * noise; noise is (B, S, k)."""
    size, samples, k = noise.shape
    z = reparameterise(mu[:, None], logvar[:, None], noise)
    repeated = images[:, None].expand(size, samples, *images.shape[1:]).reshape(-1, *images.shape[1:])
    log_likelihood = model.log_likelihood(repeated, z.reshape(-1, k)).reshape(size, samples).double()
    # Both Gaussians' constants, k/2 log 2 pi, cancel.
    log_prior = -0.5 * z.double().square().sum(-1)
    log_posterior = -0.5 * (noise.double().square() + logvar.double()[:, None]).sum(-1)
    return log_likelihood + log_prior - log_posterior


def _posterior(model: Model, images: Tensor) -> tuple[Tensor, Tensor]:
    mu, logvar = model.posterior(images)
    assert logvar is not None
    return mu, logvar


def _noise(generator: torch.Generator, images: int, samples: int, like: Tensor) -> Tensor:
    """Return standard normal noise (images, samples, k), drawn image by image, whatever the batches are."""
    shape = (samples, like.shape[1])
    draws = [torch.randn(shape, generator=generator, device=generator.device) for _ in range(images)]
    return torch.stack(draws).to(like)


def _chunk(x: Tensor) -> int:
    return max(1, DECODED_ELEMENTS // x[0].numel())
