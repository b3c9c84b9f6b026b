"""What all contenders share: options and rows, the images, the clock and the measure of quality.

A contender is a script that trains one network: options in as JSON, rows out as JSON.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from common import EVAL_BATCH, load_images
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

QUICK_IMAGES = 1000
Options = dict[str, Any]


class Measurement(NamedTuple):
    """One measured value."""

    subject: str
    metric: str
    round: int
    value: float
    precision: str


def run_script(measure: Callable[[Options], Sequence[Measurement]]) -> None:
    """Call `measure` with the options of the first argument and print its rows as the last line of the output."""
    print(json.dumps(measure(json.loads(sys.argv[1]))), flush=True)


def training_images(options: Options) -> NDArray[np.uint8]:
    """Return the images uint8 (N, 1, 28, 28) that the options ask for: all, or the first `images`."""
    return load_images("mnist").train[: QUICK_IMAGES if options["quick"] else options.get("images")]


class TargetReached(Exception):
    """The quality to reach is reached: training need not go on."""


class TrainingClock:
    """Training seconds and test −ELBO after every epoch of a training.

    The clock runs from `start` on and stands still while the test images are measured. Without a `target` in the
    options nothing is measured but time.
    """

    def __init__(self, options: Options, encode: Callable[[Tensor], Any], decode: Callable[[Tensor], Tensor]) -> None:
        self.options = options
        self.target: float | None = options.get("target")
        self.seconds: list[float] = []
        self.neg_elbo: list[float] = []
        self._encode, self._decode = encode, decode
        self._test = load_images("mnist").test if self.target else None

    def start(self) -> None:
        """Start the clock: call it right before training."""
        self._since = time.perf_counter()

    def epoch_ended(self) -> None:
        """Note an epoch; raises `TargetReached` where the target is reached."""
        self.seconds.append(time.perf_counter() - self._since)
        if self.target and self._test is not None:
            self.neg_elbo.append(neg_elbo(self._encode, self._decode, self._test))
            if self.neg_elbo[-1] <= self.target:
                raise TargetReached
        self._since = time.perf_counter()

    def rows(self, trained_on: int, precision: str = "fp32") -> list[Measurement]:
        """Return what was measured on a training set of so many images; the first epoch's speed is not counted.

        Where the quality was measured, each epoch has rows of the seconds until its end and of the −ELBO there.
        """
        epoch = statistics.median(self.seconds[1:] or self.seconds)
        values = {"images_per_second": trained_on / epoch}
        for number, value in enumerate(self.neg_elbo, start=1):
            values[f"seconds until epoch {number}"] = sum(self.seconds[:number])
            values[f"neg_elbo of epoch {number}"] = value
        subject, turn = self.options["subject"], self.options["round"]
        return [Measurement(subject, metric, turn, value, precision) for metric, value in values.items()]


@torch.inference_mode()
def neg_elbo(encode: Callable[[Tensor], Any], decode: Callable[[Tensor], Tensor], test: NDArray[np.uint8]) -> float:
    """Return the test −ELBO in nats per image, one sample of z with the same noise for all, in float32.

    `encode` gives mean and log-variance (N, k) of images (N, 1, 28, 28), `decode` probabilities of codes (N, k).
    """
    noise = torch.Generator().manual_seed(0)
    total = 0.0
    for block in torch.from_numpy(test).split(EVAL_BATCH):
        x = block.float() / 255
        mu, logvar = encode(x)
        z = mu + torch.randn(mu.shape, generator=noise) * (0.5 * logvar).exp()
        recon = F.binary_cross_entropy(decode(z).flatten(1), x.flatten(1), reduction="sum")
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
        total += (recon + kl).item()
    return total / len(test)
