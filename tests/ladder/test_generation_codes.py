import numpy as np
import pytest
import torch

from autoencoders.evaluation.generation import standard_normal
from autoencoders.ladder.generation.measure import generated, spread_of
from autoencoders.models.vae import VAE
from autoencoders.params import Vae


def test_the_spread_of_a_normal_sample_is_that_of_the_normal():
    codes = np.random.default_rng(0).standard_normal((200_000, 2)) * [1, 3] + [0, 5]
    spread = spread_of(codes)
    np.testing.assert_allclose(spread["mean"], [0, 5], atol=0.03)
    np.testing.assert_allclose(spread["std"], [1, 3], rtol=0.01)
    np.testing.assert_allclose(spread["low"], [-1.645, 5 - 3 * 1.645], atol=0.03)
    np.testing.assert_allclose(spread["high"], [1.645, 5 + 3 * 1.645], atol=0.03)


@pytest.fixture
def model() -> VAE:
    return VAE(Vae(latent=3, hidden=[4]), (1, 5, 7), torch.Generator().manual_seed(0)).eval()


def test_images_are_the_first_of_those_that_are_measured(model):
    source = standard_normal(3)
    images = generated(model, source, 100, 6, seed=4, device=torch.device("cpu"))
    assert images.shape == (6, 1, 5, 7)
    codes = torch.from_numpy(source.sample(100, np.random.default_rng(4)))
    with torch.inference_mode():
        np.testing.assert_allclose(images, model.decode(codes)[:6].numpy(), rtol=1e-5)


def test_images_are_those_of_the_seed(model):
    first, again, other = (generated(model, standard_normal(3), 20, 5, seed, torch.device("cpu")) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
