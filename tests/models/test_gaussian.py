"""KL and draws of Gaussians, held to torch's own and to their formulas for any numbers."""

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.distributions import Normal, kl_divergence

from autoencoders.models.gaussian import kl_to_standard_normal, reparameterise


def floats(low: float, high: float) -> st.SearchStrategy[Any]:
    """Arrays of one shape each, (4, 3): codes of four images."""
    return arrays.arrays(np.float64, (4, 3), elements=st.floats(low, high))


@given(floats(-50, 50), floats(-30, 20))
def test_the_kl_is_torch_s_and_never_negative(mu, logvar):
    mean, log_variance = torch.from_numpy(mu), torch.from_numpy(logvar)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    found = kl_to_standard_normal(mean, log_variance)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(kl_to_standard_normal(mu, logvar), found.numpy(), rtol=1e-12, atol=1e-12)
    assert kl_to_standard_normal(mu, logvar).min() >= 0
    assert found.min().item() >= -1e-12


@given(floats(-50, 50), floats(-30, 20), floats(-6, 6))
def test_draws_have_the_given_mean_and_standard_deviation(mu, logvar, noise):
    z = reparameterise(mu, logvar, noise)
    np.testing.assert_allclose(z - mu, np.sqrt(np.exp(logvar)) * noise, rtol=1e-9, atol=1e-9)
    other = reparameterise(*(torch.from_numpy(value) for value in (mu, logvar, noise)))
    np.testing.assert_allclose(other.numpy(), z, rtol=1e-12, atol=1e-12)
