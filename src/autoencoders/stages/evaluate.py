"""Measure one trained model on the test split."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoencoders import tracking
from autoencoders.data.batches import Batches
from autoencoders.data.prepared import PreparedData, Split
from autoencoders.errors import UserError
from autoencoders.evaluation.generation import fit_gaussian, fit_mixture, standard_normal
from autoencoders.evaluation.latents import (
    active_units,
    kl_per_dimension,
    knn_accuracy,
    linear_probe_accuracy,
    mmd_to_standard_normal,
    normality_per_dimension,
)
from autoencoders.evaluation.likelihood import elbo_terms, importance_weighted_bound
from autoencoders.evaluation.posterior import Posterior, posterior_of
from autoencoders.evaluation.reconstruction import reconstruction_metrics
from autoencoders.files.results import replaceable, result_folder, write_csv
from autoencoders.model_folder import load_trained
from autoencoders.models import VAE, Model
from autoencoders.params import Evaluate, Params
from autoencoders.stages.features import PinnedFeatures, load_features
from autoencoders.training.device import keep_freed_memory, make_deterministic, resolve_device

BATCH = 1000
Metrics = dict[str, float]


CONTENTS = ("metrics.json", "codes/test.npy", "codes/dimensions.csv", ".gitignore")
"""The last is DVC's, where no other such file names the codes."""


@torch.inference_mode()
def evaluate(params: Params, *, model: Path, data: Path, features: Path, out: Path) -> None:
    """Measure the model in the folder `model` and write `metrics.json` and `codes/` to `out`.

    `codes/` holds the test images' codes (`test.npy`, posterior means of a VAE) and one row a latent dimension
    (`dimensions.csv`: KL, variance, Kolmogorov-Smirnov distance from N(0, 1)). MLflow gets them from `report`, unless
    a launcher made a run for this stage alone.
    """
    replaceable(out, CONTENTS)
    device = resolve_device(params.device)
    make_deterministic(device)
    keep_freed_memory()
    prepared, trained = PreparedData(data), load_trained(model, device)
    if trained.description["dataset"]["content_hash"] != prepared.info.content_hash:
        raise UserError(f"{model} was trained on other data than {data} holds. Train it again, or prepare its data.")
    network, settings = trained.model, params.evaluate
    pinned = load_features(features, device, prepared.info)
    metrics = _measure(network, prepared, pinned, settings, device, out)
    if tracking.launched_alone():
        with tracking.RunPublisher(params.tracking.experiment) as runs:
            runs.log_evaluation(model, metrics, [out / "codes" / "dimensions.csv"], own=tracking.injected_run())
    print(f"{model.name}: " + ", ".join(f"{key} {value:.4g}" for key, value in metrics.items()))


def _measure(
    network: Model, prepared: PreparedData, pinned: PinnedFeatures, settings: Evaluate, device: torch.device, out: Path
) -> Metrics:
    """Measure everything, write it to `out`, and return what goes into `metrics.json`."""
    test = prepared.split("test")
    posterior = posterior_of(network, test, device)
    train_codes = posterior_of(network, prepared.split("train"), device).mean.cpu().numpy()
    codes = {"train": train_codes, "test": posterior.mean.cpu().numpy()}

    metrics = reconstruction_metrics(
        (x, network.decode(z))
        for x, z in zip(Batches(test.images, BATCH, device).in_order(), posterior.mean.split(BATCH), strict=True)
    )
    latent, dimensions = _latents(posterior, prepared, codes, settings)
    metrics |= latent
    if isinstance(network, VAE):
        metrics |= _bounds(network, test, settings, device)
    metrics |= _generation(network, codes["train"], pinned, settings, device)

    with result_folder(out, CONTENTS) as draft:
        (draft / "codes").mkdir()
        np.save(draft / "codes" / "test.npy", codes["test"])
        rows = [dict(zip(dimensions, values, strict=True)) for values in zip(*dimensions.values(), strict=True)]
        write_csv(draft / "codes" / "dimensions.csv", rows)
        (draft / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


def _latents(
    posterior: Posterior, data: PreparedData, codes: dict[str, NDArray[np.float32]], settings: Evaluate
) -> tuple[Metrics, dict[str, NDArray[Any]]]:
    """Return what is measured of the codes, and by column what of each dimension."""
    test, train = data.split("test"), data.split("train")
    mu = codes["test"]
    dimensions = {"dimension": np.arange(1, mu.shape[1] + 1), "variance": mu.var(axis=0)}
    metrics: Metrics = {}
    drawn = mu
    if posterior.logvar is not None:
        logvar = posterior.logvar.cpu().numpy()
        dimensions["kl"] = kl_per_dimension(mu, logvar)
        metrics |= {"kl": float(dimensions["kl"].sum()), "active_units": float(active_units(mu))}
        noise = np.random.default_rng(settings.seed).standard_normal(mu.shape)
        drawn = (mu + noise * np.exp(logvar / 2)).astype(np.float32)
    normality = normality_per_dimension(drawn)
    dimensions["ks"], dimensions["ks_p"] = normality.statistic, normality.p_value
    metrics |= {"mmd": mmd_to_standard_normal(drawn), "ks": float(normality.statistic.mean())}
    if train.labels is not None and test.labels is not None:
        known = (codes["train"], train.labels, mu, test.labels)
        metrics |= {"linear_probe": linear_probe_accuracy(*known), "knn5": knn_accuracy(*known)}
    return metrics, dimensions


def _bounds(model: VAE, test: Split, settings: Evaluate, device: torch.device) -> Metrics:
    generator = torch.Generator(device).manual_seed(settings.seed)
    terms = [elbo_terms(model, x, generator) for x in Batches(test.images, BATCH, device).in_order()]
    elbo = torch.cat([term.elbo for term in terms]).double().mean().item()
    recon = torch.cat([term.recon for term in terms]).double().mean().item()
    some = next(Batches(test.images[: settings.importance_images], settings.importance_images, device).in_order())
    bound = importance_weighted_bound(model, some, settings.importance_samples, generator)
    return {"recon": recon, "elbo": elbo, "nll": -bound.double().mean().item()}


def _generation(
    model: Model, codes: NDArray[np.float32], pinned: PinnedFeatures, settings: Evaluate, device: torch.device
) -> Metrics:
    """Fréchet distances of what is decoded from the prior, and from distributions fitted to the training codes."""
    sources = {
        "prior": standard_normal(model.latent),
        "gaussian": fit_gaussian(codes),
        "mixture": fit_mixture(codes, settings.mixture_components, settings.seed),
    }
    metrics: Metrics = {}
    for name, source in sources.items():
        z = torch.from_numpy(source.sample(pinned.images, np.random.default_rng(settings.seed))).to(device)
        metrics[f"frechet/{name}"] = pinned.frechet(_decode(model, z))
    return metrics | {"frechet/floor": pinned.floor}


def _decode(model: Model, z: Tensor) -> Tensor:
    return torch.cat([model.decode(part) for part in z.split(BATCH)])
