"""Measure the speed of the project's training on a GPU, with and without torch.compile.

    PYTHONPATH=src python benchmarks/gpu.py

NEVER RUN ON A GPU YET: it works on a CPU (`--device cpu`), its numbers are not known. It needs only torch (2.11 or
newer) and numpy, so it runs on a bare machine. The images are random. `quality.py` uses a GPU, too.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from autoencoders.data.batches import Batches
from autoencoders.models import VAE
from autoencoders.training.loop import fit


def vae(latent: int, arch: str, hidden: list[int]) -> VAE:
    """Return an untrained VAE of MNIST's images; its entry needs no pydantic."""
    entry: Any = SimpleNamespace(
        latent=latent, arch=arch, hidden=hidden, decoder_hidden=None, likelihood="bernoulli", beta=1.0, kl_warmup=0,
        begins_at_pca=False,
    )  # fmt: skip
    return VAE(entry, (1, 28, 28))


NETWORKS: dict[str, Callable[[], VAE]] = {
    "mlp": lambda: vae(20, "mlp", [400]),
    "conv": lambda: vae(16, "conv", [32, 64]),
}
BATCHES = (128, 1024, 8192, 32_768)


def images_per_second(
    model: VAE, images: NDArray[np.uint8], batch: int, device: torch.device, compiled: bool = False
) -> float:
    """Return the speed of the package's own loop, in its second and third epoch."""
    epoch = -(-len(images) // batch)
    settings: Any = SimpleNamespace(
        seed=0, steps=3 * epoch, batch_size=batch, learning_rate=1e-3, schedule="cosine", warmup=0.1, grad_clip=None,
        patience=None, precision="auto", compile=compiled,
    )  # fmt: skip
    ends: list[float] = []
    steps = count(1)

    def on_batch() -> None:
        if next(steps) % epoch == 0:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            ends.append(time.perf_counter())

    fit(model, Batches(images, batch, device), Batches(images[:1], 1, device), settings, on_batch=on_batch)
    return 2 * len(images) / (ends[2] - ends[0])


def flop_of_an_image(model: VAE) -> int:
    """Return the floating-point operations of the matrix products of a training step, per image."""
    x = torch.zeros(1, *model.shape)
    with FlopCounterMode(display=False) as counter:
        model.loss(x, torch.zeros(1, model.latent))["loss"].backward()
    return counter.get_total_flops()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", default="cuda", type=torch.device, metavar="NAME", help="default: cuda")
    parser.add_argument("--images", type=int, default=60_000, metavar="N", help="in an epoch (default: 60000)")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, metavar="N", help="batch sizes")
    options = parser.parse_args(arguments)
    device = options.device
    images = np.random.default_rng(0).integers(0, 256, (options.images, 1, 28, 28), dtype=np.uint8)
    print("| network | batch | compiled | images/s | TFLOP/s |\n| --- | ---: | --- | ---: | ---: |")
    for name, network in NETWORKS.items():
        flop = flop_of_an_image(network())
        for batch in options.batches:
            for compiled in (False, True) if device.type == "cuda" else (False,):
                speed = images_per_second(network(), images, batch, device, compiled)
                cells = (name, batch, "yes" if compiled else "no", f"{speed:,.0f}", f"{speed * flop / 1e12:.3g}")
                print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
