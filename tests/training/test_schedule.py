"""The learning rate of a step: warm-up, then a constant or half a cosine."""

from math import cos, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoencoders.params import Train
from autoencoders.training.optimiser import batch_and_steps, cosine_decay, learning_rate


def test_learning_rate_follows_warm_up_and_cosine():
    settings = Train(learning_rate=0.1, warmup=0.2, schedule="cosine")
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1 / 21)
    assert max(rates) == rates[20] == pytest.approx(0.1)
    assert rates[60] == pytest.approx(0.1 * 0.5 * (1 + cos(pi * 0.5)))
    assert 0 < rates[-1] < 1e-4
    assert learning_rate(Train(learning_rate=0.1), 99, 100) == 0.1


@given(st.floats(1e-6, 1), st.floats(0, 0.99), st.sampled_from(["constant", "cosine"]), st.integers(1, 5000), st.data())
def test_the_learning_rate_rises_then_falls_and_stays_positive(peak, warmup, schedule, steps, data):
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
def test_half_a_cosine_goes_from_the_peak_to_zero(peak, steps):
    assert cosine_decay(peak, 0, steps) == peak
    assert cosine_decay(peak, steps, steps) == pytest.approx(0, abs=1e-15)
    assert cosine_decay(peak, steps / 3, steps) == pytest.approx(peak * (1 + cos(pi / 3)) / 2)


@pytest.mark.parametrize(
    ("images", "batch_size", "epochs", "expected"),
    [
        (55_000, 256, 3, (256, 645)),  # the classifier on MNIST
        (8_000, 128, 5, (128, 315)),  # the rung beta on MNIST
        (77, 128, 5, (19, 300)),
        (160, 256, 3, (40, 300)),
        (1, 256, 3, (1, 300)),
        (10, 4, 1000, (2, 5000)),
    ],
)
def test_a_small_set_gets_smaller_batches_and_enough_steps(images, batch_size, epochs, expected):
    assert batch_and_steps(images, batch_size, epochs, 300) == expected
