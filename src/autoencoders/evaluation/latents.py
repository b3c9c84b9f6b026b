"""Measures of the codes of a data set: KL, active units, distance from the prior, probes.

Codes are float arrays (N, k); for a VAE they are samples of q(z|x) wherever the aggregated posterior
q(z) = mean over x of q(z|x) is meant, and posterior means `mu` in active units and probes. All sums are in float64.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoencoders.models.gaussian import kl_to_standard_normal

Floats = NDArray[np.float64]


def kl_per_dimension(mu: ArrayLike, logvar: ArrayLike) -> Floats:
    """Return KL(q(z_j|x) || N(0, 1)) per dimension (k,), in nats, mean over images; both inputs (N, k).

    Never negative. The sum is the ELBO's KL. Raise `ValueError` where the shapes differ.
    """
    mean, log_variance = _codes(mu), _codes(logvar)
    if mean.shape != log_variance.shape:
        raise ValueError(f"mu {mean.shape} and logvar {log_variance.shape} must share one shape")
    return kl_to_standard_normal(mean, log_variance).mean(axis=0)


def active_units(mu: ArrayLike, threshold: float = 0.01) -> int:
    """Count the dimensions with Var over x of E[z|x] > `threshold` (Burda et al. 2015, section 5.2); mu is (N, k)."""
    return int(np.sum(_codes(mu).var(axis=0) > threshold))


def mmd_to_standard_normal(z: ArrayLike, max_codes: int = 5000) -> float:
    """Return the squared maximum mean discrepancy of codes (N, k) from N(0, I), unbiased (Gretton et al. 2012, eq. 3).

    The kernel is exp(-|a-b|^2 / 2k), its bandwidth the prior's own scale (two draws of N(0, I) are 2k apart in mean
    square), so models with the same k compare. Nothing is drawn from the prior: both terms that hold it are Gaussian
    integrals. 0 means N(0, I); by chance the estimate may be slightly negative. Codes scattered far out tend to
    (k / (k+2))^(k/2), .39 at k = 16; all at the origin give .16 there.
    Of more than `max_codes` codes, that many are drawn at random. Raise `ValueError` below two codes.
    """
    codes = _codes(z)
    if len(codes) < 2:
        raise ValueError(f"MMD needs two codes or more, found {len(codes)}")
    codes = codes[_drawn(len(codes), max_codes)]
    count, k = codes.shape
    square = (codes**2).sum(1)
    prior_prior = (k / (k + 2)) ** (k / 2)
    codes_prior = (k / (k + 1)) ** (k / 2) * np.mean(np.exp(-square / (2 * (k + 1))))
    pairs = 0.0
    for start in range(0, count, 500):
        block = slice(start, start + 500)
        distance = square[block, None] + square[None] - 2 * codes[block] @ codes.T
        pairs += np.exp(-np.maximum(distance, 0) / (2 * k)).sum()
    codes_codes = (pairs - count) / (count * (count - 1))  # without each code's pair with itself: unbiased
    return float(codes_codes + prior_prior - 2 * codes_prior)


def normality_per_dimension(z: ArrayLike) -> tuple[Floats, Floats]:
    """Test every dimension of codes (N, k) against N(0, 1) (Kolmogorov-Smirnov, two-sided); both results are (k,).

    The statistic, in [0, 1], is the largest distance between the codes' distribution function and N(0, 1)'s: the effect
    size. The p-value is the chance of such a distance under N(0, 1): with 10,000 codes, .02 already gives 1e-3.
    """
    from scipy.stats import kstest

    results = [kstest(column, "norm") for column in _codes(z).T]
    return np.array([float(test.statistic) for test in results]), np.array([float(test.pvalue) for test in results])


def linear_probe_accuracy(
    train_z: ArrayLike, train_y: ArrayLike, test_z: ArrayLike, test_y: ArrayLike, max_train: int = 20_000
) -> float:
    """Return the test accuracy of a logistic regression on standardised codes (L2, C = 1), fitted on the train codes.

    Of more than `max_train` train codes, that many are drawn at random: on MNIST that costs .001.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    codes = _codes(train_z)
    chosen = _drawn(len(codes), max_train)
    codes, labels = codes[chosen], np.asarray(train_y)[chosen]
    if len(np.unique(labels)) == 1:  # with one class, that class is the prediction
        return float(np.mean(np.asarray(test_y) == labels[0]))
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with threadpool_limits(1, "blas"):  # matrices of codes are so narrow that BLAS's threads would mostly wait
        probe.fit(codes, labels)
    return float(probe.score(_codes(test_z), np.asarray(test_y)))


def knn_accuracy(train_z: ArrayLike, train_y: ArrayLike, test_z: ArrayLike, test_y: ArrayLike, k: int = 5) -> float:
    """Return the test accuracy of the majority among the `k` nearest train codes (Euclidean, codes as they are)."""
    from sklearn.neighbors import KNeighborsClassifier

    train, test = _codes(train_z).astype(np.float32), _codes(test_z).astype(np.float32)  # float32 halves the time
    neighbours = KNeighborsClassifier(min(k, len(train))).fit(train, np.asarray(train_y))
    return float(neighbours.score(test, np.asarray(test_y)))


def _drawn(count: int, limit: int) -> NDArray[np.int64] | slice:
    """Return which of `count` codes to take: all in their order, or `limit` that are drawn at random."""
    return np.random.default_rng(0).choice(count, limit, replace=False) if count > limit else slice(None)


def _codes(z: ArrayLike) -> Floats:
    codes = np.asarray(z, dtype=np.float64)
    if codes.ndim != 2 or len(codes) == 0:
        raise ValueError(f"codes must be (N, k) with N > 0, found {codes.shape}")
    return codes
