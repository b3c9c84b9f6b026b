import numpy as np
import pytest
import torch

from autoencoders.data.principal_components import principal_components
from autoencoders.models.pca import PCA
from autoencoders.params import Pca

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 2, 3, 4), dtype=np.uint8)


def fitted(latent: int) -> PCA:
    model = PCA(Pca(latent=latent), (2, 3, 4))
    model.initialise(principal_components(IMAGES, latent))
    return model


def test_the_error_is_the_variance_left_out():
    model, x = fitted(5), torch.from_numpy(IMAGES).float() / 255
    error = (model.decode(model.encode(x)) - x).square().mean().item()
    spectrum = np.linalg.eigvalsh(np.cov(IMAGES.reshape(60, -1).T / 255, bias=True))
    assert error == pytest.approx(spectrum[:-5].sum() / 24, rel=1e-5)


def test_codes_are_uncorrelated_and_have_the_components_variances():
    codes = fitted(5).encode(torch.from_numpy(IMAGES).float() / 255).numpy()
    expected = principal_components(IMAGES, 5).variances
    np.testing.assert_allclose(np.cov(codes.T, bias=True), np.diag(expected), atol=1e-6)


def test_all_components_give_the_image_back():
    model, x = fitted(24), torch.from_numpy(IMAGES).float() / 255
    torch.testing.assert_close(model.decode(model.encode(x)), x, atol=1e-5, rtol=0)
