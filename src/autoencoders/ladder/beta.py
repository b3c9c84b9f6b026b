"""One VAE for each weight β of the KL: what the constraint on the codes costs, and what it takes away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from autoencoders.data.batches import Batches
from autoencoders.evaluation.latents import active_units, kl_per_dimension
from autoencoders.evaluation.likelihood import elbo_terms
from autoencoders.models.vae import VAE
from autoencoders.params import Vae
from autoencoders.training.loop import fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from autoencoders.params import BetaRung, Train


@dataclass(frozen=True)
class Measured:
    """A VAE on the test images; nats per image."""

    recon: float
    """−log p(x|z), Bernoulli, at one sample of z"""
    kl: "NDArray[np.float64]"
    """(latent,): KL to N(0, 1) of each dimension"""
    mse: float
    """Per pixel, of the decoded posterior means"""
    active_units: int


def train_vae(
    train: Batches,
    validation: Batches,
    mean: Tensor,
    beta: float,
    network: "BetaRung",
    settings: "Train",
    on_batch: Callable[[], object] = lambda: None,
) -> VAE:
    """Return a VAE trained with the KL weighted by `beta`; `mean` (C, H, W) is the images' mean.

    All else, the initial weights among it, depends on `settings.seed` alone. The weight rises over the first half of
    the epochs: in full from the first step, it silences dimensions before they have learned anything (8,000 MNIST
    images at β = 10: 1.9 nats of KL are left, instead of 2.6).
    """
    channels, height, width = mean.shape
    generator = torch.Generator().manual_seed(settings.seed)
    entry = Vae(**network.model_dump(include={"latent", "hidden", "decoder_hidden"}), beta=beta,
                kl_warmup=settings.epochs // 2)  # fmt: skip
    model = VAE(entry, (channels, height, width), generator)
    model.init_output_bias(mean)
    fit(model, train, validation, settings, on_batch=on_batch)
    return model


@torch.inference_mode()
def measure(model: VAE, images: Batches, seed: int) -> Measured:
    """Measure `model` on all `images`, whatever β it was trained with."""
    noise = torch.Generator(images.device).manual_seed(seed)
    mus, logvars, recon, squared, values = [], [], [], 0.0, 0
    for x in images.in_order():
        mu, logvar = model.posterior(x)
        mus.append(mu)
        logvars.append(logvar)
        recon.append(elbo_terms(model, x, noise).recon)
        squared += F.mse_loss(model.decode(mu), x, reduction="sum").item()
        values += x.numel()
    mean = torch.cat(mus).cpu().numpy()
    return Measured(
        recon=torch.cat(recon).double().mean().item(),
        kl=kl_per_dimension(mean, torch.cat(logvars).cpu().numpy()),
        mse=squared / values,
        active_units=active_units(mean),
    )
