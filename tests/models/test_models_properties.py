"""What holds of models and trainings for any numbers, not only for those that somebody thought of."""

from math import cos, pi
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.distributions import Normal, kl_divergence

from autoencoders.models import build
from autoencoders.models.gaussian import kl_to_standard_normal, reparameterise
from autoencoders.params import KINDS, Train
from autoencoders.training.distributed import World
from autoencoders.training.schedule import cosine_decay, learning_rate

settings.register_profile("ours", deadline=None, derandomize=True)
settings.load_profile("ours")


def floats(low: float, high: float) -> st.SearchStrategy[Any]:
    """Arrays of one shape each, (4, 3): codes of four images."""
    return arrays.arrays(np.float64, (4, 3), elements=st.floats(low, high))


@given(floats(-50, 50), floats(-30, 20))
def test_the_kl_is_torch_s_and_never_negative(mu: np.ndarray, logvar: np.ndarray) -> None:
    mean, log_variance = torch.from_numpy(mu), torch.from_numpy(logvar)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    found = kl_to_standard_normal(mean, log_variance)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(kl_to_standard_normal(mu, logvar), found.numpy(), rtol=1e-12, atol=1e-12)
    assert kl_to_standard_normal(mu, logvar).min() >= 0
    assert found.min().item() >= -1e-12


@given(floats(-50, 50), floats(-30, 20), floats(-6, 6))
def test_draws_have_the_given_mean_and_standard_deviation(
    mu: np.ndarray, logvar: np.ndarray, noise: np.ndarray
) -> None:
    z = reparameterise(mu, logvar, noise)
    np.testing.assert_allclose(z - mu, np.sqrt(np.exp(logvar)) * noise, rtol=1e-9, atol=1e-9)
    other = reparameterise(*(torch.from_numpy(value) for value in (mu, logvar, noise)))
    np.testing.assert_allclose(other.numpy(), z, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 200), st.integers(1, 17))
def test_shards_partition_a_batch_and_weigh_every_image_the_same(images: int, processes: int) -> None:
    batch = torch.arange(1.0, images + 1)
    worlds = [World(rank, processes) for rank in range(processes)]
    counts = [world.count(images) for world in worlds]
    assert sum(counts) == images
    shards = [world.shard(batch)[:count] for world, count in zip(worlds, counts, strict=True)]
    assert torch.equal(torch.cat(shards).sort().values, batch)
    # a process without images computes on one of another's, at weight 0
    assert all(len(world.shard(batch)) == max(1, count) for world, count in zip(worlds, counts, strict=True))
    mean = sum(world.shard(batch).mean().item() * world.weight(images) for world in worlds) / processes
    assert mean == pytest.approx(batch.mean().item())


@given(st.floats(1e-6, 1), st.floats(0, 0.99), st.sampled_from(["constant", "cosine"]), st.integers(1, 5000), st.data())
def test_the_learning_rate_rises_then_falls_and_stays_positive(
    peak: float, warmup: float, schedule: Any, steps: int, data: st.DataObject
) -> None:
    section = Train(learning_rate=peak, warmup=warmup, schedule=schedule)
    step = data.draw(st.integers(0, steps - 1))
    rate = learning_rate(section, step, steps)
    assert 0 < rate <= peak
    if step + 1 < steps:
        following = learning_rate(section, step + 1, steps)
        if step + 1 < warmup * steps or schedule == "constant":
            assert following >= rate
        elif step >= warmup * steps:  # in between, the highest rate may fall between two steps
            assert following <= rate * (1 + 1e-12)


@given(st.floats(1e-6, 1), st.integers(1, 5000))
def test_half_a_cosine_goes_from_the_peak_to_zero(peak: float, steps: int) -> None:
    assert cosine_decay(peak, 0, steps) == peak
    assert cosine_decay(peak, steps, steps) == pytest.approx(0, abs=1e-15)
    assert cosine_decay(peak, steps / 3, steps) == pytest.approx(peak * (1 + cos(pi / 3)) / 2)


@settings(max_examples=30)
@given(
    st.sampled_from(sorted(KINDS)), st.integers(1, 3), st.integers(4, 9), st.integers(4, 9), st.integers(1, 4),
    st.sampled_from(["mlp", "conv"]), st.integers(1, 5),
)  # fmt: skip
def test_a_model_of_images_is_its_decoder_of_its_encoder(
    kind: str, channels: int, height: int, width: int, latent: int, arch: str, count: int
) -> None:
    options = {"arch": arch, "hidden": [5, 3]} if KINDS[kind].params.trained_in_epochs else {}
    entry = KINDS[kind].params(latent=latent, **options)
    model = build(entry, (channels, height, width), torch.Generator().manual_seed(0))
    x = torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))
    z = model.encode(x)
    assert z.shape == (count, latent)
    assert torch.equal(model(x), model.decode(z))
    assert model(x).shape == x.shape
    mu, logvar = model.posterior(x)
    assert torch.equal(mu, z)
    assert (logvar is not None) == KINDS[kind].has_posterior
