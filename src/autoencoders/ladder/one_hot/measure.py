"""Rung 2: several images in the same weights, selected by one-hot inputs. How many fit?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.ladder.memory import FLOAT32_BYTES, Memory, errors, learn, new_decoder, recall
from autoencoders.ladder.record import Result, Series
from autoencoders.ladder.reduced import reduced, reduced_size
from autoencoders.runtime.progress import progress

if TYPE_CHECKING:
    from autoencoders.ladder.run import Inputs
    from autoencoders.params.ladder import OneHotRung

N_IMAGES_SHOWN = 12


def measure(inputs: "Inputs") -> Result:
    """Store the first 4, 16, 64, … training images in one network each time."""
    ladder = inputs.params.ladder
    settings = ladder.one_hot
    available = inputs.data.split("train").images
    counts = counts_of(settings.counts, len(available))
    images = reduced(available[: counts[-1]])
    stored = {}
    with progress(total=settings.steps * sum(counts), desc="one-hot", unit="image", delay=1, mininterval=0.5) as bar:
        for count in counts:
            stored[count] = store_images(
                images[:count], settings, seed=ladder.seed, device=inputs.device, on_step=partial(bar.update, count)
            )
    image_bytes = images[0].nbytes
    return Result(
        summary=", ".join(f"{count:,} images {capacity.psnr:.1f} dB" for count, capacity in stored.items()),
        params={"seed": ladder.seed, **settings.model_dump()},
        metrics=_metrics(image_bytes, stored),
        facts={**story_facts(image_bytes, stored), "reduced_to": reduced_size(inputs.data.info.shape)},
        series=_series(stored),
        arrays=figure_arrays(images, stored),
    )


@dataclass(frozen=True)
class Capacity:
    """N images in one network."""

    weights: int  # of the decoder, which all images share
    mse: float
    psnr: float  # in dB
    curve: NDArray[np.float64]  # (steps,): the MSE before each step
    recalled: NDArray[np.float32]  # (N, C, H, W)


def counts_of(counts: Sequence[int], available: int) -> list[int]:
    """Return `counts` in ascending order, none larger than the number of images that are `available`."""
    return sorted({min(count, available) for count in counts})


def store_images(
    images: NDArray[np.uint8],
    settings: "OneHotRung",
    *,
    seed: int,
    device: torch.device,
    on_step: Callable[[], object] = lambda: None,
) -> Capacity:
    """Train one network to draw all of `images` (N, C, H, W), each from its one-hot vector of length N.

    The first layer maps a one-hot vector to `settings.latent` numbers, its column for that image. The decoder after it
    is the same for every N: its size, its initial weights and the number of steps.
    """
    generator = torch.Generator().manual_seed(seed)
    decoder = new_decoder(images, settings.channels, settings.latent, generator)
    columns = torch.randn(len(images), settings.latent, generator=generator)
    memory = Memory(columns, decoder, learned=True).to(device)
    steps, rate = settings.steps, settings.learning_rate
    curve = learn(memory, images, steps=steps, batch_size=len(images), rate=rate, order=generator, on_step=on_step)
    recalled = recall(memory)
    return Capacity(memory.weights, curve=curve.numpy(), recalled=recalled.numpy(), **errors(images, recalled))


def _metrics(image_bytes: int, stored: Mapping[int, Capacity]) -> dict[str, float]:
    weights = next(iter(stored.values())).weights
    metrics = {"decoder/weights": float(weights), "decoder/bytes": float(weights * FLOAT32_BYTES)}
    for count, capacity in stored.items():
        metrics |= {
            f"{count}/mse": capacity.mse,
            f"{count}/psnr": capacity.psnr,
            f"{count}/image_bytes": float(count * image_bytes),
        }
    return metrics


def story_facts(image_bytes: int, stored: Mapping[int, Capacity]) -> dict[str, Any]:
    """Return what the story and the figure need; `falling`: whether more images always had a lower PSNR."""
    psnr = [capacity.psnr for capacity in stored.values()]
    return {
        "image_bytes": image_bytes,
        "weights": next(iter(stored.values())).weights,
        "weight_bytes": FLOAT32_BYTES,
        "networks": [
            {"images": count, "mse": capacity.mse, "psnr": capacity.psnr} for count, capacity in stored.items()
        ],
        "falling": all(after < before for before, after in pairwise(psnr)),
    }


def _series(stored: Mapping[int, Capacity]) -> Series:
    """Return each network's MSE before every tenth step, and its final errors."""
    rows: list[dict[str, float]] = []
    for count, capacity in stored.items():
        steps = len(capacity.curve)
        rows += [{"images": count, "step": step, "mse": float(capacity.curve[step])} for step in range(0, steps, 10)]
        rows.append({"images": count, "step": steps, "mse": capacity.mse, "psnr": capacity.psnr})
    return rows


def figure_arrays(images: NDArray[np.uint8], stored: Mapping[int, Capacity]) -> dict[str, NDArray[Any]]:
    """Return the first originals, and of each network its curve and what it recalls of them."""
    arrays: dict[str, NDArray[Any]] = {"originals": images[:N_IMAGES_SHOWN]}
    for count, capacity in stored.items():
        arrays |= {f"{count}/curve": capacity.curve, f"{count}/recalled": capacity.recalled[:N_IMAGES_SHOWN]}
    return arrays
