"""Rung 3 of the ladder: random vectors for the images, against vectors learned with the decoder."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders import tracking
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.ladder.auto_decoder import Vectors, store_images
from autoencoders.ladder.record import Rung, Series, check_place, save_rung
from autoencoders.params import Ladder, Params
from autoencoders.plots.auto_decoder import auto_decoder as draw
from autoencoders.runtime.progress import progress
from autoencoders.text import format_decimal
from autoencoders.training.device import describe, make_deterministic, resolve_device

BY_CHANCE = 0.95
"""Likeness of neighbours above which their vectors say nothing about what the images look like."""


def auto_decoder(params: Params, *, data: Path, out: Path) -> None:
    """Draw the first training images from random and from learned vectors; write the rung to `out`."""
    check_place(out, "auto-decoder")
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    start = time.perf_counter()
    images = np.array(prepared.split("train").images[: params.ladder.auto_decoder.images])
    if len(images) < 2:
        raise UserError(f"auto-decoder compares images with each other: {data} holds {len(images)} for training.")
    by = _store(images, params.ladder, device)
    seconds = time.perf_counter() - start
    figure = draw(images, {f"{name} vectors": one for name, one in by.items()})
    rung, series = _described(params.ladder, len(images), by), _series(by)
    save_rung(out, rung, data=prepared.info, hardware=describe(device), seconds=seconds, series=series, figure=figure)
    tracking.log_own_rung(params.tracking.experiment, out)
    print("auto-decoder: " + ", ".join(f"{name} vectors MSE {one.mse:.4g}" for name, one in by.items()))


def _store(images: NDArray[np.uint8], settings: Ladder, device: torch.device) -> dict[str, Vectors]:
    rung = settings.auto_decoder
    steps = 2 * rung.epochs * -(-len(images) // rung.batch_size)
    with progress(total=steps, desc="auto-decoder", unit="step", delay=1, mininterval=0.5) as bar:
        return {
            name: store_images(
                images, rung, learned=name == "learned", seed=settings.seed, device=device, on_step=bar.update
            )
            for name in ("random", "learned")
        }


def _described(settings: Ladder, count: int, by: Mapping[str, Vectors]) -> Rung:
    rung, random, learned = settings.auto_decoder, by["random"], by["learned"]
    metrics = {"ratio": _ratio(random, learned)}
    for name, one in by.items():
        metrics |= {f"{name}/mse": one.mse, f"{name}/psnr": one.psnr, f"{name}/neighbours": one.likeness}
    return Rung(
        name="auto-decoder",
        title="Vectors instead of one-hot: random, or learned?",
        claim="Choosing the vectors that stand for pictures at random is a bad idea; learning them is better.",
        story=[
            f"Each of {count:,} pictures gets a vector of {rung.latent} real numbers, and one decoder draws every "
            "picture from its vector. In the first experiment the vectors are drawn at random and stay as they are, "
            "so only the decoder learns. In the second the same vectors are just the start: training moves them along "
            "with the weights. (This is called an auto-decoder: it has a decoder, and no encoder.) The decoder, its "
            "first weights, the order of the pictures and the number of steps are the same in both.",
            _outcome(rung.epochs, random, learned),
            _neighbours(random, learned)
            + " What is still missing is a way to find the vector of a new picture without training for it: a second "
            "network, the encoder, which the next step adds.",
        ],
        alt=f"Two charts over rows of pictures. Left: the error while learning, ending at {format_decimal(random.mse)} "
        f"with random and {format_decimal(learned.mse)} with learned vectors. Right: how much the images of "
        f"neighbouring vectors differ, {random.likeness:.2f} and {learned.likeness:.2f} of the difference of any two "
        "images. Below: originals, both reconstructions, and the images whose vectors lie nearest.",
        params={"seed": settings.seed, **rung.model_dump()},
        metrics=metrics,
    )


def _ratio(random: Vectors, learned: Vectors) -> float:
    return random.mse / max(learned.mse, 1e-10)


def _outcome(epochs: int, random: Vectors, learned: Vectors) -> str:
    text = (
        f"After {epochs:,} rounds through all pictures the error per pixel (MSE) is {format_decimal(random.mse)} with "
        f"random vectors and {format_decimal(learned.mse)} with learned ones ({random.psnr:.1f} and {learned.psnr:.1f} "
        "dB): "
    )
    ratio = _ratio(random, learned)
    if ratio > 1.05:
        return text + f"{ratio:.1f} times the error for the same decoder. Choosing the vectors at random is a bad idea."
    if ratio > 0.95:
        return text + "no difference worth the name. On these pictures the claim is not confirmed."
    return text + "here the random vectors do better, and the claim is not confirmed."


def _neighbours(random: Vectors, learned: Vectors) -> str:
    def against_chance(one: Vectors) -> str:
        if one.likeness > BY_CHANCE:
            return f"{one.likeness:.2f} times as much as any two pictures: their nearness says nothing"
        return f"{one.likeness:.2f} times as much as any two pictures"

    text = (
        "Which pictures have become neighbours? Two pictures whose random vectors are neighbours differ "
        f"{against_chance(random)}; where the vectors are learned, they differ {against_chance(learned)}."
    )
    if learned.likeness < min(BY_CHANCE, random.likeness):
        text += (
            " Training has put pictures that look alike near each other, so the decoder can draw them with the same "
            "weights, while with random vectors it has to learn every picture by heart."
        )
    return text


def _series(by: Mapping[str, Vectors]) -> Series:
    epochs = range(len(by["random"].curve))
    return [{"epoch": epoch + 1, **{f"{name}/mse": one.curve[epoch] for name, one in by.items()}} for epoch in epochs]
