"""Probabilities of 8-bit pixels, held to the definition in decimal numbers of any length."""

from decimal import Decimal, localcontext
from math import exp, log, tanh

import pytest
import torch

from autoencoders.models.logistic import log_probability

LEVELS = torch.arange(256)
MEANS = (-0.5, -1e-3, 0.0, 1 / 255, 0.3, 128 / 255, 0.9999, 1.0, 1.5)
SCALES = (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)


def exact(level: int, mean: float, log_scale: float) -> float:
    """log P as the papers define it: a difference of two sigmoids."""
    with localcontext() as context:
        context.prec = 60
        scale, m, half = Decimal(log_scale).exp(), Decimal(mean), Decimal(1) / 510
        a, b = ((Decimal(level) / 255 + side * half - m) / scale for side in (1, -1))
        if a + b > 0:
            a, b, level = -b, -a, 255 - level  # the same by symmetry; near 1 a difference would lose the digits

        def sigmoid(value: Decimal) -> Decimal:
            return 1 / (1 + (-value).exp())

        below = Decimal(0) if level == 0 else sigmoid(b)
        above = Decimal(1) if level == 255 else sigmoid(a)
        return float((above - below).ln())


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("scale", SCALES)
def test_the_256_levels_sum_to_one(mean, scale):
    logs = log_probability(LEVELS / 255, torch.tensor(mean), torch.tensor(scale).log())
    assert logs.double().exp().sum().item() == pytest.approx(1, abs=1e-6)
    assert (logs <= 0).all()


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("scale", SCALES)
def test_every_level_has_the_digits_of_its_definition(mean, scale):
    m, log_scale = torch.tensor(mean), torch.tensor(scale).log()
    expected = [exact(level, m.item(), log_scale.item()) for level in range(256)]
    single = log_probability(LEVELS / 255, m, log_scale)
    double = log_probability(LEVELS.double() / 255, m.double(), log_scale.double())
    assert double.tolist() == pytest.approx(expected, rel=1e-11, abs=1e-13)
    assert single.tolist() == pytest.approx(expected, rel=2e-5, abs=2e-6 + 1e-7 / scale)  # as exact as the mean is


def test_by_hand():
    """A scale of half a level, and the sigmoids of whole numbers."""
    x, mean = torch.tensor([0.0, 100 / 255, 1.0, 1.0]), torch.tensor([0.0, 100 / 255, 1.0, 0.0])
    expected = [-log(1 + exp(-1)), log(tanh(0.5)), -log(1 + exp(-1)), -509]
    found = log_probability(x, mean, torch.tensor(1 / 510).log())
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


def test_other_values_count_as_the_nearest_level():
    x = torch.tensor([0.4 / 255, 0.6 / 255, 99.6 / 255, 100.4 / 255, 254.4 / 255, 254.6 / 255])
    nearest = torch.tensor([0, 1, 100, 100, 254, 255]) / 255
    mean, log_scale = torch.tensor(0.4), torch.tensor(-3.0)
    assert torch.equal(log_probability(x, mean, log_scale), log_probability(nearest, mean, log_scale))


@pytest.mark.parametrize("log_scale", [-30.0, -9.0, 0.0, 3.0, 30.0])
def test_extreme_values_and_their_gradients_are_finite(log_scale):
    mean = torch.tensor([-1e3, -0.5, 0.0, 0.3, 1.0, 1.5, 1e3], requires_grad=True)
    scale = torch.tensor(log_scale, requires_grad=True)
    logs = log_probability(LEVELS[:, None] / 255, mean, scale)
    logs.sum().backward()
    assert mean.grad is not None
    assert scale.grad is not None
    for values in (logs, mean.grad, scale.grad):
        assert values.isfinite().all()


def test_gradients_are_those_of_the_values():
    x = torch.tensor([0, 1, 100, 254, 255], dtype=torch.float64)[:, None] / 255
    mean = torch.tensor([-0.2, 0.1, 0.4, 1.2], dtype=torch.float64, requires_grad=True)
    for scale in (0.003, 0.05, 2.0):
        log_scale = torch.tensor(log(scale), dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda m, s: log_probability(x, m, s), (mean, log_scale))


def test_a_mean_beyond_the_right_end_costs_ever_less():
    """Black is the whole tail below it, so its probability goes to 1 as the mean falls below 0."""
    means = torch.tensor([0.0, -0.1, -0.5, -2.0])
    logs = log_probability(torch.zeros(4), means, torch.tensor(0.1).log())
    assert logs.tolist() == pytest.approx([-0.683391, -0.308026, -0.006585, 0], abs=2e-6)
