"""The discretised logistic distribution of 8-bit pixels: it gives probabilities, where a density gives none."""

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_LEVEL = 255
"""Pixels are level / 255, with whole levels from 0."""


def log_probability(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return log P(x) of each pixel in nats, shaped as `x`; values of `x` in [0, 1] count as the nearest level.

    P(x) = sigmoid(a) − sigmoid(b), a = (x + h − mean) / s, b = (x − h − mean) / s, h = 1/510, s = exp(log_scale). The
    first level has the whole tail below it, the last one the whole tail above: all 256 levels sum to 1 (Kingma et al.
    2016, appendix; Salimans et al. 2017, eq. 2 with one component). The shapes of `mean` and `log_scale` broadcast.
    As sigmoid(a) · sigmoid(−b) · (1 − exp(b − a)), it has a logarithm that neither tails nor small scales make inexact.
    """
    levels = (MAX_LEVEL * x).round()
    inverse_scale = torch.exp(-log_scale) / MAX_LEVEL  # of a scale in levels
    centred = levels - MAX_LEVEL * mean.to(x.dtype)
    at_most = F.logsigmoid((0.5 + centred) * inverse_scale)
    at_least = F.logsigmoid((0.5 - centred) * inverse_scale)
    between = at_most + at_least + torch.log(-torch.expm1(-inverse_scale))
    return torch.where(levels == 0, at_most, torch.where(levels == MAX_LEVEL, at_least, between))
