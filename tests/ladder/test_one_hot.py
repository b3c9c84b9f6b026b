import numpy as np
import pytest
import torch

from autoencoders.ladder.one_hot.measure import Capacity, counts_of, store_images
from autoencoders.params.ladder import OneHotRung

SETTINGS = OneHotRung(latent=4, channels=[4, 4], steps=200, learning_rate=0.02)


def noise(count: int) -> np.ndarray:
    """Images that have nothing in common, so that storing them takes room."""
    return np.random.default_rng(0).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)


def stored(count: int, seed: int = 0) -> Capacity:
    return store_images(noise(64)[:count], SETTINGS, seed=seed, device=torch.device("cpu"))


def test_more_images_leave_less_of_each_in_a_network_of_one_size():
    few, some, many = stored(1), stored(8), stored(64)
    assert few.weights == some.weights == many.weights
    assert few.psnr > some.psnr > many.psnr
    assert few.mse < some.mse < many.mse


def test_errors_are_those_of_the_images_recalled():
    result = stored(8)
    error = ((result.recalled - noise(64)[:8] / 255) ** 2).mean()
    assert result.recalled.shape == (8, 1, 8, 8)
    assert result.mse == pytest.approx(error, rel=1e-5)
    assert result.curve.shape == (200,)
    assert result.mse < result.curve[0]


def test_equal_seeds_recall_equal_images():
    first, again, other = stored(4).recalled, stored(4).recalled, stored(4, seed=1).recalled
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("available", "expected"), [(1000, [4, 16, 64]), (20, [4, 16, 20]), (16, [4, 16]), (3, [3])])
def test_counts_end_with_the_images_there_are(available, expected):
    assert counts_of([64, 4, 16], available) == expected
