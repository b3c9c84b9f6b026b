import numpy as np
import pytest
import torch

from autoencoders.models import pca
from autoencoders.models.pca import PCA, leading_eigenvectors

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 2, 3, 4), dtype=np.uint8)


def test_it_is_the_singular_value_decomposition() -> None:
    model = PCA((2, 3, 4), latent=5)
    model.fit(IMAGES, chunk=7)
    flat = IMAGES.reshape(60, -1) / 255
    _, _, right = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    np.testing.assert_allclose(model.mean.numpy(), flat.mean(0), atol=1e-7)
    np.testing.assert_allclose(np.abs(model.components.numpy()), np.abs(right[:5]), atol=1e-5)


def test_the_error_is_the_variance_left_out() -> None:
    model = PCA((2, 3, 4), latent=5)
    model.fit(IMAGES)
    x = torch.from_numpy(IMAGES).float() / 255
    error = (model.decode(model.encode(x)) - x).square().mean().item()
    spectrum = np.linalg.eigvalsh(np.cov(IMAGES.reshape(60, -1).T / 255, bias=True))
    assert error == pytest.approx(spectrum[:-5].sum() / 24, rel=1e-5)


def test_all_components_give_the_image_back() -> None:
    model = PCA((2, 3, 4), latent=24)
    model.fit(IMAGES)
    x = torch.from_numpy(IMAGES).float() / 255
    torch.testing.assert_close(model.decode(model.encode(x)), x, atol=1e-5, rtol=0)


def test_subspace_iteration_agrees_with_the_full_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = np.random.default_rng(0).standard_normal((200, 120)) * np.linspace(3, 0.1, 120)
    covariance = factors.T @ factors / 200
    exact = leading_eigenvectors(covariance, 6)
    monkeypatch.setattr(pca, "EXACT_UP_TO", 10)
    iterated = leading_eigenvectors(covariance, 6)
    cosines = np.linalg.svd(exact.T @ iterated)[1]
    np.testing.assert_allclose(cosines, 1, atol=1e-5)
    np.testing.assert_allclose(np.abs((exact * iterated).sum(0)), 1, atol=1e-4)


def test_signs_are_fixed() -> None:
    model = PCA((2, 3, 4), latent=5)
    model.fit(IMAGES)
    rows = model.components
    assert (rows[torch.arange(5), rows.abs().argmax(1)] > 0).all()
