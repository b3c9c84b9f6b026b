"""Fréchet distance against closed forms; code distributions against the moments that they were fitted to."""

import numpy as np
import pytest
import scipy.linalg

from autoencoders.evaluation import generation
from autoencoders.evaluation.generation import (
    feature_statistics,
    fit_gaussian,
    fit_mixture,
    frechet_distance,
    standard_normal,
)


def random_cov(d: int, rank: int, seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).standard_normal((d, rank))
    return factor @ factor.T


def test_distance_of_full_gaussians_is_the_textbook_formula():
    first, second = random_cov(8, 20, 0), random_cov(8, 20, 1)
    root = scipy.linalg.sqrtm(first @ second)
    expected = 8 * 0.25 + np.trace(first + second - 2 * np.real(root))
    assert frechet_distance(np.zeros(8), first, np.full(8, 0.5), second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rank", [0, 1, 5, 64])
def test_identical_gaussians_have_distance_zero_even_when_singular(rank):
    cov = random_cov(64, rank, 0)
    distance = frechet_distance(np.ones(64), cov, np.ones(64), cov)
    assert distance == pytest.approx(0, abs=1e-6 * max(1.0, np.trace(cov)))


def test_distance_to_a_point_is_the_total_variance():
    cov = random_cov(6, 2, 0)
    assert frechet_distance(np.zeros(6), cov, np.zeros(6), np.zeros((6, 6))) == pytest.approx(np.trace(cov))


def test_statistics_are_numpys():
    features = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    statistics = feature_statistics(features)
    assert statistics.cov.dtype == np.float64
    np.testing.assert_allclose(statistics.mean, features.astype(np.float64).mean(0))
    np.testing.assert_allclose(statistics.cov, np.cov(features.astype(np.float64).T))
    np.testing.assert_allclose(feature_statistics([[1.0, 0.0], [3.0, 0.0]]).cov, [[2, 0], [0, 0]])  # two are enough
    for wrong in (features[:1], features[:, 0]):
        with pytest.raises(ValueError, match="2 or more"):
            feature_statistics(wrong)


def test_standard_normal_has_its_moments():
    z = standard_normal(3).sample(50_000, np.random.default_rng(0))
    assert z.dtype == np.float32
    np.testing.assert_allclose(z.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.03)


def test_fitted_gaussian_has_the_codes_moments():
    codes = np.random.default_rng(0).multivariate_normal([3.0, -1.0], [[2.0, 1.2], [1.2, 1.0]], 400)
    z = fit_gaussian(codes).sample(50_000, np.random.default_rng(1))
    np.testing.assert_allclose(z.mean(0), codes.mean(0), atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), np.cov(codes.T), atol=0.05)


def test_mixture_finds_separated_clusters():
    rng = np.random.default_rng(0)
    centres, scales = np.array([[-20.0, 0.0], [0.0, 20.0], [20.0, 0.0]]), np.array([0.5, 1.0, 2.0])
    label = rng.choice(3, 3000, p=[0.2, 0.3, 0.5])
    mixture = fit_mixture(centres[label] + scales[label, None] * rng.standard_normal((3000, 2)), 3, seed=0)
    order = np.argsort(mixture.means[:, 0])
    np.testing.assert_allclose(mixture.means[order], centres, atol=0.2)
    np.testing.assert_allclose(mixture.weights[order], [0.2, 0.3, 0.5], atol=0.03)
    np.testing.assert_allclose(mixture.roots[order], scales[:, None, None] * np.eye(2), atol=0.1)
    z = mixture.sample(30_000, np.random.default_rng(1))
    np.testing.assert_allclose([np.mean(z[:, 0] > 10), np.mean(z[:, 1] > 10)], [0.5, 0.3], atol=0.03)


def test_mixture_of_one_component_is_the_fitted_gaussian():
    codes = np.random.default_rng(0).standard_normal((500, 3)) * [1, 2, 3]
    mixture, gaussian = fit_mixture(codes, 1, seed=0), fit_gaussian(codes)
    np.testing.assert_allclose(mixture.means, gaussian.means, atol=1e-9)
    np.testing.assert_allclose(mixture.roots, gaussian.roots, atol=0.01)  # sklearn divides by N, not N - 1


def test_a_mixture_is_fitted_on_ten_thousand_codes_at_most(monkeypatch):
    codes = np.random.default_rng(0).standard_normal((10_001, 1))
    drawn = np.random.default_rng(7).choice(10_001, 10_000, replace=False)
    given = (codes, codes[1:])
    limited = [fit_mixture(some, 1, seed=7) for some in given]
    monkeypatch.setattr(generation, "MAX_FIT", 20_000)
    for mixture, used in zip(limited, (codes[drawn], codes[1:]), strict=True):
        np.testing.assert_array_equal(mixture.means, fit_mixture(used, 1, seed=7).means)  # in their order, if all


def test_a_mixture_has_no_more_components_than_distinct_codes():
    codes = np.repeat([[0.0, 0.0], [0.0, 5.0], [5.0, 0.0]], 20, axis=0)
    mixture = fit_mixture(codes, 8, seed=0)
    assert sorted(map(tuple, mixture.means.round(3))) == [(0, 0), (0, 5), (5, 0)]


def test_equal_seeds_give_equal_codes():
    codes = np.random.default_rng(0).standard_normal((300, 2))
    first, again, other = (fit_mixture(codes, 4, 0).sample(20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_collapsed_dimensions_stay_collapsed_at_every_scale(scale):
    codes = scale * np.random.default_rng(0).standard_normal((400, 2)) * [1, 0]
    for fitted in (fit_mixture(codes, 3, seed=0), fit_gaussian(codes)):
        z = fitted.sample(1000, np.random.default_rng(0))
        assert z[:, 0].std() == pytest.approx(codes[:, 0].std(), rel=0.1)
        assert z[:, 1].std() <= 2e-3 * scale


def test_codes_that_are_all_one_point_are_reproduced():
    z = fit_mixture(np.full((50, 2), 3.0), 10, seed=0).sample(10, np.random.default_rng(0))
    np.testing.assert_allclose(z, 3.0, atol=1e-4)
