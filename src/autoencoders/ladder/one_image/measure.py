"""Rung 1: one image in the weights. The input is always the same vector of ones, so the weights hold the image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
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
    from autoencoders.params.ladder import OneImageRung

NAMES = {"test-image": "first test image", "flower": "colour photograph"}
GOOD_PSNR_DB = 40.0  # errors of 1 % of a pixel's range, which the eye does not see
N_CURVE_POINTS = 200  # steps of each network's curve in series.csv, evenly spaced on a logarithmic scale
N_ONES = 2  # length of the input. It is constant, so a longer one adds weights but no capacity.
COLOUR_SIDE = 64
SNAPSHOTS = (10, 30, 100, 300)


def measure(inputs: "Inputs") -> Result:
    """Store the first test image, and a photograph, in networks of several sizes."""
    targets = {"test-image": reduced(inputs.data.split("test").images[:1])[0], "flower": colour_image()}
    ladder = inputs.params.ladder
    settings = ladder.one_image
    total = len(targets) * len(settings.networks) * settings.steps
    with progress(total=total, desc="one-image", unit="step", delay=1, mininterval=0.5) as bar:
        stored = {
            key: sorted(
                (
                    store_image(image, channels, settings, seed=ladder.seed, device=inputs.device, on_step=bar.update)
                    for channels in settings.networks
                ),
                key=lambda network: network.weights,
            )
            for key, image in targets.items()
        }
    return Result(
        summary=", ".join(f"{NAMES[key]} {networks[-1].psnr:.1f} dB" for key, networks in stored.items()),
        params={"seed": ladder.seed, **settings.model_dump()},
        metrics=_metrics(targets, stored),
        facts={**story_facts(targets, stored), "reduced_to": reduced_size(inputs.data.info.shape)},
        series=_series(stored),
        arrays=figure_arrays(targets, stored),
    )


@dataclass(frozen=True)
class Stored:
    """One image (C, H, W) as one network holds it."""

    weights: int
    mse: NDArray[np.float64]
    """(steps + 1,): before each step, and after the last."""
    psnr: float
    """In dB, after the last step."""
    snapshots: dict[int, NDArray[np.float32]]
    """What the network draws after so many steps; the last is the end of training."""


def store_image(
    image: NDArray[np.uint8],
    channels: Sequence[int],
    settings: "OneImageRung",
    *,
    seed: int,
    device: torch.device,
    on_step: Callable[[], object] = lambda: None,
) -> Stored:
    """Train a deconvolution network of so many `channels` to draw `image` (C, H, W) from a vector of ones."""
    generator = torch.Generator().manual_seed(seed)
    images = image[None]
    decoder = new_decoder(images, channels, N_ONES, generator)
    memory = Memory(torch.ones(1, N_ONES), decoder, learned=False).to(device)
    snapshots, steps_taken = {}, count(1)

    def after_step() -> None:
        if (step := next(steps_taken)) in snapshot_steps(settings.steps):
            snapshots[step] = recall(memory)[0].numpy()
        on_step()

    steps, rate = settings.steps, settings.learning_rate
    curve = learn(memory, images, steps=steps, batch_size=1, rate=rate, order=generator, on_step=after_step)
    final = errors(images, recall(memory))
    return Stored(memory.weights, np.append(curve.numpy(), final["mse"]), final["psnr"], snapshots)


def snapshot_steps(steps: int) -> list[int]:
    """Return the steps after which pictures are taken: those of 10, 30, 100 and 300 below `steps`, and the last."""
    return [*(step for step in SNAPSHOTS if step < steps), steps]


def colour_image(side: int = COLOUR_SIDE) -> NDArray[np.uint8]:
    """Return scikit-learn's photograph of a flower, its middle square reduced to (3, `side`, `side`)."""
    from PIL import Image

    package = find_spec("sklearn")  # its own loader of this file imports all of scikit-learn, for 2 s
    assert package is not None and package.origin is not None
    photograph = Image.open(Path(package.origin).parent / "datasets" / "images" / "flower.jpg").convert("RGB")
    short = min(photograph.size)
    left, top = (photograph.width - short) // 2, (photograph.height - short) // 2
    square = photograph.crop((left, top, left + short, top + short))
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS)).transpose(2, 0, 1).copy()


Targets = Mapping[str, NDArray[np.uint8]]
Networks = Mapping[str, Sequence[Stored]]  # for each target what the networks made of it, in ascending size


def _metrics(targets: Targets, stored: Networks) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for key, networks in stored.items():
        largest = networks[-1]
        metrics |= {
            f"{key}/psnr": largest.psnr,
            f"{key}/mse": float(largest.mse[-1]),
            f"{key}/weights": float(largest.weights),
            f"{key}/weight_bytes": float(largest.weights * FLOAT32_BYTES),
            f"{key}/image_bytes": float(targets[key].nbytes),
        }
        for number, network in enumerate(networks, start=1):
            metrics |= {
                f"{key}/network-{number}/psnr": network.psnr,
                f"{key}/network-{number}/mse": float(network.mse[-1]),
                f"{key}/network-{number}/weights": float(network.weights),
            }
    return metrics


def story_facts(targets: Targets, stored: Networks) -> dict[str, Any]:
    """Return what the story and the figure need; `reached`: steps after which the largest network was good, if ever."""
    facts = []
    for key, networks in stored.items():
        good = np.flatnonzero(networks[-1].mse[1:] <= 10 ** (-GOOD_PSNR_DB / 10))
        facts.append({
            "key": key,
            "name": NAMES[key],
            "shape": list(targets[key].shape),
            "bytes": targets[key].nbytes,
            "reached": int(good[0]) + 1 if len(good) else None,
            "networks": [{"weights": network.weights, "psnr": network.psnr} for network in networks],
        })  # fmt: skip
    steps = list(next(iter(stored.values()))[-1].snapshots)
    return {"targets": facts, "steps": steps, "good_psnr": GOOD_PSNR_DB, "weight_bytes": FLOAT32_BYTES}


def _series(stored: Networks) -> Series:
    rows = []
    for key, networks in stored.items():
        for network in networks:
            last = len(network.mse) - 1
            for step in [0, *sorted({round(float(at)) for at in np.geomspace(1, last, N_CURVE_POINTS)})]:
                mse = float(network.mse[step])
                psnr = -10 * float(np.log10(max(mse, 1e-10)))
                rows.append({"target": key, "weights": network.weights, "step": step, "mse": mse, "psnr": psnr})
    return rows


def figure_arrays(targets: Targets, stored: Networks) -> dict[str, NDArray[Any]]:
    """Return for each target: itself, the largest network's MSE and snapshots, what the smaller networks end with."""
    arrays: dict[str, NDArray[Any]] = {}
    for key, (*smaller, largest) in stored.items():
        ends = [list(network.snapshots.values())[-1] for network in smaller]
        arrays |= {
            f"{key}/original": targets[key],
            f"{key}/mse": largest.mse,
            f"{key}/snapshots": np.stack(list(largest.snapshots.values())),
            f"{key}/smaller": np.array(ends).reshape(-1, *targets[key].shape),
        }
    return arrays
