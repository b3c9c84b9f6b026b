"""The learning rate over a training."""

from math import cos, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoencoders.params import Train


def learning_rate(settings: "Train", step: int, steps: int) -> float:
    """Linear warm-up over the first `warmup` share of `steps`, then constant or half a cosine down to zero."""
    warmup = settings.warmup * steps
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1 + cos(pi * (step - warmup) / (steps - warmup)))
