"""Measure the training step on a GPU: kernel by kernel, captured as a graph, compiled, and as `fit` does it.

    PYTHONPATH=src python benchmarks/gpu.py --mnist DIR

NEVER RUN ON A GPU YET: its logic is tested on a CPU (`--device cpu`), its numbers are not known. It needs torch (2.11
or newer) and numpy, nothing else, so that it runs on a bare machine. DIR holds MNIST/raw/*.gz; without it the images
are random, and the time to quality is left out.
"""

import argparse
import csv
import gzip
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from gpu_step import WARM_UP, Training, compiled_in, one_cycle, step_of
from speed_contenders import RECIPE, TARGET
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from autoencoders.data.batches import Batches
from autoencoders.models import VAE
from autoencoders.training.loop import fit


def _vae(latent: int, arch: str, hidden: list[int]) -> VAE:
    entry: Any = SimpleNamespace(
        latent=latent, arch=arch, hidden=hidden, decoder_hidden=None, likelihood="bernoulli", beta=1.0, kl_warmup=0
    )
    return VAE(entry, (1, 28, 28))


NETWORKS: dict[str, Callable[[], VAE]] = {
    "mlp": lambda: _vae(20, "mlp", [400]),
    "conv": lambda: _vae(16, "conv", [32, 64]),
}
MODES = ("eager", "graph", "compile", "compile+graph", "fit")
ON_CPU = ("eager", "fit")
BATCHES = (128, 1024, 8192, 32_768)
PAPER = {"H200": (790e12, 4.3e12), "H100": (790e12, 3.35e12)}
"""Part of a GPU's name → bf16 FLOP/s and bytes/s, as its maker and the project's reference have them."""


class Measured(NamedTuple):
    """One line of the table."""

    network: str
    mode: str
    batch: int
    images_per_second: float
    share_of_bound: float | None


def images_per_second(step: Callable[[], None], batch: int, device: torch.device, at_least: float = 1.0) -> float:
    """Return the speed of steps that take `at_least` so many seconds together, after some that do not count."""
    for _ in range(10):
        step()
    steps = 10
    while True:
        wait(device)
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        if (seconds := time.perf_counter() - start) >= at_least:
            return batch * steps / seconds
        steps *= 2


def fit_speed(model: VAE, images: np.ndarray, batch: int, device: torch.device) -> float:
    """Return the images a second of the package's own loop, in its second and third epoch."""
    settings: Any = SimpleNamespace(
        seed=0, epochs=3, batch_size=batch, learning_rate=1e-3, schedule="cosine", warmup=WARM_UP,
        grad_clip=None, patience=None, precision="bf16", compile=False,
    )  # fmt: skip
    ends: list[float] = []

    def on_epoch(row: object) -> None:
        wait(device)
        ends.append(time.perf_counter())

    fit(model, Batches(images, batch, device), Batches(images[:1], 1, device), settings, on_epoch=on_epoch)
    return 2 * len(images) / (ends[2] - ends[0])


def bound(model: VAE, batch: int, gpu: str) -> float | None:
    """Return the images a second that paper allows, or None for an unknown GPU.

    The slower of FLOP of the matrix products, and of bytes: every operand and result of the products once per product
    in bf16, the image as uint8, logits and their gradient once in float32, and Adam's seven passes over the weights.
    """
    peak = next((value for name, value in PAPER.items() if name in gpu), None)
    if not peak:
        return None
    flop, size = cost(model, batch)
    return batch / max(flop / peak[0], size / peak[1])


def cost(model: VAE, batch: int) -> tuple[float, float]:
    """Return FLOP and bytes of one step (see `bound`)."""
    x = torch.zeros(batch, *model.shape)
    elements = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal elements
        products = 3 if inputs[0].requires_grad else 2
        elements += products * (inputs[0].numel() + output.numel() + layer.weight.numel())  # type: ignore[operator]

    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, kinds)]
    with FlopCounterMode(display=False) as counter:
        model.loss(x, torch.zeros(batch, model.latent))["loss"].backward()
    for hook in hooks:
        hook.remove()
    model.zero_grad()
    weights = sum(weight.numel() for weight in model.parameters())
    return counter.get_total_flops(), 2 * elements + x.numel() * (1 + 2 * 4) + 7 * 4 * weights


