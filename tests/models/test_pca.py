import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from autoencoders.models import pca
from autoencoders.models.pca import PCA, leading_eigenvectors
from autoencoders.params import Pca

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 2, 3, 4), dtype=np.uint8)


def test_it_is_the_singular_value_decomposition():
    model = PCA(Pca(latent=5), (2, 3, 4))
    model.fit(IMAGES, chunk=7)
    flat = IMAGES.reshape(60, -1) / 255
    _, _, right = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    np.testing.assert_allclose(model.mean.numpy(), flat.mean(0), atol=1e-7)
    np.testing.assert_allclose(np.abs(model.components.numpy()), np.abs(right[:5]), atol=1e-5)


def test_the_error_is_the_variance_left_out():
    model = PCA(Pca(latent=5), (2, 3, 4))
    model.fit(IMAGES)
    x = torch.from_numpy(IMAGES).float() / 255
    error = (model.decode(model.encode(x)) - x).square().mean().item()
    spectrum = np.linalg.eigvalsh(np.cov(IMAGES.reshape(60, -1).T / 255, bias=True))
    assert error == pytest.approx(spectrum[:-5].sum() / 24, rel=1e-5)


def test_all_components_give_the_image_back():
    model = PCA(Pca(latent=24), (2, 3, 4))
    model.fit(IMAGES)
    x = torch.from_numpy(IMAGES).float() / 255
    torch.testing.assert_close(model.decode(model.encode(x)), x, atol=1e-5, rtol=0)


def blobs(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Images that mix six patterns, each half as strong as the one before, with some noise."""
    random = np.random.default_rng(0)
    patterns = random.standard_normal((6, *shape))
    mixed = np.tensordot(random.standard_normal((count, 6)) * 40.0 * 0.5 ** np.arange(6), patterns, 1)
    return (128 + mixed + random.standard_normal(mixed.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("chunk", [4096, 33])
def test_subspace_iteration_agrees_with_the_full_decomposition(monkeypatch, chunk):
    images = blobs(300, (3, 16, 16))
    exact, iterated = PCA(Pca(latent=6), (3, 16, 16)), PCA(Pca(latent=6), (3, 16, 16))
    exact.fit(images)
    monkeypatch.setattr(pca, "MAX_EXACT_SIZE", 10)
    iterated.fit(images, chunk)
    torch.testing.assert_close(iterated.mean, exact.mean)
    torch.testing.assert_close(iterated.components, exact.components, atol=1e-5, rtol=0)


def test_chunks_are_bounded_in_bytes(monkeypatch):
    sizes: list[int] = []

    def watched(flat: np.ndarray, chunk: int) -> Iterator[np.ndarray]:
        for block in blocks(flat, chunk):
            sizes.append(block.nbytes)
            yield block

    blocks = pca._blocks
    monkeypatch.setattr(pca, "_blocks", watched)
    monkeypatch.setattr(pca, "MAX_EXACT_SIZE", 10)
    monkeypatch.setattr(pca, "CHUNK_BYTES", 10_000)
    PCA(Pca(latent=2), (2, 3, 4)).fit(np.tile(IMAGES, (10, 1, 1, 1)))
    assert max(sizes) == 10_000 // 192 * 192


def test_large_images_take_no_matrix_of_pixels_by_pixels():
    """4.7 GB it would be for 90×90 colour images."""
    images = blobs(40, (3, 90, 90))
    model = PCA(Pca(latent=2), (3, 90, 90))
    tracemalloc.start()
    model.fit(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    x = torch.from_numpy(images).float() / 255
    flat = x.flatten(1).double().numpy()
    singular = np.linalg.svd(flat - flat.mean(0), compute_uv=False)
    error = (model.decode(model.encode(x)) - x).square().sum().item()
    assert error == pytest.approx((singular[2:] ** 2).sum(), rel=1e-4)


def test_eigenvectors_of_a_matrix_with_a_known_spectrum():
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((200, 200)))[0]
    matrix = rotation * 0.8 ** np.arange(200) @ rotation.T
    found = leading_eigenvectors(lambda basis: matrix @ basis, 200, 5)
    np.testing.assert_allclose(np.abs((found * rotation[:, :5]).sum(0)), 1, atol=1e-6)


def test_signs_are_fixed():
    model = PCA(Pca(latent=5), (2, 3, 4))
    model.fit(IMAGES)
    rows = model.components
    assert (rows[torch.arange(5), rows.abs().argmax(1)] > 0).all()
