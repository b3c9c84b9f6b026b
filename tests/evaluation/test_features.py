"""Feature extractors: learning, determinism, rebuilding, and PCA against numpy's decomposition."""

from math import cos, pi

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from autoencoders.evaluation.features import (
    FeatureNet,
    PcaFeatures,
    extractor_from_config,
    fit_pca_features,
    train_feature_net,
)
from autoencoders.evaluation.generation import feature_statistics, frechet_distance


def bars(count: int, shape: tuple[int, int, int] = (1, 12, 12)) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy images whose class is whether a bright bar lies across or stands upright."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (count, *shape), dtype=np.uint8)
    labels = rng.integers(0, 2, count)
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(0, shape[1 + label])
        image[(slice(None), place) if label == 0 else (slice(None), slice(None), place)] = 255
    return images, labels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_accuracy_is_the_share_of_images_that_get_their_own_label(monkeypatch):
    net, images = FeatureNet((1, 12, 12), 3, seeded()), bars(5)[0]
    monkeypatch.setattr(net, "forward", lambda part: torch.eye(3)[[0, 1, 2, 1, 0]][: len(part)])
    assert net.accuracy(images, np.array([0, 1, 2, 1, 0])) == 1.0
    assert net.accuracy(images, np.array([0, 2, 1, 0, 1])) == 0.2  # two labels above the class, two below it


def test_classifier_learns_what_no_single_pixel_shows():
    images, labels = bars(900)
    net = train_feature_net(images[:700], labels[:700], 2, 8, seeded(), batch=50)
    assert net.accuracy(images[700:], labels[700:]) > 0.97
    statistics = {name: feature_statistics(net.features(torch.from_numpy(part))) for name, part in [
        ("all", images[:450]), ("other", images[450:]), ("across", images[labels == 0])]}  # fmt: skip
    floor = frechet_distance(*statistics["all"], *statistics["other"])
    assert frechet_distance(*statistics["all"], *statistics["across"]) > 5 * floor  # a lost class shows


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone():
    images, labels = bars(100)
    state = torch.get_rng_state()
    first, again, other = (
        train_feature_net(images, labels, 2, 1, seeded(seed), batch=20).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert all(weight.is_contiguous() for weight in first.values())  # as safetensors demands


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 9), (1, 28, 28), (3, 64, 48), (1, 200, 4)])
def test_classifier_takes_every_shape(shape):
    net = FeatureNet(shape, 7)
    features = net.features(torch.rand(3, *shape, generator=seeded()))
    assert features.shape == (3, 64)
    assert features.dtype == np.float32
    assert features.min() >= 0 < features.max()
    assert net(torch.zeros(2, *shape)).shape == (2, 7)
    assert sum(weight.numel() for weight in net.parameters()) < 200_000


def test_the_layers_are_those_that_the_docstring_names():
    def convolutions(net: FeatureNet) -> list[tuple[int, int, int, int]]:
        found = [layer for layer in net.body if isinstance(layer, nn.Conv2d)]
        return [(layer.out_channels, layer.kernel_size[0], layer.stride[0], layer.padding[0]) for layer in found]

    two, further = [(16, 5, 2, 2), (32, 3, 2, 1)], (32, 3, 2, 1)
    digits = FeatureNet((1, 28, 28), 10)
    assert convolutions(digits) == convolutions(FeatureNet((3, 32, 32), 10)) == two
    assert convolutions(FeatureNet((1, 9, 33), 10)) == [*two, further]
    sizes = [(layer.in_features, layer.out_features) for layer in digits.modules() if isinstance(layer, nn.Linear)]
    assert sizes == [(32 * 7 * 7, 64), (64, 10)]


def test_first_weights_are_of_seed_0_unless_a_generator_is_given():
    default, same, other = (FeatureNet((1, 8, 8), 3, generator) for generator in (None, seeded(0), seeded(1)))
    assert torch.equal(default.head.weight, same.head.weight)
    assert not torch.equal(default.head.weight, other.head.weight)
    assert default.head.weight.abs().max() <= (6 / 64) ** 0.5  # He et al. 2015, eq. 10, of a uniform distribution
    assert not default.head.bias.any()