def time_to_quality(
    images: Tensor, test: Tensor, mode: str, batch: int, epochs: int, peak: float
) -> tuple[float, float, float]:
    """Return seconds of training, test −ELBO, and seconds of getting ready (capture, compiling), for the MLP."""
    start = time.perf_counter()
    steps = epochs * len(images) // batch
    model = NETWORKS["mlp"]().to(images.device)
    model.init_output_bias(images.float().mean(0) / 255)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    training = Training(model, images, batch, one_cycle(steps, peak), compiled_in(mode))
    step = step_of(training, mode)
    step()
    training.restart(weights)
    wait(images.device)
    ready = time.perf_counter()
    per_epoch = len(images) // batch
    for number in range(steps):
        if number % per_epoch == 0:
            training.order.copy_(torch.randperm(len(images), device=images.device))
        step()
    wait(images.device)
    return time.perf_counter() - ready, neg_elbo(model, test), ready - start


@torch.no_grad()
def neg_elbo(model: VAE, test: Tensor) -> float:
    """Return the test −ELBO in nats per image, float32, one sample of z."""
    x = test.float() / 255
    return model.loss(x, torch.randn(len(x), model.latent, device=x.device))["loss"].item()


def measure(device: torch.device, images: np.ndarray, options: argparse.Namespace) -> Iterable[Measured]:
    """Give a line for every network, batch and mode."""
    resident = torch.from_numpy(images).to(device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    for name, network in NETWORKS.items():
        for batch in options.batches:
            paper = bound(network(), batch, gpu)
            for mode in MODES if device.type == "cuda" else ON_CPU:
                if mode == "fit":
                    speed = fit_speed(network(), images, batch, device)
                else:
                    training = Training(network(), resident, batch, torch.full((1,), 1e-3), compiled_in(mode))
                    speed = images_per_second(step_of(training, mode), batch, device, options.seconds)
                yield Measured(name, mode, batch, speed, speed / paper if paper else None)


def mnist(folder: Path, name: str) -> np.ndarray:
    """Return the images uint8 (N, 1, 28, 28) of MNIST/raw/<name>-images-idx3-ubyte.gz."""
    with gzip.open(folder / "MNIST" / "raw" / f"{name}-images-idx3-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28).copy()


def wait(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", default="cuda", type=torch.device)
    parser.add_argument("--mnist", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=60_000, help="of random images, where there is no --mnist")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--seconds", type=float, default=1.0, help="that each speed is measured for")
    recipe = ("graph", str(RECIPE["batch_size"]), str(RECIPE["epochs"]), str(RECIPE["learning_rate"]))
    parser.add_argument("--quality", nargs=4, default=recipe, metavar=("MODE", "B", "E", "LR"))
    parser.add_argument("--out", type=Path, help="CSV file of the raw numbers")
    options = parser.parse_args(arguments)
    random = np.random.default_rng(0).integers(0, 256, (options.images, 1, 28, 28), dtype=np.uint8)
    images = mnist(options.mnist, "train") if options.mnist else random
    lines = []
    print("| network | mode | batch | images/s | of the bound on paper |\n| --- | --- | ---: | ---: | ---: |")
    for one in measure(options.device, images, options):
        lines.append(one)
        share = "" if one.share_of_bound is None else f"{round(100 * one.share_of_bound)} %"
        print(f"| {one.network} | {one.mode} | {one.batch} | {one.images_per_second:,.0f} | {share} |", flush=True)
    if options.mnist:
        mode, batch, epochs, peak = options.quality
        train, test = (torch.from_numpy(of).to(options.device) for of in (images, mnist(options.mnist, "t10k")))
        seconds, quality, ready = time_to_quality(train, test, mode, int(batch), int(epochs), float(peak))
        print(f"\n−ELBO {quality:.1f} (to reach: {TARGET}) after {seconds:.2f} s of training, {mode}, batch {batch}, "
              f"{epochs} epochs, learning rate {peak}; getting ready took {ready:.1f} s more")  # fmt: skip
        lines.append(Measured("mlp", f"{mode}, −ELBO {quality:.2f}", int(batch), seconds, None))
    if options.out:
        with options.out.open("w", newline="") as file:
            csv.writer(file).writerows([Measured._fields, *lines])
    return 0


if __name__ == "__main__":
    sys.exit(main())
