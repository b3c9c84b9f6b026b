"""Which models get an alias: the best by the validation split, whichever comes first in params.yaml."""

from typing import Any

import pytest

from autoencoders.evaluation.selection import best_models
from autoencoders.params import Params, parse_params

VAE = {"kind": "vae", "latent": 2}
AUTOENCODER = {"kind": "autoencoder", "latent": 2}


def params(**models: dict[str, Any]) -> Params:
    return parse_params({"models": models})


def validated(**metrics: dict[str, float]) -> dict[str, Any]:
    return {name: {"validation": values} for name, values in metrics.items()}


@pytest.mark.parametrize(("first", "second", "best"), [(-90.0, -100.0, "a"), (-100.0, -90.0, "b")])
def test_the_best_vae_has_the_highest_elbo(first, second, best):
    """Though its reconstructions are worse."""
    measured = {name: {"val/elbo": elbo, "val/mse": 200 + elbo} for name, elbo in (("a", first), ("b", second))}
    assert best_models(params(a=VAE, b=VAE), validated(**measured)) == {"best-vae": (best, "val/elbo")}


@pytest.mark.parametrize(("first", "second", "best"), [(0.1, 0.2, "a"), (0.2, 0.1, "b")])
def test_the_best_autoencoder_has_the_lowest_error(first, second, best):
    errors = validated(a={"val/mse": first}, b={"val/mse": second}, pca={"val/mse": 0.01})
    chosen = best_models(params(a=AUTOENCODER, b=AUTOENCODER, pca={"kind": "pca", "latent": 2}), errors)
    assert chosen == {"best-autoencoder": (best, "val/mse")}


@pytest.mark.parametrize(("first", "second", "best"), [(0.1, 0.2, "a"), (0.2, 0.1, "b")])
@pytest.mark.parametrize("pair", [("bernoulli", "gaussian"), ("gaussian", "logistic"), ("logistic", "bernoulli")])
def test_vaes_of_two_likelihoods_are_compared_by_their_error(pair, first, second, best):
    """Their ELBOs do not compare."""
    mixed = params(**{name: {**VAE, "likelihood": likelihood} for name, likelihood in zip("ab", pair, strict=True)})
    measured = validated(a={"val/elbo": -100.0, "val/mse": first}, b={"val/elbo": 2000.0, "val/mse": second})
    assert best_models(mixed, measured) == {"best-vae": (best, "val/mse")}
