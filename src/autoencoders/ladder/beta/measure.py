"""Rung 6: one VAE for each weight β of the KL, and what the constraint on the codes costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.principal_components import PrincipalComponents
from autoencoders.evaluation.latents import active_units, kl_per_dimension
from autoencoders.evaluation.likelihood import elbo_terms
from autoencoders.ladder.record import Result, Series
from autoencoders.ladder.reduced import reduced, reduced_size
from autoencoders.models.blocks import Shape
from autoencoders.models.vae import VAE
from autoencoders.params import Train, Vae
from autoencoders.runtime.progress import progress
from autoencoders.training.loop import fit
from autoencoders.training.optimiser import batch_and_steps

if TYPE_CHECKING:
    from autoencoders.ladder.run import Inputs
    from autoencoders.params.ladder import BetaRung

MIN_STEPS = 300
"""Steps of a training at least (see `batch_and_steps`)."""
N_IMAGES_SHOWN = 8


def measure(inputs: "Inputs") -> Result:
    """Train a small VAE for each of `ladder.beta.betas`, and measure rate, distortion and active units."""
    ladder, device = inputs.params.ladder, inputs.device
    settings = ladder.beta
    images = reduced(inputs.data.split("train").images[: settings.images])
    tested = reduced(inputs.data.split("test").images)
    originals = tested[:N_IMAGES_SHOWN]
    size, steps = batch_and_steps(len(images), settings.batch_size, settings.epochs, MIN_STEPS)
    train, test = Batches(images, size, device), Batches(tested, EVAL_BATCH, device)
    validation = Batches(reduced(inputs.data.split("val").images[:EVAL_BATCH]), EVAL_BATCH, device)
    channels, height, width = images.shape[1:]
    mean = images.mean(axis=0, dtype=np.float64) / 255
    training = Train(
        seed=ladder.seed, steps=steps, batch_size=size,
        learning_rate=settings.learning_rate, schedule="cosine", warmup=0.1, precision="fp32",
    )  # fmt: skip
    x = torch.from_numpy(originals).to(device).float() / 255
    codes = torch.randn(len(x), settings.latent, generator=torch.Generator().manual_seed(ladder.seed)).to(device)
    results, reconstructions, samples = {}, [], []
    betas = sorted(set(settings.betas))
    with progress(total=len(betas) * training.steps, desc="beta", unit="step", delay=1, mininterval=0.5) as bar:
        for beta in betas:
            bar.set_postfix_str(f"β = {beta:g}")
            model = train_vae(
                train, validation, mean, (channels, height, width), beta, settings, training, on_batch=bar.update
            )
            results[beta] = measure_vae(model, test, ladder.seed)
            with torch.inference_mode():
                reconstructions.append(model.decode(model.encode(x)).cpu().numpy())
                samples.append(model.decode(codes).cpu().numpy())
    units = ", ".join(f"{result.active_units} at β = {beta:g}" for beta, result in results.items())
    return Result(
        summary=f"active units of {settings.latent}: {units}",
        params={
            **settings.model_dump(exclude={"epochs"}),
            **training.model_dump(include={"seed", "steps", "batch_size"}),
        },
        metrics=_metrics(results),
        facts={
            "images": len(images),
            "reduced_to": reduced_size(inputs.data.info.shape),
            "results": story_facts(results),
        },
        series=_series(results),
        arrays={
            "betas": np.array(betas),
            "recon": np.array([result.recon for result in results.values()]),
            "kl": np.stack([result.kl for result in results.values()]),
            "mse": np.array([result.mse for result in results.values()]),
            "active_units": np.array([result.active_units for result in results.values()]),
            "originals": originals,
            "reconstructions": np.stack(reconstructions),
            "samples": np.stack(samples),
        },
    )


@dataclass(frozen=True)
class BetaResult:
    """A VAE on the test images; nats per image."""

    recon: float  # −log p(x|z), Bernoulli, at one sample of z
    kl: NDArray[np.float64]  # (latent,): KL to N(0, 1) of each dimension
    mse: float  # per pixel, of the decoded posterior means
    active_units: int

    def numbers(self) -> dict[str, float]:
        """Return all of it by the names of MLflow's metrics, with the sum of the KL over dimensions."""
        kl = float(self.kl.sum())
        return {
            "kl": kl, "recon": self.recon, "neg_elbo": self.recon + kl, "mse": self.mse,
            "active_units": self.active_units,
        }  # fmt: skip


def train_vae(
    train: Batches,
    validation: Batches,
    mean: NDArray[np.float64],
    shape: Shape,
    beta: float,
    network: "BetaRung",
    settings: Train,
    on_batch: Callable[[], object] = lambda: None,
) -> VAE:
    """Return a VAE trained with the KL weighted by `beta`; `mean` (C, H, W) is the training images', in [0, 1].

    Everything else, such as the initial weights, depends on `settings.seed` alone. The weight is halved in the first
    half of the steps: in full from the first step, it makes more dimensions collapse before they have learned anything.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    entry = Vae(**network.model_dump(include={"latent", "hidden", "decoder_hidden"}), beta=beta, kl_warmup=0.5)
    model = VAE(entry, shape, generator)
    begin = mean.reshape(-1)  # a Bernoulli VAE needs no component to begin with
    model.initialise(PrincipalComponents(begin, np.zeros((0, len(begin)), np.float32), np.zeros(0), rest=0.0))
    fit(model, train, validation, settings, on_batch=on_batch)
    return model


@torch.inference_mode()
def measure_vae(model: VAE, images: Batches, seed: int) -> BetaResult:
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
    return BetaResult(
        recon=torch.cat(recon).double().mean().item(),
        kl=kl_per_dimension(mean, torch.cat(logvars).cpu().numpy()),
        mse=squared / values,
        active_units=active_units(mean),
    )


def _metrics(results: Mapping[float, BetaResult]) -> dict[str, float]:
    return {
        f"beta-{beta:g}/{key}": float(value)
        for beta, result in results.items()
        for key, value in result.numbers().items()
    }


def story_facts(results: Mapping[float, BetaResult]) -> list[dict[str, Any]]:
    """Return what the story needs of each β, in ascending order."""
    return [{"beta": beta, **result.numbers()} for beta, result in results.items()]


def _series(results: Mapping[float, BetaResult]) -> Series:
    """Return a row for each β, with a column for each dimension's KL."""
    return [
        {
            "beta": beta,
            **{key: result.numbers()[key] for key in ("recon", "kl", "mse", "active_units")},
            **{f"kl {j}": value for j, value in enumerate(result.kl, start=1)},
        }
        for beta, result in results.items()
    ]
