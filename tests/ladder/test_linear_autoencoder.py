import numpy as np
import pytest
import torch

from autoencoders.data.batches import Batches
from autoencoders.data.principal_components import principal_components
from autoencoders.ladder.linear.autoencoder import LinearAutoencoder, mean_error, train_linear
from autoencoders.ladder.linear.pca_curve import pca_curve, principal_angles, turned_to
from autoencoders.models.pca import PCA
from autoencoders.params import Pca, Train

CPU = torch.device("cpu")
SHAPE = (1, 4, 4)


def images_with_spectrum(count: int = 1000, seed: int = 0) -> np.ndarray:
    """uint8 images (N, 1, 4, 4) with standard deviations 60, 45, 20, 15, 15, … along 16 orthogonal directions."""
    directions = np.linalg.qr(np.random.default_rng(9).standard_normal((16, 16)))[0]
    scales = np.array([60, 45, 20, *[15] * 13])
    values = 127 + (np.random.default_rng(seed).standard_normal((count, 16)) * scales) @ directions.T
    return values.clip(0, 255).round().astype(np.uint8).reshape(count, *SHAPE)


def random_basis(columns: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((20, columns)))[0]


def test_the_same_space_is_at_0_degrees_whatever_its_basis():
    basis = random_basis(3)
    mixed = basis @ np.random.default_rng(1).standard_normal((3, 3))
    np.testing.assert_allclose(principal_angles(basis, mixed), 0, atol=1e-5)


def test_orthogonal_spaces_are_at_90_degrees():
    basis = random_basis(6)
    np.testing.assert_allclose(principal_angles(basis[:, :3], basis[:, 3:]), 90)


def test_a_known_tilt_is_found_the_smallest_angle_first():
    basis = random_basis(6)
    tilts = np.radians([40.0, 1.5, 12.0])
    tilted = basis[:, :3] * np.cos(tilts) + basis[:, 3:] * np.sin(tilts)
    np.testing.assert_allclose(principal_angles(basis[:, :3], tilted), [1.5, 12, 40])


def test_a_basis_turns_back_to_the_one_it_was_mixed_from():
    target = random_basis(4)
    mixed = target @ np.random.default_rng(1).standard_normal((4, 4))
    np.testing.assert_allclose(turned_to(target, mixed), target, atol=1e-12)


def test_turning_keeps_the_space_and_gives_an_orthonormal_basis():
    target, basis = random_basis(4), random_basis(4, seed=1)
    turned = turned_to(target, basis)
    np.testing.assert_allclose(turned.T @ turned, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(principal_angles(turned, basis), 0, atol=1e-5)
    assert np.linalg.norm(turned - target) <= np.linalg.norm(basis - target)


def test_the_curve_is_the_test_error_of_pca_with_as_many_components():
    train, test = images_with_spectrum(300), images_with_spectrum(50, seed=1)
    curve = pca_curve(principal_components(train, 4), Batches(train, 70, CPU), Batches(test, 20, CPU))
    assert curve.components.shape == (16, 4)
    for k in (1, 4):
        pca = PCA(Pca(latent=k), SHAPE)
        pca.initialise(principal_components(train, k))
        for images, measured in ((test, curve.mse), (train, curve.train_mse)):
            x = torch.from_numpy(images).float() / 255
            expected = (pca.decode(pca.encode(x)) - x).square().mean().item()
            assert measured[k] == pytest.approx(expected, rel=1e-5)
    mean = train.mean(axis=0) / 255
    assert curve.mse[0] == pytest.approx(np.square(test / 255 - mean).mean())


def test_with_all_components_nothing_is_left():
    train = images_with_spectrum(100)
    batches = Batches(train, 100, CPU)
    assert pca_curve(principal_components(train, 16), batches, batches).mse[-1] == pytest.approx(0, abs=1e-9)


def trained(steps: int) -> LinearAutoencoder:
    images = images_with_spectrum()
    settings = Train(seed=0, steps=steps, batch_size=25, learning_rate=0.015, schedule="cosine", precision="fp32")
    components = principal_components(images, 2)
    return train_linear(Batches(images, 25, CPU), Batches(images, 1000, CPU), components, SHAPE, 2, settings)


def test_a_linear_autoencoder_reaches_the_error_and_the_space_of_pca():
    test = Batches(images_with_spectrum(500, seed=1), 500, CPU)
    images = images_with_spectrum()
    curve = pca_curve(principal_components(images, 2), Batches(images, 500, CPU), test)
    model = trained(steps=3200)
    assert mean_error(model, test) == pytest.approx(curve.mse[2], rel=1e-3)
    assert principal_angles(model.basis(), curve.components)[-1] < 1


def test_the_mean_image_has_the_code_0_at_the_start():
    components = principal_components(images_with_spectrum(), 3)
    mean = torch.from_numpy(components.mean).float().view(1, *SHAPE)
    model = LinearAutoencoder(SHAPE, 3, torch.Generator().manual_seed(0))
    model.initialise(components)
    torch.testing.assert_close(model.encode(mean), torch.zeros(1, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(model.decode(torch.zeros(1, 3)), mean)


def test_it_is_linear_and_unbounded():
    model = LinearAutoencoder(SHAPE, 2, torch.Generator().manual_seed(0))
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    origin = model.decode(torch.zeros(1, 2))
    torch.testing.assert_close(model.decode(2 * z) - origin, 2 * (model.decode(z) - origin))
    assert model.decode(100 * z).max() > 2
    columns = torch.from_numpy(model.basis()).float()
    torch.testing.assert_close((model.decode(z) - origin).flatten(1), z @ columns.T)


def test_the_error_weighs_every_image_the_same():
    images = images_with_spectrum(30)
    model = LinearAutoencoder(SHAPE, 2, torch.Generator().manual_seed(0))
    assert mean_error(model, Batches(images, 30, CPU)) == pytest.approx(mean_error(model, Batches(images, 7, CPU)))
