"""BLAS's threads in fits to codes: a second one spins beside torch's, and the evaluation takes half as long again."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_info, threadpool_limits

from autoencoders.evaluation.generation import fit_mixture
from autoencoders.evaluation.latents import linear_probe_accuracy

CODES = np.random.default_rng(0).standard_normal((60, 2))
LABELS = (CODES[:, 0] > 0).astype(int)


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.parametrize(
    ("estimator", "fitted"),
    [
        (GaussianMixture, lambda: fit_mixture(CODES, components=2, seed=0)),
        (LogisticRegression, lambda: linear_probe_accuracy(CODES, LABELS, CODES, LABELS)),
    ],
)
def test_a_fit_to_codes_has_one_blas_thread_and_leaves_the_others_theirs(estimator, fitted, monkeypatch):
    during: list[set[int]] = []
    fit = estimator.fit

    def watched(self: Any, *data: Any) -> Any:
        during.append(blas_threads())
        return fit(self, *data)

    monkeypatch.setattr(estimator, "fit", watched)
    with threadpool_limits(2, "blas"):
        fitted()
        assert (during, blas_threads()) == ([{1}], {2})