def test_few_images_are_enough_to_train_a_classifier():
    images, labels = bars(260)
    net = train_feature_net(images[:60], labels[:60], 2, 3, seeded())
    assert net.accuracy(images[60:], labels[60:]) > 0.9  # 3 epochs are 3 steps, which would leave it at chance


def test_a_classifier_is_trained_by_adam_at_a_rate_that_falls_to_zero(monkeypatch):
    """Two epochs of batches of 70, 70, 70, 70 and 20 images, step by step."""
    monkeypatch.setattr("autoencoders.evaluation.features.MIN_STEPS", 10)
    images, labels = bars(300)
    net = train_feature_net(images, labels, 2, 2, seeded(), batch=70)
    generator = seeded()
    plain = FeatureNet((1, 12, 12), 2, generator).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(plain.parameters(), fused=True)
    order = torch.cat([torch.randperm(300, generator=generator) for _ in range(2)])
    for step, rows in enumerate(order.split([70, 70, 70, 70, 20] * 2)):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 + cos(pi * step / 10)) / 2
        optimizer.zero_grad()
        logits = plain(torch.from_numpy(images)[rows] / 255)
        nn.functional.cross_entropy(logits, torch.from_numpy(labels)[rows]).backward()
        optimizer.step()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("kind", ["classifier", "pca"])
def test_an_extractor_is_rebuilt_from_its_configuration_and_state(kind, monkeypatch):
    images, labels = bars(90)
    built: FeatureNet | PcaFeatures = (
        train_feature_net(images, labels, 2, 1, seeded()) if kind == "classifier" else fit_pca_features(images, 5)
    )
    rebuilt = extractor_from_config(built.config())
    rebuilt.load_state_dict(built.state_dict())
    pixels = torch.from_numpy(images)
    np.testing.assert_array_equal(rebuilt.features(pixels), built.features(pixels))
    of_floats = built.features(pixels.float() / 255)
    monkeypatch.setattr("autoencoders.evaluation.features.EVAL_BATCH", 7)
    np.testing.assert_allclose(of_floats, built.features(pixels), atol=1e-5)


def test_pca_is_the_exact_decomposition():
    images, _ = bars(300, (3, 5, 4))
    extractor = fit_pca_features(images, 6, batch=37)
    pixels = images.reshape(300, -1) / 255
    values = np.linalg.svd(pixels - pixels.mean(0), compute_uv=False)
    features = extractor.features(torch.from_numpy(images))
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(features.T @ features, np.diag(values[:6] ** 2), atol=1e-3)
    np.testing.assert_allclose(extractor.components @ extractor.components.T, np.eye(6), atol=1e-5)
    assert all(row[row.abs().argmax()] > 0 for row in extractor.components)  # each sign is pinned


def test_pca_of_few_pixels_keeps_all_distances():
    images, _ = bars(50, (1, 4, 4))
    features = fit_pca_features(images).features(torch.from_numpy(images))
    pixels = images.reshape(50, -1) / 255
    assert features.shape == (50, 16)
    np.testing.assert_allclose(
        np.linalg.norm(features[0] - features[1:], axis=1), np.linalg.norm(pixels[0] - pixels[1:], axis=1), rtol=1e-4
    )


def test_pca_pools_large_images():
    extractor = PcaFeatures((3, 65, 64))
    assert extractor.pool == 3
    assert extractor.components.shape == (64, 3 * 22 * 22)
    assert extractor.features(torch.zeros(2, 3, 65, 64)).shape == (2, 64)
    torch.testing.assert_close(extractor.pixels(torch.full((1, 3, 65, 64), 0.4)), torch.full((1, 3 * 22 * 22), 0.4))
    assert [PcaFeatures(shape).pool for shape in ((3, 32, 32), (3, 32, 33), (1, 55, 56))] == [1, 2, 2]


def test_other_shapes_and_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match=r"takes images of shape \(1, 8, 8\)"):
        FeatureNet((1, 8, 8), 2).features(torch.zeros(1, 1, 8, 9))
    with pytest.raises(ValueError, match="unknown feature extractor 'vgg'; known: classifier, pca"):
        extractor_from_config({"kind": "vgg"})
