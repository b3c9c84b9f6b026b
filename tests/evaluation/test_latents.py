"""Latent metrics against closed forms; samples are drawn from seeded generators."""

import numpy as np
import pytest

from autoencoders.evaluation.latents import (
    active_units,
    kl_per_dimension,
    knn_accuracy,
    linear_probe_accuracy,
    mmd_to_standard_normal,
    normality_per_dimension,
)


def normal(count: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, k))


def test_kl_is_per_dimension_and_a_mean_over_images():
    mu, logvar = np.array([[1.0, 0.0], [3.0, 0.0]]), np.log([[1.0, 4.0], [1.0, 4.0]])
    expected = [(0.5 + 4.5) / 2, 0.5 * (4 - 1 - np.log(4))]
    np.testing.assert_allclose(kl_per_dimension(mu, logvar), expected, rtol=1e-12)


def test_active_units_counts_variances_of_the_means_above_the_threshold():
    signs = np.array([[1.0], [-1.0]] * 50)  # variance 1
    mu = signs * np.sqrt([[0.0099, 0.0101, 4.0, 0.0]]) + 5.0
    assert active_units(mu) == 2
    assert active_units(mu, threshold=1.0) == 1


def test_mmd_equals_the_kernel_sums_with_a_sampled_prior():
    z, prior = 0.5 + 1.5 * normal(1000, 3), normal(2000, 3, seed=1)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * 3))

    def without_diagonal(a: np.ndarray) -> float:
        return float((kernel(a, a).sum() - len(a)) / (len(a) * (len(a) - 1)))

    sampled = without_diagonal(z) + without_diagonal(prior) - 2 * kernel(z, prior).mean()
    assert mmd_to_standard_normal(z) == pytest.approx(sampled, abs=0.006)
    assert sampled > 0.05


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_mmd_of_a_gaussian_is_its_closed_form(scale):
    k = 4  # E exp(-|a-b|^2 / 2k) over N(0, s^2 I), N(0, t^2 I) is (k / (k + s^2 + t^2))^(k/2)
    expectation = [(k / (k + total)) ** (k / 2) for total in (2 * scale**2, 2, 1 + scale**2)]
    closed = expectation[0] + expectation[1] - 2 * expectation[2]
    assert mmd_to_standard_normal(scale * normal(5000, k)) == pytest.approx(closed, abs=0.004)


def drawn(total: int, count: int) -> np.ndarray:
    """The numbers of the codes that are taken where there are more than `count`."""
    return np.random.default_rng(0).choice(total, count, replace=False)


def test_mmd_is_of_five_thousand_codes_at_most():
    z = normal(5001, 1)
    assert mmd_to_standard_normal(z) == mmd_to_standard_normal(z[drawn(5001, 5000)])
    few = normal(300, 2)
    assert mmd_to_standard_normal(few, 100) == mmd_to_standard_normal(few[drawn(300, 100)])
    assert mmd_to_standard_normal(few, 300) == mmd_to_standard_normal(few)  # in their own order, to the last bit
    assert mmd_to_standard_normal(few) != mmd_to_standard_normal(few[drawn(300, 300)])


def test_mmd_needs_two_codes():
    assert mmd_to_standard_normal([[0.0], [0.0]]) == pytest.approx(1 + (1 / 3) ** 0.5 - 2 * (1 / 2) ** 0.5)
    with pytest.raises(ValueError, match="two codes or more, found 1"):
        mmd_to_standard_normal([[0.0]])


def test_mmd_of_collapsed_codes_is_exact():
    assert mmd_to_standard_normal(np.zeros((7, 16))) == pytest.approx(1 + (16 / 18) ** 8 - 2 * (16 / 17) ** 8)


def test_normality_separates_the_dimensions():
    statistic, p_value = normality_per_dimension(normal(10_000, 3) * [1, 1, 2] + [0, 1, 0])
    assert statistic[0] < 0.02
    assert p_value[0] > 0.01
    assert statistic[1] == pytest.approx(0.3829, abs=0.02)  # 2 Phi(1/2) - 1, at z = 1/2
    assert statistic[2] == pytest.approx(0.1627, abs=0.02)  # Phi(a) - Phi(a/2) at a^2 = 8/3 log 2
    assert max(p_value[1:]) < 1e-50


def test_probe_finds_a_linear_boundary_and_not_a_radius():
    z, test = normal(3000, 2), normal(2000, 2, seed=1)
    scale = np.array([1.0, 1e-4])  # standardisation lets the small dimension count
    assert linear_probe_accuracy(z * scale, z[:, 1] > 0, test * scale, test[:, 1] > 0) > 0.98

    def outside(codes: np.ndarray) -> np.ndarray:
        return (codes**2).sum(1) > 2 * np.log(2)  # half of N(0, I)

    assert linear_probe_accuracy(z, outside(z), test, outside(test)) < 0.6
    assert knn_accuracy(z, outside(z), test, outside(test)) > 0.95


def test_probe_learns_from_twenty_thousand_codes_at_most():
    """Of two classes of one code each, one is left out: the probe cannot name it. The other one is the next to go."""
    left_out, kept = np.setdiff1d(np.arange(20_001), drawn(20_001, 19_999))
    assert kept in drawn(20_001, 20_000)
    z, y = np.zeros((20_001, 2)), np.zeros(20_001)
    z[left_out], y[left_out] = (1000, 0), 1
    z[kept], y[kept] = (0, 1000), 2
    rare = [left_out, kept]
    assert linear_probe_accuracy(z, y, z[rare], y[rare]) == 0.5
    assert linear_probe_accuracy(z, y, z[rare], y[rare], max_train=20_001) == 1.0


def test_probe_of_drawn_codes_keeps_their_labels():
    z, test = normal(500, 2), normal(300, 2, seed=1)
    assert linear_probe_accuracy(z, z[:, 0] > 0, test, test[:, 0] > 0, max_train=100) > 0.9


def test_probe_of_a_single_class_predicts_it():
    z = normal(10, 2)
    assert linear_probe_accuracy(z, np.ones(10), z, np.arange(10) % 3) == pytest.approx(0.3)  # 0, 1, 2, 0, …


def test_knn_takes_the_majority_of_five():
    train = np.array([[0.0], [0.1], [0.2], [0.3], [0.4], [9.0], [9.1]])
    labels = np.array([0, 0, 1, 1, 1, 0, 0])
    assert knn_accuracy(train, labels, [[0.0]], [1]) == 1.0
    assert knn_accuracy(train, labels, [[0.0]], [0], k=1) == 1.0
    assert knn_accuracy(train[:3], labels[:3], [[0.0]], [0]) == 1.0  # fewer codes than k: all of them


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="codes must be"):
        active_units(np.zeros(3))
    with pytest.raises(ValueError, match="share one shape"):
        kl_per_dimension(np.zeros((2, 3)), np.zeros((2, 2)))
