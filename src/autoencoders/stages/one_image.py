"""Rung 1 of the ladder: one image in the weights of a network."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders import tracking
from autoencoders.data.prepared import PreparedData
from autoencoders.ladder.memory import WEIGHT_BYTES
from autoencoders.ladder.one_image import Stored, colour_image, store_image
from autoencoders.ladder.record import Rung, Series, check_place, save_rung
from autoencoders.params import Ladder, Params
from autoencoders.plots.one_image import GOOD
from autoencoders.plots.one_image import one_image as draw
from autoencoders.runtime.progress import progress
from autoencoders.text import format_bytes
from autoencoders.training.device import describe, make_deterministic, resolve_device

Images = Mapping[str, NDArray[np.uint8]]
Networks = Mapping[str, Sequence[Stored]]
NAMES = {"test-image": "first test image", "flower": "colour photograph"}
POINTS = 200
"""Steps of each network's curve that go into the table, evenly spread on a logarithmic scale."""


def one_image(params: Params, *, data: Path, out: Path) -> None:
    """Store the first test image, and a photograph, in networks of several sizes; write the rung to `out`."""
    check_place(out, "one-image")
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    start = time.perf_counter()
    targets = {"test-image": np.array(prepared.split("test").images[0]), "flower": colour_image()}
    stored = _store(targets, params.ladder, device)
    seconds = time.perf_counter() - start
    figure = draw({NAMES[key]: image for key, image in targets.items()}, {NAMES[k]: v for k, v in stored.items()})
    rung = _described(params.ladder, targets, stored)
    series = _series(stored)
    save_rung(out, rung, data=prepared.info, hardware=describe(device), seconds=seconds, series=series, figure=figure)
    tracking.log_own_rung(params.tracking.experiment, out)
    print("one-image: " + ", ".join(f"{NAMES[key]} {networks[-1].psnr:.1f} dB" for key, networks in stored.items()))


def _store(targets: Images, settings: Ladder, device: torch.device) -> dict[str, list[Stored]]:
    """Return for each target what each network makes of it, in ascending size."""
    rung = settings.one_image
    options: dict[str, Any] = {"steps": rung.steps, "rate": rung.learning_rate, "seed": settings.seed, "device": device}
    total = len(targets) * len(rung.networks) * rung.steps
    with progress(total=total, desc="one-image", unit="step", delay=1, mininterval=0.5) as bar:
        stored = {
            key: [store_image(image, channels, **options, on_step=bar.update) for channels in rung.networks]
            for key, image in targets.items()
        }
    return {key: sorted(networks, key=lambda one: one.weights) for key, networks in stored.items()}


def _described(settings: Ladder, targets: Images, stored: Networks) -> Rung:
    metrics: dict[str, float] = {}
    for key, networks in stored.items():
        largest = networks[-1]
        metrics |= {
            f"{key}/psnr": largest.psnr,
            f"{key}/mse": float(largest.mse[-1]),
            f"{key}/weights": float(largest.weights),
            f"{key}/weight_bytes": float(largest.weights * WEIGHT_BYTES),
            f"{key}/image_bytes": float(targets[key].nbytes),
        }
        for place, one in enumerate(networks, start=1):  # in ascending size
            each = f"{key}/network-{place}"
            metrics |= {
                f"{each}/psnr": one.psnr,
                f"{each}/mse": float(one.mse[-1]),
                f"{each}/weights": float(one.weights),
            }
    ends = " and ".join(f"{networks[-1].psnr:.1f} dB for the {NAMES[key]}" for key, networks in stored.items())
    return Rung(
        name="one-image",
        title="One image in the weights",
        claim="A network is a data structure that holds information: its weights alone can store a picture.",
        story=[
            "A deconvolution network turns a short list of numbers into a picture. Here its input is the same at every "
            "step, a vector of ones, and it has one picture to draw. The input says nothing about the picture and "
            "training changes nothing but the network's weights, so whatever it draws in the end is stored in them. "
            "The error is the mean squared difference of the values of the pixels (MSE, on a scale from 0 to 1); in "
            "decibels (PSNR), where more is better, 40 dB stand for a typical error of 1 % of the scale.",
            " ".join(_outcome(key, targets[key], networks) for key, networks in stored.items()),
            _conclusion(targets, stored),
        ],
        alt="Two charts over rows of pictures. Left: PSNR against training steps of the largest network, ending at "
        f"{ends}. Right: final PSNR against the number of weights. Below: each original, what the largest network "
        "draws after more and more steps, and what the smaller ones draw in the end.",
        params={"seed": settings.seed, **settings.one_image.model_dump()},
        metrics=metrics,
    )


def _outcome(key: str, image: NDArray[np.uint8], networks: Sequence[Stored]) -> str:
    """What became of one image, in two sentences."""
    largest, smallest = networks[-1], networks[0]
    shape = "×".join(str(side) for side in image.shape)
    reached = np.flatnonzero(largest.mse[1:] <= 10 ** (-GOOD / 10))
    when = (
        f"it passes {GOOD:.0f} dB after {reached[0] + 1:,} steps" if len(reached) else f"it stays below {GOOD:.0f} dB"
    )
    text = (
        f"The {NAMES[key]} has {shape} values, one byte each: {format_bytes(image.nbytes)}. The largest network, "
        f"{largest.weights:,} weights, draws it at {largest.psnr:.1f} dB in the end; {when}."
    )
    if len(networks) > 1:
        text += f" The smallest, {smallest.weights:,} weights, ends at {smallest.psnr:.1f} dB."
        best = max(networks, key=lambda one: one.psnr)
        if best is not largest and best is not smallest:
            text += (
                f" The best of those tried has {best.weights:,} weights, with {best.psnr:.1f} dB: more did not help."
            )
    return text


def _conclusion(targets: Images, stored: Networks) -> str:
    good = {key: [one for one in networks if one.psnr >= GOOD] for key, networks in stored.items()}
    sizes = [
        f"{format_bytes(ones[0].weights * WEIGHT_BYTES)} of weights for the {format_bytes(targets[key].nbytes)} of "
        f"the {NAMES[key]}"
        for key, ones in good.items()
        if ones
    ]
    if len(sizes) < len(stored):
        missed = " and ".join(f"the {NAMES[key]}" for key, ones in good.items() if not ones)
        return (
            f"So a picture can be put into weights, but here not all of it: {missed} did not reach {GOOD:.0f} dB. "
            "More steps or more weights would bring it closer."
        )
    return (
        "So a network is a data structure, and training is the way to write into it. A thrifty one it is not: the "
        f"smallest network tried that reaches {GOOD:.0f} dB takes {' and '.join(sizes)} (4 bytes a weight). Weights "
        "begin to pay where several pictures share them: the next step."
    )


def _series(stored: Networks) -> Series:
    rows = []
    for key, networks in stored.items():
        for one in networks:
            last = len(one.mse) - 1
            for step in [0, *sorted({round(float(at)) for at in np.geomspace(1, last, POINTS)})]:
                mse = float(one.mse[step])
                psnr = -10 * float(np.log10(max(mse, 1e-10)))
                rows.append({"target": key, "weights": one.weights, "step": step, "mse": mse, "psnr": psnr})
    return rows
