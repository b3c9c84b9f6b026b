"""The learning rate over a training."""

from math import cos, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoencoders.params import Train


def learning_rate(settings: "Train", step: int, steps: int) -> float:
    """Return the rate at a step: rising over the first `warmup` share of `steps`, then constant or half a cosine."""
    warmup = settings.warmup * steps
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    if settings.schedule == "constant":
        return settings.learning_rate
    return cosine_decay(settings.learning_rate, step - warmup, steps - warmup)


def cosine_decay(peak: float, step: float, steps: float) -> float:
    """Return the learning rate at a step of half a cosine from `peak` down to zero, which it reaches after `steps`."""
    return peak * 0.5 * (1 + cos(pi * step / steps))
