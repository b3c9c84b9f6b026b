"""Rung 1: one image in the weights. The input is a vector of ones, always the same, so the image is in the weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.ladder.memory import Memory, errors, learn, new_decoder, recall

ONES = 2
"""Length of the input. It never changes, so a longer one adds weights and nothing that they could hold."""
COLOUR_SIDE = 64
SNAPSHOTS = (10, 30, 100, 300)


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
    *,
    steps: int,
    rate: float,
    seed: int,
    device: torch.device,
    on_step: Callable[[], object] = lambda: None,
) -> Stored:
    """Train a deconvolution network of so many `channels` to draw `image` (C, H, W) from a vector of ones."""
    generator = torch.Generator().manual_seed(seed)
    images = image[None]
    decoder = new_decoder(images, channels, ONES, generator)
    memory = Memory(torch.ones(1, ONES), decoder, learned=False).to(device)
    losses, snapshots = [], {}
    shown = snapshot_steps(steps)
    training = learn(memory, images, steps=steps, batch_size=1, rate=rate, order=generator)
    for step, loss in enumerate(training, start=1):
        losses.append(loss)
        if step in shown:
            snapshots[step] = recall(memory)[0].numpy()
        on_step()
    final = errors(images, recall(memory))
    curve = torch.stack(losses).double().cpu().numpy()
    return Stored(memory.weights, np.append(curve, final["mse"]), final["psnr"], snapshots)


def snapshot_steps(steps: int) -> list[int]:
    """Return after how many steps pictures are taken: 10, 30, 100, 300 as far as there are so many, and the last."""
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
