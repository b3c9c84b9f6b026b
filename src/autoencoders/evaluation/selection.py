"""The best of the trained models, by the validation results in `model.json`."""

from collections.abc import Mapping
from typing import Any

from autoencoders.evaluation.measures import higher_is_better
from autoencoders.params import KINDS, Params


def best_models(params: Params, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return alias → (model, metric): the best autoencoder and the best VAE by the validation split.

    Autoencoders by val/mse; VAEs by val/elbo, or by val/mse where their ELBOs do not compare.
    """
    chosen = {}
    for alias, has_posterior in (("best-autoencoder", False), ("best-vae", True)):
        entries = {
            name: entry
            for name, entry in params.models.items()
            if KINDS[entry.kind].can_sample and KINDS[entry.kind].has_posterior == has_posterior
        }
        if not entries:
            continue
        by_elbo = has_posterior and len({entry.comparable for entry in entries.values()}) == 1
        metric = "val/elbo" if by_elbo else "val/mse"
        best_of = max if higher_is_better(metric) else min
        chosen[alias] = (best_of(entries, key=lambda name: descriptions[name]["validation"][metric]), metric)
    return chosen
