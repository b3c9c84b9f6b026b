from math import log, pi
from typing import Any

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal

from autoencoders import params
from autoencoders.models.autoencoder import Autoencoder
from autoencoders.models.gaussian import kl_to_standard_normal
from autoencoders.models.logistic import log_probability
from autoencoders.models.vae import MIN_LOG_SIGMA, VAE
from autoencoders.params import Vae
from autoencoders.plots.curves import loss_unit

SHAPE = (1, 6, 5)


def vae(likelihood: Any = "bernoulli") -> VAE:
    return VAE(Vae(latent=3, hidden=[8], likelihood=likelihood), SHAPE, torch.Generator().manual_seed(0))


def images(count: int = 4) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_bernoulli_likelihood_sums_over_pixels():
    model, z, x = vae(), torch.randn(4, 3), images().round()
    reference = Independent(Bernoulli(logits=model.decoder(z)), 3).log_prob(x)
    torch.testing.assert_close(model.log_likelihood(x, z), reference)


def test_gaussian_likelihood_is_the_density_with_the_learned_variance():
    model, z, x = vae("gaussian"), torch.randn(4, 3), images()
    reference = Independent(Normal(model.decode(z), 0.2), 3).log_prob(x)
    torch.testing.assert_close(model.log_likelihood(x, z), reference)
    model.log_likelihood(x, z).sum().backward()
    assert model.log_sigma.grad.abs() > 0


def test_the_learned_variance_stops_at_half_a_grey_level():
    model, z, x = vae("gaussian"), torch.zeros(1, 3), images(1)
    with torch.no_grad():
        model.log_sigma.fill_(-30.0)
    reference = Independent(Normal(model.decode(z), 1 / 512), 3).log_prob(x)
    torch.testing.assert_close(model.log_likelihood(x, z), reference)
    assert pytest.approx(log(1 / 512)) == MIN_LOG_SIGMA


def test_logistic_likelihood_is_the_probability_of_8_bit_pixels_with_the_learned_scale():
    """The mean is the decoder's output as it is: beyond black, black is more probable than at it."""
    model, z, x = vae("logistic"), torch.randn(4, 3), (images() * 255).round() / 255
    with torch.no_grad():
        model.decoder[0].linear[0].bias.fill_(-0.5)
    mean, scale = model.decoder(z), torch.tensor(log(0.2 * 3**0.5 / pi))
    assert mean.min() < 0
    assert model.decode(z).min() == 0
    torch.testing.assert_close(model.log_likelihood(x, z), log_probability(x, mean, scale).sum((1, 2, 3)))
    model.log_likelihood(x, z).sum().backward()
    assert model.log_scale.grad.abs() > 0


@pytest.mark.parametrize(("likelihood", "discretised"), [("bernoulli", False), ("gaussian", False), ("logistic", True)])
def test_each_likelihood_has_its_unit_and_only_one_is_of_8_bit_pixels(likelihood, discretised):
    model, entry = vae(likelihood), Vae(latent=3, likelihood=likelihood)
    assert model.loss_unit == loss_unit(entry.model_dump()) == f"nats per image ({likelihood.capitalize()})"
    assert (model.discretised, entry.comparable) == (discretised, likelihood)
    assert entry.begins_at_pca == (likelihood != "bernoulli")


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_the_loss_is_recon_plus_beta_times_kl_in_nats_per_image(beta):
    model, x = vae(), images()
    noise = model.sample_noise(len(x), torch.Generator().manual_seed(2))
    losses = model.loss(x, noise, {"beta": beta})
    mu, logvar = model.posterior(x)
    recon = -model.log_likelihood(x, mu + noise * (logvar / 2).exp()).mean()
    kl = kl_to_standard_normal(mu, logvar).sum(1).mean()
    torch.testing.assert_close(losses["loss"], recon + beta * kl)
    torch.testing.assert_close(losses["kl"], kl)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "logistic"])
def test_under_bf16_only_the_networks_lose_digits(likelihood):
    model, x = vae(likelihood), images()
    noise = model.sample_noise(len(x), torch.Generator().manual_seed(2))
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.loss(x, noise)
        mu, logvar = (value.float() for value in model.posterior(x))
    assert {value.dtype for value in losses.values()} == {torch.float32}
    torch.testing.assert_close(losses["kl"], kl_to_standard_normal(mu, logvar).sum(1).mean())


def test_noise_comes_from_the_generator_alone():
    model, x = vae(), images()
    first = model.sample_noise(len(x), torch.Generator().manual_seed(2))
    torch.manual_seed(99)
    assert torch.equal(first, torch.randn(len(x), model.latent, generator=torch.Generator().manual_seed(2)))
    assert not torch.equal(first, model.sample_noise(len(x), torch.Generator().manual_seed(3)))
    recon = model.loss(x, first)["recon"]
    torch.manual_seed(98)
    assert torch.equal(recon, model.loss(x, first)["recon"])


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_an_autoencoder_s_loss_sums_over_pixels(loss):
    model = Autoencoder(params.Autoencoder(latent=3, hidden=[8], loss=loss), SHAPE, torch.Generator().manual_seed(0))
    x = images()
    recon = model.decode(model.encode(x))
    expected = (recon - x).square() if loss == "mse" else -(x * recon.log() + (1 - x) * (1 - recon).log())
    losses = model.loss(x, None)
    torch.testing.assert_close(losses["loss"], expected.sum() / 4)
    assert set(losses) == {"loss", "recon"}
