"""Rung 5: the autoencoder cannot generate from N(0, I), the VAE can; where their codes lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.errors import UserError
from autoencoders.evaluation.generation import CodeDistribution, fit_mixture, standard_normal
from autoencoders.evaluation.results import ALWAYS_MEASURED, read_metrics
from autoencoders.evaluation.sampling import posterior_of
from autoencoders.ladder.record import Result, Series
from autoencoders.model_folder import load_trained
from autoencoders.models import Model
from autoencoders.params import KINDS, Params

if TYPE_CHECKING:
    from autoencoders.ladder.run import Inputs

COMPARED_MEASURES = ("frechet/prior", "frechet/gaussian", "frechet/mixture", "mmd", "ks")
"""Measures of `evaluate` that both models are compared by."""
MIDDLE_90 = (0.05, 0.95)  # the quantiles between which the middle 90 % lie


def measure(inputs: "Inputs") -> Result:
    """Draw from an autoencoder and a VAE that share a latent size; without such a pair, measure nothing."""
    params = inputs.params
    pair = comparable_pair(params)
    if pair is None:
        return _no_pair(params)
    autoencoder, vae = (_read(name, inputs) for name in pair)
    metrics = _metrics(autoencoder, vae)
    return Result(
        summary=", ".join(f"{key} {value:.4g}" for key, value in metrics.items()),
        params={
            "autoencoder": autoencoder.name,
            "vae": vae.name,
            **params.ladder.generation.model_dump(),
            **params.evaluate.model_dump(include={"seed", "mixture_components"}),
            "generated": params.features.images,
        },
        metrics=metrics,
        facts=story_facts(metrics, autoencoder.model.latent, pair),
        series=_series(autoencoder, vae),
        arrays=_arrays(autoencoder, vae, inputs),
    )


@dataclass(frozen=True)
class EvaluatedModel:
    """A model, what `evaluate` measured of it, and where its codes of the test images lie."""

    name: str
    model: Model
    metrics: Mapping[str, float]
    spread: Mapping[str, NDArray[np.float64]]


def comparable_pair(params: Params) -> tuple[str, str] | None:
    """Return the first autoencoder and the first VAE of the largest latent size that both kinds have, if any."""
    first: dict[tuple[bool, int], str] = {}
    for name, entry in params.models.items():
        if KINDS[entry.kind].can_sample:
            first.setdefault((KINDS[entry.kind].has_posterior, entry.latent), name)
    shared = [latent for is_vae, latent in first if is_vae and (False, latent) in first]
    return (first[False, max(shared)], first[True, max(shared)]) if shared else None


def spread_of(codes: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Return where codes (N, k) lie, dimension by dimension: `mean`, `std`, and `low` to `high`, the middle 90 %."""
    values = np.asarray(codes, dtype=np.float64)
    low, high = np.quantile(values, MIDDLE_90, axis=0)
    return {"mean": values.mean(axis=0), "std": values.std(axis=0), "low": low, "high": high}


@torch.inference_mode()
def generated(
    model: Model, source: CodeDistribution, count: int, shown: int, seed: int, device: torch.device
) -> NDArray[np.float32]:
    """Return the first `shown` of the `count` images that `evaluate` decodes from `source`, (shown, C, H, W) in [0, 1].

    All `count` codes are drawn, so that the images shown are among those of the Fréchet distance.
    """
    codes = source.sample(count, np.random.default_rng(seed))[:shown]
    return model.decode(torch.from_numpy(codes).to(device)).clamp(0, 1).cpu().numpy()


def _read(name: str, inputs: "Inputs") -> EvaluatedModel:
    folder = inputs.models / name
    trained = load_trained(folder, inputs.device)
    if trained.description["dataset"]["content_hash"] != inputs.data.info.content_hash:
        raise UserError(f"{folder} was trained on other data than {inputs.data.root} holds. Train it again.")
    metrics = read_metrics(inputs.evaluation / name, (*ALWAYS_MEASURED, *COMPARED_MEASURES))
    posterior = posterior_of(trained.model, inputs.data.split("test"), inputs.device)
    codes = posterior.sample(inputs.params.evaluate.seed)
    return EvaluatedModel(name, trained.model, metrics, spread_of(codes))


def _metrics(autoencoder: EvaluatedModel, vae: EvaluatedModel) -> dict[str, float]:
    metrics = {"frechet_floor": autoencoder.metrics["frechet/floor"]}
    for kind, model in (("autoencoder", autoencoder), ("vae", vae)):
        metrics |= {f"{kind}/{key.replace('/', '_')}": model.metrics[key] for key in COMPARED_MEASURES}
        metrics |= {
            f"{kind}/smallest_std": float(model.spread["std"].min()),
            f"{kind}/largest_std": float(model.spread["std"].max()),
            f"{kind}/largest_mean": float(np.abs(model.spread["mean"]).max()),
        }
    return metrics


def story_facts(metrics: Mapping[str, float], latent: int, pair: tuple[str, str]) -> dict[str, Any]:
    """Return what the story and the figure need: the `metrics` of each model of the `pair`, and of real images."""
    models = {
        kind: {key.partition("/")[2]: value for key, value in metrics.items() if key.startswith(f"{kind}/")}
        for kind in ("autoencoder", "vae")
    }
    names = dict(zip(models, pair, strict=True))
    return {
        "latent": latent,
        "frechet_floor": metrics["frechet_floor"],
        **{kind: {"name": names[kind], **measured} for kind, measured in models.items()},
    }


def _series(*models: EvaluatedModel) -> Series:
    """Return a row for each model and latent dimension."""
    return [
        {"model": model.name, "dimension": z + 1, **{name: values[z] for name, values in model.spread.items()}}
        for model in models
        for z in range(model.model.latent)
    ]


def _arrays(autoencoder: EvaluatedModel, vae: EvaluatedModel, inputs: "Inputs") -> dict[str, NDArray[Any]]:
    """Return test images, draws from N(0, I) and from a mixture fitted to the autoencoder's codes, and the spreads."""
    params, device = inputs.params, inputs.device
    shown, seed = params.ladder.generation.images, params.evaluate.seed
    codes = posterior_of(autoencoder.model, inputs.data.split("train"), device).mean.cpu().numpy()
    mixture = fit_mixture(codes, params.evaluate.mixture_components, seed)
    prior = standard_normal(autoencoder.model.latent)

    def draws(model: Model, source: CodeDistribution) -> NDArray[np.float32]:
        return generated(model, source, params.features.images, shown, seed, device)

    return {
        "real": np.array(inputs.data.split("test").images[:shown]),
        "autoencoder/prior": draws(autoencoder.model, prior),
        "vae/prior": draws(vae.model, prior),
        "autoencoder/mixture": draws(autoencoder.model, mixture),
        "autoencoder/codes": np.stack([autoencoder.spread[name] for name in ("mean", "low", "high")]),
        "vae/codes": np.stack([vae.spread[name] for name in ("mean", "low", "high")]),
    }


def _no_pair(params: Params) -> Result:
    sizes: dict[bool, set[int]] = {False: set(), True: set()}
    for entry in params.models.values():
        if KINDS[entry.kind].can_sample:
            sizes[KINDS[entry.kind].has_posterior].add(entry.latent)
    found = {"autoencoders": sorted(sizes[False]), "VAEs": sorted(sizes[True])}
    return Result(
        summary="no autoencoder and VAE with equally many latent dimensions to compare", facts={"latents": found}
    )
