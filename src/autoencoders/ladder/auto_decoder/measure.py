"""Rung 3: a vector of real numbers for every image, drawn at random and kept, or learned with the decoder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoencoders.errors import UserError
from autoencoders.ladder.memory import Memory, errors, learn, new_decoder, recall
from autoencoders.ladder.record import Result, Series
from autoencoders.ladder.reduced import reduced, reduced_size
from autoencoders.runtime.progress import progress

if TYPE_CHECKING:
    from autoencoders.ladder.run import Inputs
    from autoencoders.params.ladder import AutoDecoderRung

DISTANCE_BATCH = 1024  # vectors whose distances to all others are held at once
N_IMAGES_SHOWN = 12


def measure(inputs: "Inputs") -> Result:
    """Draw the first training images from random and from learned vectors; raise `UserError` below two images."""
    ladder = inputs.params.ladder
    settings = ladder.auto_decoder
    images = reduced(inputs.data.split("train").images[: settings.images])
    if len(images) < 2:
        raise UserError(
            f"auto-decoder compares images with each other: {inputs.data.root} holds {len(images)} for training."
        )
    steps = 2 * settings.epochs * -(-len(images) // settings.batch_size)
    with progress(total=steps, desc="auto-decoder", unit="step", delay=1, mininterval=0.5) as bar:
        stored = {
            name: store_images(
                images, settings, learned=name == "learned", seed=ladder.seed, device=inputs.device, on_step=bar.update
            )
            for name in ("random", "learned")
        }
    facts = {**story_facts(len(images), stored), "reduced_to": reduced_size(inputs.data.info.shape)}
    metrics = {"ratio": facts["ratio"]}
    for name, vectors in stored.items():
        metrics |= {f"{name}/mse": vectors.mse, f"{name}/psnr": vectors.psnr, f"{name}/neighbours": vectors.likeness}
    return Result(
        summary=", ".join(f"{name} vectors MSE {vectors.mse:.4g}" for name, vectors in stored.items()),
        params={"seed": ladder.seed, **settings.model_dump()},
        metrics=metrics,
        facts=facts,
        series=_series(stored),
        arrays=figure_arrays(images, stored),
    )


@dataclass(frozen=True)
class Vectors:
    """N images, each drawn by one decoder from its vector."""

    mse: float
    psnr: float
    """In dB."""
    curve: NDArray[np.float64]
    """(epochs,): MSE during each epoch, mean over its images."""
    recalled: NDArray[np.float32]
    """(N, C, H, W)."""
    nearest: NDArray[np.intp]
    """(N,): for each image the other one whose vector lies nearest."""
    likeness: float
    """Mean squared pixel difference of an image and its `nearest`, divided by that of all pairs: 1 where vectors
    hold no information about the images, 0 where neighbours are equal."""


def store_images(
    images: NDArray[np.uint8],
    settings: "AutoDecoderRung",
    *,
    learned: bool,
    seed: int,
    device: torch.device,
    on_step: Callable[[], object] = lambda: None,
) -> Vectors:
    """Train a decoder to draw `images` (N ≥ 2, C, H, W) from vectors of `settings.latent` numbers drawn from N(0, I).

    With `learned`, the vectors are trained with the decoder. Initial vectors, weights and order of images are the same.
    """
    generator = torch.Generator().manual_seed(seed)
    decoder = new_decoder(images, settings.channels, settings.latent, generator)
    vectors = torch.randn(len(images), settings.latent, generator=generator)
    memory = Memory(vectors, decoder, learned=learned).to(device)
    size = min(settings.batch_size, len(images))
    steps, rate = settings.epochs * -(-len(images) // size), settings.learning_rate
    losses = learn(memory, images, steps=steps, batch_size=size, rate=rate, order=generator, on_step=on_step)
    recalled = recall(memory)
    nearest = nearest_vectors(memory.vectors.detach().cpu())
    return Vectors(
        curve=_epoch_means(losses, len(images), size),
        recalled=recalled.numpy(),
        nearest=nearest,
        likeness=likeness(images, nearest),
        **errors(images, recalled),
    )


def nearest_vectors(vectors: Tensor) -> NDArray[np.intp]:
    """Return for each of the vectors (N, k) the index of the nearest other one (N,)."""
    nearest = []
    for start in range(0, len(vectors), DISTANCE_BATCH):
        distances = torch.cdist(vectors[start : start + DISTANCE_BATCH], vectors)
        own = torch.arange(len(distances))
        distances[own, start + own] = torch.inf
        nearest.append(distances.argmin(1))
    return torch.cat(nearest).numpy()


def likeness(images: NDArray[np.uint8], nearest: NDArray[np.intp]) -> float:
    """Return the mean squared difference of `images` (N, C, H, W) and `images[nearest]`, divided by all pairs' mean.

    The mean of all pairs is twice the variance: E(x - y)² = 2 Var x for x and y drawn without repetition. Where all
    images are equal, return 1.
    """
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255
    pairs = 2 * float(pixels.var(axis=0, ddof=1, dtype=np.float64).mean())
    return float(((pixels - pixels[nearest]) ** 2).mean(dtype=np.float64)) / pairs if pairs > 1e-12 else 1.0


def _epoch_means(losses: Tensor, count: int, size: int) -> NDArray[np.float64]:
    """Return the means over the images of each epoch, from the means of batches."""
    sizes = torch.tensor([len(batch) for batch in torch.arange(count).split(size)])
    return (losses.reshape(-1, len(sizes)) @ sizes.double() / count).numpy()


def story_facts(images: int, stored: Mapping[str, Vectors]) -> dict[str, Any]:
    """Return what the story and the figure need; `ratio`: how much larger the error is with random vectors."""
    return {
        "images": images,
        "ratio": stored["random"].mse / max(stored["learned"].mse, 1e-10),
        **{
            name: {"mse": vectors.mse, "psnr": vectors.psnr, "likeness": vectors.likeness}
            for name, vectors in stored.items()
        },
    }


def _series(stored: Mapping[str, Vectors]) -> Series:
    curves = {f"{name}/mse": vectors.curve for name, vectors in stored.items()}
    rows = zip(*curves.values(), strict=True)
    return [{"epoch": epoch, **dict(zip(curves, row, strict=True))} for epoch, row in enumerate(rows, start=1)]


def figure_arrays(images: NDArray[np.uint8], stored: Mapping[str, Vectors]) -> dict[str, NDArray[Any]]:
    """Return the first originals, and by kind of vectors: curve, redrawn images, and the images of nearest vectors."""
    arrays: dict[str, NDArray[Any]] = {"originals": images[:N_IMAGES_SHOWN]}
    for name, vectors in stored.items():
        arrays |= {
            f"{name}/curve": vectors.curve,
            f"{name}/recalled": vectors.recalled[:N_IMAGES_SHOWN],
            f"{name}/nearest": images[vectors.nearest[:N_IMAGES_SHOWN]],
        }
    return arrays
