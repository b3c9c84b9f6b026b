"""Rung 2 of the ladder: several images in one network, told apart by one-hot inputs."""

import time
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders import tracking
from autoencoders.data.prepared import PreparedData
from autoencoders.ladder.memory import WEIGHT_BYTES
from autoencoders.ladder.one_hot import Capacity, counts_of, store_images
from autoencoders.ladder.record import Rung, Series, check_place, save_rung
from autoencoders.params import Ladder, Params
from autoencoders.plots.one_hot import one_hot as draw
from autoencoders.runtime.progress import progress
from autoencoders.text import format_bytes, format_decimal
from autoencoders.training.device import describe, make_deterministic, resolve_device

Stored = Mapping[int, Capacity]


def one_hot(params: Params, *, data: Path, out: Path) -> None:
    """Store the first 4, 16, 64, … training images in one network each time; write the rung to `out`."""
    check_place(out, "one-hot")
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    start = time.perf_counter()
    available = prepared.split("train").images
    counts = counts_of(params.ladder.one_hot.counts, len(available))
    images = np.array(available[: counts[-1]])
    stored = _store(images, counts, params.ladder, device)
    seconds = time.perf_counter() - start
    rung = _described(params.ladder, images, stored)
    figure, series = draw(images, stored), _series(stored)
    save_rung(out, rung, data=prepared.info, hardware=describe(device), seconds=seconds, series=series, figure=figure)
    tracking.log_own_rung(params.tracking.experiment, out)
    print("one-hot: " + ", ".join(f"{count:,} images {one.psnr:.1f} dB" for count, one in stored.items()))


def _store(images: NDArray[np.uint8], counts: list[int], settings: Ladder, device: torch.device) -> dict[int, Capacity]:
    rung, stored = settings.one_hot, {}
    with progress(total=rung.steps * sum(counts), desc="one-hot", unit="image", delay=1, mininterval=0.5) as bar:
        for count in counts:
            each = partial(bar.update, count)
            stored[count] = store_images(images[:count], rung, seed=settings.seed, device=device, on_step=each)
    return stored


def _described(settings: Ladder, images: NDArray[np.uint8], stored: Stored) -> Rung:
    rung, size = settings.one_hot, images[0].nbytes
    weights = next(iter(stored.values())).weights
    metrics = {"decoder/weights": float(weights), "decoder/bytes": float(weights * WEIGHT_BYTES)}
    for count, one in stored.items():
        metrics |= {f"{count}/mse": one.mse, f"{count}/psnr": one.psnr, f"{count}/image_bytes": float(count * size)}
    ends = ", ".join(f"{one.psnr:.1f} dB for {count:,}" for count, one in stored.items())
    return Rung(
        name="one-hot",
        title="Several images, one network",
        claim="A network of a given size holds several pictures, and less of each the more of them there are.",
        story=[
            "Now one network has to hold several pictures. Its input says which one to draw: a list of zeros with a "
            "single one in that picture's place (one-hot). The first layer multiplies this list with a matrix, and "
            f"that picks one of its columns: {rung.latent} numbers that belong to the picture. From them a "
            "deconvolution network, the same for all pictures, draws. "
            f"Its {weights:,} weights ({format_bytes(weights * WEIGHT_BYTES)}) are the store that all share; what a "
            f"picture has for itself is its column, {format_bytes(rung.latent * WEIGHT_BYTES)} where the picture "
            f"takes {format_bytes(size)}.",
            _outcome(rung.steps, size, stored),
            "The column is a vector that stands for its picture: the network draws from the vector, not from the ones "
            "and zeros. So the input need not be one-hot at all. Every picture can be given a vector of real numbers "
            "directly, and the question is which: the next step.",
        ],
        alt=f"Two charts over rows of pictures. Left: PSNR against the number of images stored, {ends}. Right: the "
        "error of each network while it learns. Below: the first originals and what each network draws of them.",
        params={"seed": settings.seed, **rung.model_dump()},
        metrics=metrics,
    )


def _outcome(steps: int, size: int, stored: Stored) -> str:
    ends = [
        f"{count:,} pictures ({format_bytes(count * size)}) at {one.psnr:.1f} dB, MSE {format_decimal(one.mse)}"
        for count, one in stored.items()
    ]
    text = f"After {steps:,} steps over all its pictures, the same network draws " + "; ".join(ends) + "."
    text += " (MSE and decibels are means over the pictures; the mean of decibels is not that of the mean error.)"
    psnr = [one.psnr for one in stored.values()]
    if len(psnr) > 1 and all(after < before for before, after in pairwise(psnr)):
        text += " The more pictures share the weights, the less of each is left."
    elif len(psnr) > 1:
        text += " That more pictures leave less of each is not seen here throughout: the network is not full yet."
    most, one = list(stored.items())[-1]
    share = most * size / (one.weights * WEIGHT_BYTES)
    if share > 1:
        text += (
            f" The last {most:,} take {share:.1f} times the bytes of the weights: pixel by pixel they would not "
            "fit, so the network has to live on what they have in common."
        )
    return text


def _series(stored: Stored) -> Series:
    """Each network's MSE before every tenth step, and its final errors."""
    rows: list[dict[str, float]] = []
    for count, one in stored.items():
        steps = len(one.curve)
        rows += [{"images": count, "step": step, "mse": float(one.curve[step])} for step in range(0, steps, 10)]
        rows.append({"images": count, "step": steps, "mse": one.mse, "psnr": one.psnr})
    return rows
