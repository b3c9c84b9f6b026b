"""What all contenders share: the images, the clock, the measure of quality, and the rows that come of them.

A contender is a script that trains one network: options in as JSON, rows out as JSON (see `speed_child.py`).
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from speed_child import Options, Raw
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

MEASURED_AT_ONCE = 1000


class Reached(Exception):
    """The quality to reach is reached: training need not go on."""


class Course:
    """Training seconds and test −ELBO after every epoch of a training.

    The clock runs from `start` on and stands still while the test images are measured. Without a `target` in the
    options nothing is measured but time.
    """

    def __init__(self, options: Options, encode: Callable[[Tensor], Any], decode: Callable[[Tensor], Tensor]) -> None:
        self.options = options
        self.target: float | None = options.get("target")
        self.seconds: list[float] = []
        self.neg_elbo: list[float] = []
        self._posterior, self._decode = encode, decode
        self._test = images(options, train=False) if self.target else None

    def start(self) -> None:
        """Start the clock: call it right before training."""
        self._since = time.perf_counter()

    def epoch_ended(self) -> None:
        """Note an epoch; raises `Reached` where the target is reached and the least number of epochs done."""
        self.seconds.append(time.perf_counter() - self._since)
        if self.target and self._test is not None:
            self.neg_elbo.append(neg_elbo(self._posterior, self._decode, self._test))
            if self.neg_elbo[-1] <= self.target and len(self.seconds) >= self.options.get("at_least", 1):
                raise Reached
        self._since = time.perf_counter()

    def rows(self, trained_on: int, precision: str = "fp32") -> list[Raw]:
        """Return what was measured on a training set of so many images; the first epoch's speed is not counted.

        Where the quality was measured, each epoch has rows of the seconds until its end and of the −ELBO there.
        """
        epoch = statistics.median(self.seconds[1:] or self.seconds)
        values = {"images_per_second": trained_on / epoch}
        for number, value in enumerate(self.neg_elbo, start=1):
            values[f"seconds until epoch {number}"] = sum(self.seconds[:number])
            values[f"neg_elbo of epoch {number}"] = value
        subject, turn = self.options["subject"], self.options["round"]
        return [Raw(subject, metric, turn, value, precision) for metric, value in values.items()]


@torch.inference_mode()
def neg_elbo(encode: Callable[[Tensor], Any], decode: Callable[[Tensor], Tensor], test: NDArray[np.uint8]) -> float:
    """Return the test −ELBO in nats per image, one sample of z with the same noise for all, in float32.

    `encode` gives mean and log-variance (N, k) of images (N, 1, 28, 28), `decode` probabilities of codes (N, k).
    """
    noise = torch.Generator().manual_seed(0)
    total = 0.0
    for block in torch.from_numpy(test).split(MEASURED_AT_ONCE):
        x = block.float() / 255
        mu, logvar = encode(x)
        z = mu + torch.randn(mu.shape, generator=noise) * (0.5 * logvar).exp()
        recon = F.binary_cross_entropy(decode(z).flatten(1), x.flatten(1), reduction="sum")
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
        total += (recon + kl).item()
    return total / len(test)


def images(options: Options, train: bool = True) -> NDArray[np.uint8]:
    """Return the images uint8 (N, 1, 28, 28) that the options ask for: all, or the first `images`."""
    from speed_child import images_of

    of = images_of(options["data"])[0 if train else 1]
    return of[: options["images"]] if train and "images" in options else of


def torchvision_set(options: Options) -> Dataset[Any]:
    """Return torchvision's MNIST as tutorials use it: an image decoded and scaled whenever it is asked for."""
    from torchvision import transforms
    from torchvision.datasets import MNIST

    root = Path(options["data"]) / "mnist" / "raw"
    of = MNIST(str(root), train=True, download=True, transform=transforms.ToTensor())  # unpacks what is there
    of.data, of.targets = of.data[: options.get("images")], of.targets[: options.get("images")]
    return of
