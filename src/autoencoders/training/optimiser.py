"""The optimiser: Adam (Kingma & Ba 2015) with torch's fused kernel, which can skip a step, and its learning rate.

`torch.optim.Adam` does the same sums, but imports torch's compiler for 3 s, and takes `found_inf` from gradient
scalers only. Weights and moments equal its own, bit for bit.
"""

from collections.abc import Iterable
from math import cos, exp, pi
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adam import adam

if TYPE_CHECKING:
    from autoencoders.params import Train


class Adam:
    """Adam over `parameters`, with β₁ = .9, β₂ = .999 and ε = 1e-8.

    Before a step, the `decayed` ones among them are multiplied by exp(−learning rate · `decay`): decoupled weight decay
    (Loshchilov & Hutter 2019), which no rate turns into growth.
    """

    def __init__(self, parameters: Iterable[Parameter], decayed: Iterable[Parameter] = (), decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self._decayed, self._decay = list(decayed), decay
        self._means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float, found_inf: Tensor | None = None) -> None:
        """Step by the gradients; where the scalar `found_inf` is 1, change nothing, without asking the host."""
        exponent = -learning_rate * self._decay
        factor = exp(exponent) if found_inf is None else torch.exp(exponent * (1 - found_inf))
        for weight in self._decayed:
            weight.mul_(factor)
        kept = [index for index, parameter in enumerate(self.parameters) if parameter.grad is not None]
        adam(
            [self.parameters[index] for index in kept],
            [gradient for parameter in self.parameters if (gradient := parameter.grad) is not None],
            [self._means[index] for index in kept],
            [self._squares[index] for index in kept],
            [],
            [self._steps[index] for index in kept],
            fused=True,
            found_inf=found_inf,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the moments and the number of steps."""
        return {"means": self._means, "squares": self._squares, "steps": self._steps}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned for parameters of the same shapes."""
        for name, own in self.state_dict().items():
            for value, saved in zip(own, state[name], strict=True):
                value.copy_(saved)


def batch_and_steps(images: int, batch_size: int, epochs: int, min_steps: int) -> tuple[int, int]:
    """Return images per batch and number of steps for `epochs`, or more where that is fewer than `min_steps`.

    A small set gets batches of at most a quarter of it, and more epochs.
    """
    size = min(batch_size, max(images // 4, 1))
    epoch = -(-images // size)
    return size, epoch * max(epochs, -(-min_steps // epoch))


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
