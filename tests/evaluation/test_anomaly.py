from typing import Any

import numpy as np
import pytest
import torch

from autoencoders.data.principal_components import principal_components
from autoencoders.evaluation.anomaly import QUANTILE, anomaly_scores, concatenate, thresholds
from autoencoders.evaluation.likelihood import elbo_terms
from autoencoders.models import PCA, VAE
from autoencoders.params import Pca, Vae

SHAPE = (1, 4, 4)


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def vae(likelihood: Any = "bernoulli") -> VAE:
    return VAE(Vae(latent=3, hidden=[8], likelihood=likelihood), SHAPE, torch.Generator().manual_seed(1)).eval()


@torch.no_grad()
def test_without_a_code_the_negative_elbo_is_the_cross_entropy_plus_the_kl():
    """A decoder that ignores z, and a posterior N(m, s²) that ignores the image: both terms have closed forms."""
    model, x = vae(), images(5)
    for layer in (model.encoder[-1], model.decoder[0]):
        layer.weight.zero_()
        layer.bias.zero_()
    model.encoder[-1].bias.copy_(torch.tensor([0.5, -1.0, 2.0, 0.0, 0.3, -0.7]))
    model.decoder[-2].weight.zero_()
    model.decoder[-2].bias.fill_(np.log(0.2 / 0.8))
    cross_entropy = -(x * np.log(0.2) + (1 - x) * np.log(0.8)).flatten(1).sum(1)
    kl = 0.5 * (0.25 + 1 + 4 + 1 + np.exp(0.3) + np.exp(-0.7) - 3 - (0.3 - 0.7))
    scores = anomaly_scores(model, x)
    torch.testing.assert_close(scores.neg_elbo, cross_entropy + float(kl))
    torch.testing.assert_close(scores.mse, (x - 0.2).square().flatten(1).mean(1))


@torch.no_grad()
@pytest.mark.parametrize(("likelihood", "tolerance"), [("bernoulli", 0.2), ("gaussian", 0.2), ("logistic", 0.8)])
def test_with_many_draws_the_negative_elbo_is_the_evaluation_s(likelihood, tolerance, monkeypatch):
    monkeypatch.setattr("autoencoders.evaluation.anomaly.N_DRAWS", 4000)
    model, x = vae(likelihood), images(4)
    generator = torch.Generator().manual_seed(3)
    many = -torch.stack([elbo_terms(model, x, generator).elbo for _ in range(2000)]).mean(0)
    found = anomaly_scores(model, x).neg_elbo
    torch.testing.assert_close(found, many, rtol=0, atol=tolerance)


@torch.no_grad()
def test_a_score_does_not_depend_on_the_images_beside_it():
    model, x = vae(), images(6)
    alone = concatenate(anomaly_scores(model, x[i : i + 1]) for i in (4, 2))
    together = anomaly_scores(model, x)
    torch.testing.assert_close(alone.neg_elbo, together.neg_elbo[[4, 2]])
    torch.testing.assert_close(alone.mse, together.mse[[4, 2]])


@torch.no_grad()
def test_equal_images_have_equal_scores():
    scores = anomaly_scores(vae(), images(1).repeat(9, 1, 1, 1))
    assert scores.neg_elbo.unique().numel() == 1


def test_a_model_without_a_posterior_has_an_error_alone():
    model, x = PCA(Pca(latent=2), SHAPE), images(3)
    model.initialise(principal_components((images(50) * 255).byte().numpy(), model.latent))
    residual = (x - model.mean.view(SHAPE)).flatten(1)
    unseen = residual.square().sum(1) - (residual @ model.components.T).square().sum(1)  # Pythagoras
    scores = anomaly_scores(model, x)
    assert scores.neg_elbo is None
    torch.testing.assert_close(scores.mse, unseen / 16)


@torch.no_grad()
def test_a_threshold_is_the_quantile_over_all_batches():
    model, x = vae(), images(150)
    found = thresholds(model, x.split(64))
    scores = anomaly_scores(model, x)
    assert found == {
        "quantile": QUANTILE,
        "mse": pytest.approx(np.quantile(scores.mse.double().numpy(), 0.99)),
        "neg_elbo": pytest.approx(np.quantile(scores.neg_elbo.double().numpy(), 0.99)),
    }
    assert (scores.mse > found["mse"]).sum() == 2  # of 150


@torch.no_grad()
def test_the_four_draws_are_averaged():
    """One draw after the other is what all of them are the mean of."""
    model, x = vae(), images(3)
    mu, logvar = model.posterior(x)
    noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    parts = [-model.log_likelihood(x, mu + epsilon * (0.5 * logvar).exp()) for epsilon in noise]
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
    found = anomaly_scores(model, x).neg_elbo
    torch.testing.assert_close(found, torch.stack(parts).mean(0) + kl)
