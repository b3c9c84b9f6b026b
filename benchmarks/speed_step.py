"""How fast is the project's training step, how fast are its matrix products alone, and what takes the rest?

Run by `speed.py` in a process of its own: `python speed_step.py '{"cases": …}'` prints rows as JSON. The step is
whatever `fit` does: this file times epochs from outside and knows the network's layers, nothing of the loop.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from speed_child import ROOT, Raw, child, images_of
from speed_contenders import OWN_BATCH
from torch import Tensor, nn

from autoencoders.data.batches import Batches
from autoencoders.models import VAE
from autoencoders.params import Train, Vae, load_params
from autoencoders.training.device import resolve_precision
from autoencoders.training.loop import fit

CPU = torch.device("cpu")
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "vae", "arch": "mlp", "hidden": [400], "latent": 20},
    "conv": {"kind": "vae", "arch": "conv", "hidden": [32, 64], "latent": 16},
    "keras": {"kind": "vae", "arch": "mlp", "hidden": [256], "latent": 2},
}
"""784-400-20-400-784; 1-32-64, stride 2, 16 latent dimensions; 784-256-2-256-784."""
IMAGES = {"mlp": 30_000, "conv": 6_000, "keras": 30_000}
"""Images in a timed epoch, rounded to whole batches."""
PRODUCTS_SECONDS = 0.5
PROFILED_STEPS = 30


class Case(NamedTuple):
    """A network at a batch size."""

    network: str
    batch_size: int

    @property
    def name(self) -> str:
        """Such as `mlp, batch 128`."""
        return f"{self.network}, batch {self.batch_size}"

    def settings(self, **changes: Any) -> Train:
        """Return the training settings of params.yaml at this batch size."""
        return default_settings(batch_size=self.batch_size, **changes)


CASES = tuple(Case(network, batch) for network in ("mlp", "conv") for batch in (128, OWN_BATCH))


def default_settings(**changes: Any) -> Train:
    """Return the section `train` of params.yaml, with `changes`."""
    settings = load_params(ROOT / "params.yaml").train
    return Train.model_validate({**settings.model_dump(), **changes})


def network(name: str, seed: int = 0, shape: tuple[int, int, int] = (1, 28, 28)) -> VAE:
    """Return the untrained network `name` of `NETWORKS`."""
    return VAE(Vae(**NETWORKS[name]), shape, torch.Generator().manual_seed(seed))


def epoch_seconds(model: VAE, images: NDArray[np.uint8], settings: Train) -> list[float]:
    """Train on `images` and return the seconds of every epoch but the first, in which everything is still cold.

    Validation, which `fit` must have, is on one image.
    """
    ends: list[float] = []
    unused = Batches(images[:1], 1, CPU)
    fit(
        model,
        Batches(images, settings.batch_size, CPU),
        unused,
        settings,
        on_epoch=lambda row: ends.append(time.perf_counter()),
    )
    return [end - start for start, end in itertools.pairwise(ends)]


def whole_batches(images: NDArray[np.uint8], count: int, batch_size: int) -> NDArray[np.uint8]:
    """Return about `count` of the `images`, so many that no batch of an epoch is smaller than the others."""
    return images[: max(1, min(count, len(images)) // batch_size) * batch_size]


class Layer(NamedTuple):
    """A layer with weights, and what a step gives it: input, and a gradient shaped as its output."""

    module: nn.Module
    x: Tensor
    gradient: Tensor
    passes_on: bool
    """Whether the backward pass needs the gradient of the input: the first layer's images need none."""


