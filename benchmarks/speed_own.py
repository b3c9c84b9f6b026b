"""How fast this project trains and evaluates: as a contender, a step beside its matrix products, growth, evaluation.

Each measure runs in a process of its own, started by `speed.py`. What is timed is whatever the project's loop does.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count, product
from pathlib import Path
from typing import Any

import torch_threads  # noqa: F401  # isort: skip  # before torch

import numpy as np
import torch
from common import (
    CPU,
    ROOT,
    batch_loss,
    fit_network,
    initialise,
    model_entry,
    new_model,
    seeded,
    steps_of,
    train_settings,
)
from numpy.typing import NDArray
from peers.clock import Measurement, Options, TargetReached, TrainingClock, run_script, training_images
from speed_contenders import OWN_BATCH
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from autoencoders.data.batches import Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.evaluation.likelihood import importance_weighted_bound
from autoencoders.model_folder import load_trained
from autoencoders.params import Train, parse_params, read_params
from autoencoders.stages.evaluate import evaluate
from autoencoders.training.device import resolve_precision

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "vae", "arch": "mlp", "hidden": [400], "latent": 20},
    "conv": {"kind": "vae", "arch": "conv", "hidden": [32, 64], "latent": 16},
}
"""784-400-20-400-784; 1-32-64, stride 2, 16 latent dimensions."""
STEP_IMAGES = {"mlp": 30_000, "conv": 6_000}
"""Images in a timed epoch, rounded to whole batches."""
STEP_BATCHES = (128, OWN_BATCH)
PRODUCTS_SECONDS = 0.5
SCALING_IMAGES, TIMES, LATENTS = 15_000, (1, 2, 4, 8), (2, 4, 8, 16, 32, 64, 128)
NLL_IMAGES, NLL_SAMPLES = 1000, 1000


def network(name: str, seed: int = 0, **changes: Any) -> Any:
    """Return the untrained network `name` of `NETWORKS`."""
    return new_model(model_entry(**{**NETWORKS[name], **changes}), (1, 28, 28), seeded(seed))


def epoch_settings(images: NDArray[np.uint8], epochs: int, **changes: Any) -> Train:
    """Return params.yaml's settings, with `changes`, for so many epochs of `images`."""
    settings = train_settings(**changes)
    return settings.model_copy(update={"steps": steps_of(epochs, images, settings.batch_size)})


def fit_epochs(model: Any, images: NDArray[np.uint8], settings: Train, on_epoch: Callable[[], object]) -> None:
    """Train on `images`; call `on_epoch` at the end of every epoch."""
    epoch, steps = steps_of(1, images, settings.batch_size), count(1)
    fit_network(model, images, settings, on_batch=lambda: next(steps) % epoch or on_epoch())


def epoch_ends(model: Any, images: NDArray[np.uint8], settings: Train) -> list[float]:
    """Train on `images` and return the time at the end of every epoch."""
    ends: list[float] = []
    fit_epochs(model, images, settings, lambda: ends.append(time.perf_counter()))
    return ends


def measure_training(options: Options) -> list[Measurement]:
    """Train `network` with params.yaml's settings, changed by `train`; stop where `target` is reached.

    Everything that the stage `train` does before and in training counts, but for checkpoints and MLflow.
    """
    images = training_images(options)
    settings = epoch_settings(images, **options["train"], seed=options["round"])
    model = network(options["network"], seed=options["round"])
    clock = TrainingClock(options, model.posterior, model.decode)
    clock.start()
    initialise(model, images)
    with suppress(TargetReached):
        fit_epochs(model, images, settings, clock.epoch_ended)
    return clock.rows(len(images), resolve_precision(settings.precision, CPU))


# The step and its matrix products


def products_of(model: Any, x: Tensor, dtype: torch.dtype) -> list[Callable[[], Sequence[Tensor]]]:
    """Return the matrix products (or convolutions) of a training step on the images `x`, a call for each layer.

    A call multiplies forward, by the input, and by the weights, with the shapes of the step, without bias.
    """
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    hooks = [
        layer.register_forward_hook(lambda layer, inputs, output: calls.append((layer, inputs[0], output)))
        for layer in model.modules()
        if isinstance(layer, kinds)
    ]
    batch_loss(model, x, seeded(0))
    for hook in hooks:
        hook.remove()
    return [_products_of_layer(*call, dtype) for call in calls]


