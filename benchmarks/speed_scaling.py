"""How the seconds of an epoch grow with the number of images and with the latent dimensions."""

import time

import numpy as np
from numpy.typing import NDArray
from speed_child import Options, Raw, child, images_of
from speed_step import CPU, NETWORKS, default_settings

from autoencoders.data.batches import Batches
from autoencoders.models import VAE
from autoencoders.params import Train, Vae
from autoencoders.training.device import resolve_precision
from autoencoders.training.loop import fit

IMAGES, TIMES = 15_000, (1, 2, 4, 8)
LATENTS = (2, 4, 8, 16, 32, 64, 128)
LATENT = 20
"""Of the network that is trained on more and more images."""


def seconds_of_epoch(images: NDArray[np.uint8], latent: int, settings: Train) -> float:
    """Return the seconds in which `fit` trains the network 784-400-`latent` for one epoch."""
    model = VAE(Vae(**{**NETWORKS["mlp"], "latent": latent}), images.shape[1:])
    start = time.perf_counter()
    ends: list[float] = []
    batches, unused = Batches(images, settings.batch_size, CPU), Batches(images[:1], 1, CPU)
    fit(model, batches, unused, settings, on_epoch=lambda row: ends.append(time.perf_counter()))
    return ends[0] - start


def measure(options: Options, images: NDArray[np.uint8]) -> list[Raw]:
    """Return rows: in every round an epoch of each number of images, and of each number of latent dimensions."""
    settings = default_settings(epochs=1)
    precision = resolve_precision(settings.precision, CPU)
    base = options.get("images", IMAGES)
    most = np.resize(images, (max(TIMES) * base, *images.shape[1:]))  # as many as there are, again and again
    seconds_of_epoch(most[:base], LATENT, settings)  # what the first training of a process pays for alone
    rows = []
    for turn in range(1, options["repeats"] + 1):
        for times in TIMES:
            seconds = seconds_of_epoch(most[: times * base], LATENT, settings)
            rows.append(Raw(f"images × {times}", "epoch_seconds", turn, seconds, precision))
        for latent in LATENTS:
            seconds = seconds_of_epoch(most[:base], latent, settings)
            rows.append(Raw(f"latent {latent}", "epoch_seconds", turn, seconds, precision))
    return rows


if __name__ == "__main__":
    child(lambda options: measure(options, images_of(options["data"])[0]))
