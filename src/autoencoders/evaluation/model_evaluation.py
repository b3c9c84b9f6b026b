"""All measures of a model on the test split. `measures.py` explains each number.

A new measure is an entry there and the line here that computes it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.prepared import Split
from autoencoders.evaluation.baseline import mse_over_pca
from autoencoders.evaluation.generation import fit_gaussian, fit_mixture, standard_normal
from autoencoders.evaluation.latents import (
    active_units,
    kl_per_dimension,
    knn_accuracy,
    linear_probe_accuracy,
    mmd_to_standard_normal,
    normality_per_dimension,
)
from autoencoders.evaluation.likelihood import bits_per_dim, elbo_terms, importance_weighted_bound
from autoencoders.evaluation.pinned_features import PinnedFeatures
from autoencoders.evaluation.reconstruction import reconstruction_metrics
from autoencoders.evaluation.sampling import Posterior, posterior_of
from autoencoders.models import Model
from autoencoders.params import Evaluate

if TYPE_CHECKING:
    from autoencoders.data.principal_components import PrincipalComponents

Codes = NDArray[np.float32]
Metrics = dict[str, float]

PARTS = ("codes", "reconstructions", "latent space", "likelihood", "Fréchet distances")
"""Of an evaluation, for its progress."""


class ModelEvaluation(NamedTuple):
    """What is measured of a model."""

    metrics: Metrics  # by the keys of `MEASURES`
    codes: Codes  # (N, k) of the test images; a VAE's are posterior means
    errors: NDArray[np.float32]  # (N,): the squared error of each test image, mean over its values
    dimensions: dict[str, NDArray[Any]]  # columns with a number for each of the k latent dimensions


@torch.inference_mode()
def evaluate_model(
    model: Model,
    components: "PrincipalComponents",
    train: Split,
    test: Split,
    features: PinnedFeatures,
    settings: Evaluate,
    device: torch.device,
    begin: Callable[[str], None] = lambda part: None,
) -> ModelEvaluation:
    """Measure `model` on the `test` split; probes and distributions of codes are fitted to the `train` split's.

    `components` are the first `model.latent` of the `train` split. `begin` is called as each of `PARTS` begins.
    """
    begin("codes")
    posterior = posterior_of(model, test, device)
    train_codes = posterior_of(model, train, device).mean.cpu().numpy()
    codes = posterior.mean.cpu().numpy()
    has_posterior = posterior.logvar is not None

    begin("reconstructions")
    images = Batches(test.images, EVAL_BATCH, device)
    recon = (model.decode(z) for z in posterior.mean.split(EVAL_BATCH))
    metrics, errors = reconstruction_metrics(zip(images.in_order(), recon, strict=True))
    if (ratio := mse_over_pca(metrics["mse"], components, model.shape, images)) is not None:
        metrics["mse_over_pca"] = ratio
    begin("latent space")
    dimensions = _dimensions(posterior, settings.seed)
    if has_posterior:
        metrics |= {"kl": float(dimensions["kl"].sum()), "active_units": float(active_units(codes))}
    metrics["mmd"] = mmd_to_standard_normal(posterior.sample(settings.seed))
    metrics["ks"] = float(dimensions["ks"].mean())
    if train.has_classes and train.labels is not None and test.labels is not None:
        known = (train_codes, train.labels, codes, test.labels)
        metrics |= {"linear_probe": linear_probe_accuracy(*known), "knn5": knn_accuracy(*known)}
    begin("likelihood")
    if has_posterior:
        metrics |= measure_bounds(model, test, settings, device)
    begin("Fréchet distances")
    metrics |= _frechet_distances(model, train_codes, features, settings, device)
    return ModelEvaluation(metrics, codes, errors.numpy(), dimensions)


def measure_bounds(model: Model, test: Split, settings: Evaluate, device: torch.device) -> Metrics:
    """Return `recon` and `elbo` of the test images and `nll` of the first of them, in nats per image.

    A model whose likelihood is of 8-bit pixels has `bits_per_dim`, too: the `nll` in bits per value of an image.
    """
    generator = torch.Generator(device).manual_seed(settings.seed)
    terms = [elbo_terms(model, x, generator) for x in Batches(test.images, EVAL_BATCH, device).in_order()]
    recon = torch.cat([term.recon for term in terms]).double().mean().item()
    elbo = torch.cat([term.elbo for term in terms]).double().mean().item()
    count = settings.importance_images
    first = next(Batches(test.images[:count], count, device).in_order())
    nll = -importance_weighted_bound(model, first, settings.importance_samples, generator).double().mean().item()
    metrics = {"recon": recon, "elbo": elbo, "nll": nll}
    return metrics | {"bits_per_dim": bits_per_dim(nll, model.shape)} if model.discretised else metrics


def _dimensions(posterior: Posterior, seed: int) -> dict[str, NDArray[Any]]:
    mu = posterior.mean.cpu().numpy()
    columns = {"dimension": np.arange(1, mu.shape[1] + 1), "variance": mu.var(axis=0)}
    if posterior.logvar is not None:
        columns["kl"] = kl_per_dimension(mu, posterior.logvar.cpu().numpy())
    statistics, p_values = normality_per_dimension(posterior.sample(seed))
    return columns | {"ks": statistics, "ks_p": p_values}


def _frechet_distances(
    model: Model, train_codes: Codes, features: PinnedFeatures, settings: Evaluate, device: torch.device
) -> Metrics:
    """Measure images decoded from the prior, and from distributions fitted to the training codes."""
    sources = {
        "prior": standard_normal(model.latent),
        "gaussian": fit_gaussian(train_codes),
        "mixture": fit_mixture(train_codes, settings.mixture_components, settings.seed),
    }
    metrics = {}
    for name, source in sources.items():
        z = torch.from_numpy(source.sample(features.images, np.random.default_rng(settings.seed))).to(device)
        metrics[f"frechet/{name}"] = features.frechet(model.decode(part) for part in z.split(EVAL_BATCH))
    return metrics | {"frechet/floor": features.floor}