def _products_of_layer(
    layer: nn.Module, x: Tensor, output: Tensor, dtype: torch.dtype
) -> Callable[[], Sequence[Tensor]]:
    bare: Any = copy.deepcopy(layer).to(dtype)
    bare.bias = None
    given = x.detach().to(dtype).requires_grad_(x.requires_grad)  # the first layer's images need no gradient
    gradient = torch.full_like(output, 1e-3, dtype=dtype, requires_grad=False)
    wanted = [bare.weight, given] if x.requires_grad else [bare.weight]
    return lambda: torch.autograd.grad(bare.forward(given), wanted, gradient)


def seconds_of(products: list[Callable[[], Sequence[Tensor]]]) -> float:
    """Return the seconds of all `products` once."""
    timer = Timer(
        "for product in products: product()", globals={"products": products}, num_threads=torch.get_num_threads()
    )
    return timer.blocked_autorange(min_run_time=PRODUCTS_SECONDS).mean


def measure_step(options: Options) -> list[Measurement]:
    """Measure in every round a network's step at a batch size, then its products, in the same process."""
    rows = []
    for turn, (name, number), batch in product(range(1, options["repeats"] + 1), STEP_IMAGES.items(), STEP_BATCHES):
        images = training_images(options)[:number]
        images = images[: len(images) // batch * batch]  # no batch is smaller than the others
        settings = epoch_settings(images, 2, batch_size=batch)
        precision = resolve_precision(settings.precision, CPU)
        model = network(name)
        first, second = epoch_ends(model, images, settings)
        step = (second - first) * batch / len(images)
        x = next(Batches(images, batch, CPU).in_order())
        alone = seconds_of(products_of(model, x, torch.bfloat16 if precision == "bf16" else torch.float32))
        values = {
            "images_per_second": batch / step,
            "step_ms": 1000 * step,
            "products_ms": 1000 * alone,
            "products_share": alone / step,
        }
        rows += [Measurement(f"{name}, batch {batch}", metric, turn, of, precision) for metric, of in values.items()]
    return rows


# Growth


def measure_scaling(options: Options) -> list[Measurement]:
    """Measure in every round an epoch of each number of images, and of each number of latent dimensions."""
    precision = resolve_precision(train_settings().precision, CPU)
    base = training_images(options)[:SCALING_IMAGES]
    images = np.concatenate([base] * max(TIMES))
    cases = {f"images × {times}": (times, 20) for times in TIMES}
    cases |= {f"latent {latent}": (1, latent) for latent in LATENTS}
    rows = []
    # What the first training of a process pays for alone is in round 0.
    for turn, (subject, (times, latent)) in product(range(options["repeats"] + 1), cases.items()):
        model = network("mlp", latent=latent)
        start = time.perf_counter()
        some = images[: times * len(base)]
        [end] = epoch_ends(model, some, epoch_settings(some, 1))
        rows.append(Measurement(subject, "epoch_seconds", turn, end - start, precision))
    return [row for row in rows if row.round]


# Evaluation


def measure_evaluation(options: Options) -> list[Measurement]:
    """Measure the stage `evaluate` with hardly any NLL, and the NLL alone, of the `vae` that the pipeline trained."""
    raw, data = read_params(ROOT / "params.yaml"), ROOT / "data"
    raw["evaluate"] |= {"importance_samples": 1, "importance_images": 1}
    params, images = parse_params(raw), PreparedData(data / "prepared").split("test").images
    folder = ROOT / "models" / "vae"
    model: Any = load_trained(folder, CPU).model
    samples = 10 if options["quick"] else NLL_SAMPLES
    x = torch.tensor(images[:NLL_IMAGES]).float() / 255
    rows = []
    for turn in range(1, options["repeats"] + 1):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as out:
            evaluate(params, model=folder, data=data / "prepared", features=data / "features", out=Path(out) / "vae")
        middle = time.perf_counter()
        with torch.inference_mode():
            importance_weighted_bound(model, x, samples, seeded(0))
        seconds = {
            f"{len(images):,} test images, no NLL": middle - start,
            f"NLL, K = {samples:,}, {NLL_IMAGES:,} images": time.perf_counter() - middle,
        }
        rows += [Measurement(subject, "seconds", turn, of, "fp32") for subject, of in seconds.items()]
    return rows


MEASURES = {
    "train": measure_training,
    "step": measure_step,
    "scaling": measure_scaling,
    "evaluation": measure_evaluation,
}

if __name__ == "__main__":
    run_script(lambda options: MEASURES[options["measure"]](options))
