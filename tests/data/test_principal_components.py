import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from autoencoders.data import principal_components as module
from autoencoders.data.prepared import PreparedData, Split, write_prepared
from autoencoders.data.principal_components import leading_eigenvectors, principal_components
from autoencoders.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 2, 3, 4), dtype=np.uint8)


def blobs(count: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Images that mix six patterns, each half as strong as the one before, with some noise."""
    random = np.random.default_rng(0)
    patterns = random.standard_normal((6, *shape))
    mixed = np.tensordot(random.standard_normal((count, 6)) * 40.0 * 0.5 ** np.arange(6), patterns, 1)
    return (128 + mixed + random.standard_normal(mixed.shape)).clip(0, 255).astype(np.uint8)


def svd(images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, variances and directions by another algorithm."""
    flat = images.reshape(len(images), -1) / 255
    mean = flat.mean(0)
    _, singular, directions = np.linalg.svd(flat - mean, full_matrices=False)
    return mean, singular**2 / len(images), directions


@pytest.mark.parametrize("images", [IMAGES, IMAGES[:15], blobs(300, (3, 16, 16)), blobs(1000, (3, 16, 16))])
def test_they_are_the_singular_value_decomposition(images):
    """Of more values than images (the Gram matrix), and of fewer (the covariance)."""
    found = principal_components(images, 6)
    mean, variances, directions = svd(images)
    np.testing.assert_allclose(found.mean, mean, atol=1e-12)
    np.testing.assert_allclose(found.variances, variances[:6], rtol=1e-9)
    np.testing.assert_allclose(np.abs((found.directions * directions[:6]).sum(1)), 1, atol=1e-6)
    assert found.rest == pytest.approx(variances[6:].sum(), rel=1e-9)


@pytest.mark.parametrize("block_bytes", [module.BLOCK_BYTES, 33 * 768 * 4])
@pytest.mark.parametrize("first", [40, 200])
def test_the_iteration_agrees_with_the_full_decomposition(monkeypatch, block_bytes, first):
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    images = blobs(1000, (3, 16, 16))
    exact, iterated = principal_components(images, 6), principal_components(images, 6, max_exact=first)
    np.testing.assert_allclose(iterated.mean, exact.mean, atol=1e-6)
    np.testing.assert_allclose(iterated.directions, exact.directions, atol=1e-4)
    np.testing.assert_allclose(iterated.variances, exact.variances, rtol=1e-5)
    assert iterated.rest == pytest.approx(exact.rest, rel=1e-4)


def test_sums_are_exact_whatever_the_order_of_the_images():
    """Pixels of 255 throughout would be the first whose products float32 rounds."""
    images = np.random.default_rng(0).integers(250, 256, (700, 1, 6, 6), dtype=np.uint8)
    forward, backward = principal_components(images, 6), principal_components(images[::-1], 6)
    assert np.array_equal(forward.variances, backward.variances)
    assert np.array_equal(forward.directions, backward.directions)


def test_beyond_the_rank_of_the_images_directions_and_variances_are_zero():
    few = principal_components(IMAGES[:4], 6)
    assert np.linalg.matrix_rank(few.directions) == 3
    np.testing.assert_allclose(few.directions[:3] @ few.directions[:3].T, np.eye(3), atol=1e-6)
    assert not few.directions[3:].any()
    assert not few.variances[3:].any()
    assert few.rest == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("count", [3, 60])
def test_images_that_are_all_alike_have_no_direction(count):
    found = principal_components(np.full((count, 2, 3, 4), 77, np.uint8), 5)
    np.testing.assert_allclose(found.mean, 77 / 255)
    assert (found.directions.any(), found.variances.any(), found.rest) == (False, False, 0)


def test_large_images_take_no_matrix_of_pixels_by_pixels():
    """4.7 GB it would be for 90×90 colour images."""
    images = blobs(40, (3, 90, 90))
    tracemalloc.start()
    found = principal_components(images, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert found.rest == pytest.approx(svd(images)[1][2:].sum(), rel=1e-6)


def test_eigenvectors_of_a_matrix_with_a_known_spectrum():
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.standard_normal((200, 200)))[0]
    matrix = rotation * 0.8 ** np.arange(200) @ rotation.T
    start = np.linalg.qr(random.standard_normal((200, 26)))[0]
    values, vectors = leading_eigenvectors(lambda basis: matrix @ basis, start, 5, tolerance=1e-10)
    np.testing.assert_allclose(values, 0.8 ** np.arange(5))
    np.testing.assert_allclose(np.abs((vectors * rotation[:, :5]).sum(0)), 1, atol=1e-6)


def test_signs_are_fixed():
    rows = principal_components(IMAGES, 5).directions
    assert (rows[np.arange(5), np.abs(rows).argmax(1)] > 0).all()


def test_the_first_few_leave_the_others_as_rest():
    all_of_them, few = principal_components(IMAGES, 24), principal_components(IMAGES, 24).leading(5)
    expected = principal_components(IMAGES, 5)
    np.testing.assert_array_equal(few.directions, all_of_them.directions[:5])
    np.testing.assert_allclose(few.directions, expected.directions, atol=1e-6)
    assert few.rest == pytest.approx(expected.rest)


def test_prepared_data_holds_those_of_the_training_images_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("autoencoders.data.prepared.MAX_COMPONENTS", 8)
    images = IMAGES.reshape(60, 1, 6, 4)
    train, others = Split(images, None), Split(images[:5] // 2, None)
    write_prepared(tmp_path / "data", "x", {"train": train, "val": others, "test": others}, None)
    data = PreparedData(tmp_path / "data")
    for count in (1, 8, 11):  # some of those kept, all, and more
        found, expected = data.principal_components(count), principal_components(images, count)
        np.testing.assert_array_equal(found.mean, expected.mean)
        np.testing.assert_allclose(found.directions, expected.directions, atol=1e-6)
        np.testing.assert_allclose(found.variances, expected.variances)
        assert found.rest == pytest.approx(expected.rest)
    (tmp_path / "data" / "components" / "directions.npy").unlink()
    with pytest.raises(UserError, match=r"directions\.npy.*run the `prepare` stage"):
        data.principal_components(2)
