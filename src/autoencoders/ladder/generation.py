"""Drawing new images: codes from a distribution, decoded; and where a model's own codes lie."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from autoencoders.evaluation.generation import CodeDistribution
from autoencoders.models import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIDDLE = (0.05, 0.95)
"""The quantiles between which the middle 90 % lie."""


@dataclass(frozen=True)
class Spread:
    """Where codes lie, each field (k,): one value a latent dimension."""

    mean: "NDArray[np.float64]"
    std: "NDArray[np.float64]"
    low: "NDArray[np.float64]"
    high: "NDArray[np.float64]"
    """`low` to `high`: the middle 90 %"""


def spread_of(codes: "NDArray[np.floating]") -> Spread:
    """Return where codes (N, k) lie, dimension by dimension."""
    values = np.asarray(codes, dtype=np.float64)
    low, high = np.quantile(values, MIDDLE, axis=0)
    return Spread(values.mean(axis=0), values.std(axis=0), low, high)


@torch.inference_mode()
def generated(
    model: Model, source: CodeDistribution, count: int, shown: int, seed: int, device: torch.device
) -> "NDArray[np.float32]":
    """Return the first `shown` of the `count` images that `evaluate` decodes from `source`, (shown, C, H, W) in [0, 1].

    All `count` codes are drawn, so that the images shown are among those that the Fréchet distance is of.
    """
    codes = source.sample(count, np.random.default_rng(seed))[:shown]
    return model.decode(torch.from_numpy(codes).to(device)).clamp(0, 1).cpu().numpy()
