"""The bounds against a linear Gaussian VAE, whose likelihood and posterior are Gaussians in closed form."""

import math
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor

from autoencoders.evaluation import likelihood
from autoencoders.evaluation.likelihood import elbo_terms, importance_weighted_bound

LATENT, SIDE, SIGMA = 2, 3, 0.6
PIXELS = SIDE * SIDE


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass
class LinearGaussianVae:
    """z ~ N(0, I), x|z ~ N(Wz + b, s^2 I), W with orthogonal columns, so that the exact posterior is diagonal."""

    scale: float = 1.0
    """Standard deviation of q(z|x) relative to the exact posterior's."""
    shift: float = 0.0
    """Added to the mean of q(z|x)."""
    decoded: int = 0
    """Largest number of codes in one call of `log_likelihood`."""

    def __post_init__(self) -> None:
        basis = torch.linalg.qr(torch.randn(PIXELS, LATENT, generator=seeded(0), dtype=torch.float64))[0]
        self.weight = basis * torch.tensor([1.5, 0.8], dtype=torch.float64)
        self.bias = torch.linspace(0, 1, PIXELS, dtype=torch.float64)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        precision = 1 + self.weight.square().sum(0) / SIGMA**2
        mu = (x.flatten(1) - self.bias) @ self.weight / SIGMA**2 / precision + self.shift
        return mu, (-precision.log() + 2 * math.log(self.scale)).expand_as(mu)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        self.decoded = max(self.decoded, len(z))
        normal = torch.distributions.Normal(z @ self.weight.T + self.bias, SIGMA)
        return normal.log_prob(x.flatten(1)).sum(1)

    def exact(self, x: Tensor) -> Tensor:
        cov = self.weight @ self.weight.T + SIGMA**2 * torch.eye(PIXELS, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(self.bias, cov).log_prob(x.flatten(1))

    def images(self, count: int) -> Tensor:
        z = torch.randn(count, LATENT, generator=seeded(1), dtype=torch.float64)
        noise = torch.randn(count, PIXELS, generator=seeded(2), dtype=torch.float64)
        return (z @ self.weight.T + self.bias + SIGMA * noise).reshape(count, 1, SIDE, SIDE)


@pytest.mark.parametrize("samples", [1, 7, 50])
def test_with_the_exact_posterior_every_bound_is_the_likelihood(samples):
    vae = LinearGaussianVae()
    x = vae.images(20)
    torch.testing.assert_close(importance_weighted_bound(vae, x, samples, seeded(3)), vae.exact(x), rtol=0, atol=1e-8)


def test_float32_images_are_exact_to_a_ten_thousandth():
    vae = LinearGaussianVae()
    x = vae.images(20)
    vae.weight, vae.bias = vae.weight.float(), vae.bias.float()
    bound = importance_weighted_bound(vae, x.float(), 10, seeded(3))
    assert bound.dtype == torch.float32
    torch.testing.assert_close(bound.double(), LinearGaussianVae().exact(x), rtol=0, atol=1e-4)


def test_elbo_with_the_exact_posterior_is_the_likelihood_in_expectation():
    vae = LinearGaussianVae()
    x = vae.images(1)
    terms = elbo_terms(vae, x.expand(40_000, 1, SIDE, SIDE), seeded(3))
    assert terms.elbo.mean().item() == pytest.approx(vae.exact(x).item(), abs=0.02)
    mu, logvar = vae.posterior(x)
    posterior = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, torch.ones_like(mu))).sum(1)
    torch.testing.assert_close(terms.kl[:1], kl)


def test_elbo_of_a_wrong_posterior_falls_short_by_its_divergence():
    vae = LinearGaussianVae(scale=1.5, shift=0.3)
    x = vae.images(1)
    terms = elbo_terms(vae, x.expand(40_000, 1, SIDE, SIDE), seeded(3))
    wrong, exact = (model.posterior(x) for model in (vae, LinearGaussianVae()))
    gap = torch.distributions.kl_divergence(
        torch.distributions.Normal(wrong[0], (0.5 * wrong[1]).exp()),
        torch.distributions.Normal(exact[0], (0.5 * exact[1]).exp()),
    ).sum()
    assert gap.item() > 0.5
    assert terms.elbo.mean().item() == pytest.approx((vae.exact(x) - gap).item(), abs=0.03)


def test_with_a_wrong_posterior_the_bound_grows_to_the_likelihood():
    vae = LinearGaussianVae(scale=1.5, shift=0.3)
    x = vae.images(200)
    exact = vae.exact(x).mean().item()
    bounds = [importance_weighted_bound(vae, x, samples, seeded(3)).mean().item() for samples in (1, 5, 50, 2000)]
    assert bounds == sorted(bounds)
    assert bounds[0] < exact - 0.5
    assert bounds[2] < exact
    assert bounds[-1] == pytest.approx(exact, abs=0.01)  # weights of the wrong sign would diverge instead


def test_the_bound_of_one_sample_is_an_elbo():
    vae = LinearGaussianVae(scale=1.5, shift=0.3)
    x = vae.images(1).expand(40_000, 1, SIDE, SIDE)
    bound = importance_weighted_bound(vae, x, 1, seeded(3)).mean().item()
    assert bound == pytest.approx(elbo_terms(vae, x, seeded(4)).elbo.mean().item(), abs=0.04)


def test_chunks_bound_memory_and_change_nothing():
    x = LinearGaussianVae().images(13)
    values = {}
    for chunk in (1, 7, 30, 64, 10_000):
        vae = LinearGaussianVae(scale=1.5)
        values[chunk] = importance_weighted_bound(vae, x, 30, seeded(3), chunk=chunk)
        assert vae.decoded <= chunk
        torch.testing.assert_close(values[chunk], values[1], rtol=0, atol=1e-10)
    whole, parts = (elbo_terms(LinearGaussianVae(), x, seeded(3), chunk) for chunk in (None, 4))
    torch.testing.assert_close(whole.recon, parts.recon, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("elements", "codes"), [(10 * PIXELS + 5, 10), (PIXELS - 1, 1)])
def test_without_a_chunk_as_many_codes_are_decoded_at_once_as_fit(monkeypatch, elements, codes):
    monkeypatch.setattr(likelihood, "DECODED_ELEMENTS", elements)
    for measure in (elbo_terms, partial(importance_weighted_bound, samples=30)):
        vae = LinearGaussianVae()
        measure(vae, vae.images(13), generator=seeded(3))
        assert vae.decoded == codes


def test_four_million_pixels_are_decoded_at_once():
    x = torch.zeros(1).expand(9, 1, 1024, 1024)
    assert [likelihood._chunk(images) for images in (x, x[:, :, :1], x[:, :, :, :512])] == [4, 4096, 8]


def test_the_generator_alone_decides_the_noise():
    vae = LinearGaussianVae(scale=1.5)
    x = vae.images(3)
    state = torch.get_rng_state()
    first, again, other = (importance_weighted_bound(vae, x, 5, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_samples_is_refused():
    vae = LinearGaussianVae()
    with pytest.raises(ValueError, match="samples"):
        importance_weighted_bound(vae, vae.images(1), 0, seeded(0))