def layers_of(model: VAE, x: Tensor) -> list[Layer]:
    """Return the layers with weights as a training step on the images `x` meets them, in the order of the pass."""
    found: list[Layer] = []

    def keep(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        gradient = torch.full_like(output, 1e-3).detach()
        found.append(Layer(module, inputs[0].detach(), gradient, inputs[0].requires_grad))

    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    hooks = [one.register_forward_hook(keep) for one in model.modules() if isinstance(one, kinds)]
    noise = model.sample_noise(len(x), torch.Generator().manual_seed(0))
    model.loss(x, noise)
    for hook in hooks:
        hook.remove()
    return found


def products_of(layers: Iterable[Layer], dtype: torch.dtype) -> list[Callable[[], object]]:
    """Return the matrix products (or convolutions) of one step: forward, by the input, by the weights. No bias.

    Operands are cast and results allocated beforehand, so that a call costs what the product costs.
    """
    forward: list[Callable[[], object]] = []
    backward: list[Callable[[], object]] = []
    for layer in layers:
        x, gradient = layer.x.to(dtype), layer.gradient.to(dtype)
        weight = layer.module.weight.detach().to(dtype)  # type: ignore[operator]
        if isinstance(layer.module, nn.Linear):
            forward.append(_product(x, weight.t()))
            if layer.passes_on:
                backward.append(_product(gradient, weight))
            backward.append(_product(gradient.t(), x))
        else:
            forward.append(_convolution(layer.module, x, weight))
            backward.append(_convolution_backward(layer, x, weight, gradient))
    return forward + backward[::-1]


def _product(left: Tensor, right: Tensor) -> Callable[[], object]:
    out = left @ right
    return lambda: torch.mm(left, right, out=out)


def _geometry(module: Any) -> tuple[Any, ...]:
    transposed = isinstance(module, nn.ConvTranspose2d)
    return module.stride, module.padding, module.dilation, transposed, module.output_padding, module.groups


def _convolution(module: nn.Module, x: Tensor, weight: Tensor) -> Callable[[], object]:
    geometry = _geometry(module)
    return lambda: torch.ops.aten.convolution(x, weight, None, *geometry)


def _convolution_backward(layer: Layer, x: Tensor, weight: Tensor, gradient: Tensor) -> Callable[[], object]:
    geometry, wanted = _geometry(layer.module), [layer.passes_on, True, False]
    return lambda: torch.ops.aten.convolution_backward(gradient, x, weight, None, *geometry, wanted)


@torch.inference_mode()
def products_seconds(products: list[Callable[[], object]], at_least: float = PRODUCTS_SECONDS) -> float:
    """Return the seconds of all `products` once, a mean over as many passes as take `at_least` so long."""
    for product in products:
        product()
    passes, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < at_least:
        for product in products:
            product()
        passes += 1
    return spent / passes


MATRIX_OPS = ("mm", "addmm", "bmm", "convolution", "conv", "linear", "matmul")
GROUPS = ("products", "loss and other image-sized", "gather and cast", "optimiser", "small", "between operations")


def group_of(operation: str, largest: int, image_sized: int) -> str:
    """Return the group of a profiled operation: by its name, then by its `largest` input's number of elements."""
    name = operation.split("::")[-1].strip("_")
    if operation.split("::")[0] == "mkldnn" or any(name == op or name.startswith(f"{op}_") for op in MATRIX_OPS):
        return "products"
    if any(part in name for part in ("convolution", "conv2d", "conv_transpose")):
        return "products"
    if "adam" in name or name.startswith("foreach"):
        return "optimiser"
    if name in ("index_select", "index", "copy", "to", "to_copy", "div", "gather", "randperm", "take"):
        return "gather and cast"
    return "loss and other image-sized" if largest >= image_sized else "small"


def breakdown(case: Case, images: NDArray[np.uint8], steps: int = PROFILED_STEPS) -> dict[str, float]:
    """Return the share of a training step that each of `GROUPS` takes, as torch's profiler sees the second epoch.

    The profiler itself slows small operations and what is between operations: shares, not seconds.
    """
    settings = case.settings(epochs=2)
    model = network(case.network, shape=images.shape[1:])
    some = whole_batches(images, steps * settings.batch_size, settings.batch_size)
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True)
    times: list[float] = []

    def on_epoch(row: Mapping[str, float]) -> None:
        if row["epoch"] == 1:
            profiler.start()
            times.append(time.perf_counter())
        else:
            times.append(time.perf_counter())
            profiler.stop()

    fit(model, Batches(some, settings.batch_size, CPU), Batches(images[:1], 1, CPU), settings, on_epoch=on_epoch)
    total = times[1] - times[0]
    seconds = dict.fromkeys(GROUPS, 0.0)
    image_sized = settings.batch_size * some[0].size
    for event in profiler.key_averages(group_by_input_shape=True):
        sizes = [int(np.prod(shape)) for shape in event.input_shapes if isinstance(shape, list)]
        seconds[group_of(event.key, max(sizes, default=0), image_sized)] += event.self_cpu_time_total / 1e6
    seconds["between operations"] = max(0.0, total - sum(seconds.values()))
    return {group: value / total for group, value in seconds.items()}


def measure(repeats: int, images: NDArray[np.uint8], cases: Iterable[Case] = CASES) -> list[Raw]:
    """Return rows: in every round each case's step, then its products, in this process; one profile a case."""
    rows: list[Raw] = []
    cases = list(cases)
    for turn in range(1, repeats + 1):
        for case in cases:
            settings = case.settings(epochs=2)
            precision = resolve_precision(settings.precision, CPU)
            some = whole_batches(images, IMAGES[case.network], settings.batch_size)
            model = network(case.network, shape=images.shape[1:])
            seconds = epoch_seconds(model, some, settings)[0]
            step = seconds * settings.batch_size / len(some)
            x = next(Batches(some, settings.batch_size, CPU).in_order())
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            alone = products_seconds(products_of(layers_of(model, x), dtype))
            rows += [
                Raw(case.name, "images_per_second", turn, len(some) / seconds, precision),
                Raw(case.name, "step_ms", turn, 1000 * step, precision),
                Raw(case.name, "products_ms", turn, 1000 * alone, precision),
                Raw(case.name, "products_share", turn, alone / step, precision),
            ]
    for case in cases:
        precision = resolve_precision(case.settings().precision, CPU)
        for group, share in breakdown(case, images).items():
            rows.append(Raw(case.name, f"share of {group}", 1, share, precision))
    return rows


if __name__ == "__main__":
    child(lambda options: measure(options["repeats"], images_of(options["data"])[0]))
