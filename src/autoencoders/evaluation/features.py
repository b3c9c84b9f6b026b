"""Feature extractors for the Fréchet distance: a small classifier, or principal components where there are no labels.

The distance is comparable only within one extractor (it moves by up to 60 % between classifier seeds), so the pipeline
trains one per data set and pins it. Inception's features, which FID uses, suit neither 28x28 digits nor a test without
downloads. Without labels, or with one class alone to train on, `PcaFeatures` takes the first 64 principal components
of the training pixels: the distance then compares pixels' means and covariances in that subspace. It detects blur and
wrong brightness, but not wrong shapes.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from autoencoders.data.batches import EVAL_BATCH
from autoencoders.runtime.progress import progress
from autoencoders.training.optimiser import Adam, batch_and_steps, cosine_decay

Shape = tuple[int, int, int]

DIMENSIONS = 64
MIN_STEPS = 300
"""Steps of the classifier's training at least (see `batch_and_steps`)."""
MAX_LEARNING_RATE = 2e-3
MAX_GRID = 8  # FeatureNet halves the image until neither side is longer than this
MAX_PCA_PIXELS = 3072
"""Pixels that PcaFeatures decomposes exactly (32x32 RGB); larger images are average-pooled first."""


class _Extractor(nn.Module):
    """The common base of both extractors: features in batches, and a configuration that rebuilds the module."""

    kind: ClassVar[str]
    shape: Shape

    def embed(self, images: Tensor) -> Tensor:
        """Return features (B, d) of float images (B, C, H, W) in [0, 1]."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Return what `extractor_from_config` needs, JSON-ready; weights are in `state_dict`."""
        raise NotImplementedError

    @torch.no_grad()
    def features(self, images: Tensor) -> NDArray[np.float32]:
        """Return features (N, d) of images (N, C, H, W): float in [0, 1], or uint8, which is scaled.

        Raise `ValueError` where the images have another shape than the extractor was made for.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"the extractor takes images of shape {self.shape}, found {tuple(images.shape[1:])}")
        device = next(iter(self.state_dict().values())).device
        parts = [self.embed(_as_float(part.to(device))).float().cpu() for part in images.split(EVAL_BATCH)]
        return torch.cat(parts).numpy()


class FeatureNet(_Extractor):
    """A classifier of 16 and 32 channels, every convolution with stride 2, and a 64-D ReLU feature.

    Strides instead of pooling train three times faster on a CPU; five epochs reach .988 on MNIST's test images.
    Sides longer than 32 pixels get further convolutions, until the grid is at most 8x8. Images may have any shape.
    """

    kind = "classifier"

    def __init__(self, shape: Shape, classes: int, generator: torch.Generator | None = None) -> None:
        """`generator` draws the initial weights (default: seed 0). The global generator is not used."""
        super().__init__()
        self.shape, self.classes = shape, classes
        channels, height, width = shape
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):  # for torch's own first weights; `skip_init` imports sympy for 0.4 s
            for out, kernel in ((16, 5), (32, 3)):
                layers += [nn.Conv2d(channels, out, kernel, stride=2, padding=kernel // 2), nn.ReLU()]
                channels, height, width = out, (height + 1) // 2, (width + 1) // 2
            while max(height, width) > MAX_GRID:
                layers += [nn.Conv2d(channels, channels, 3, stride=2, padding=1), nn.ReLU()]
                height, width = (height + 1) // 2, (width + 1) // 2
            features = nn.Linear(channels * height * width, DIMENSIONS)
            self.body = nn.Sequential(*layers, nn.Flatten(), features, nn.ReLU())
            self.head = nn.Linear(DIMENSIONS, classes)
        generator = generator or torch.Generator().manual_seed(0)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_uniform_(parameter, nonlinearity="relu", generator=generator)

    def embed(self, images: Tensor) -> Tensor:
        """Return features (B, 64) of float images (B, C, H, W) in [0, 1]."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Return class logits (B, classes) of float images (B, C, H, W) in [0, 1]."""
        return self.head(self.embed(images))

    @torch.no_grad()
    def accuracy(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
        """Return the share of images uint8 (N, C, H, W) that get their label (N,)."""
        device = self.head.weight.device
        parts = torch.from_numpy(np.array(images)).split(EVAL_BATCH)
        classes = torch.cat([self(_as_float(part.to(device))).argmax(1).cpu() for part in parts])
        return float(np.mean(classes.numpy() == labels))

    def config(self) -> dict[str, Any]:
        """Return shape and number of classes."""
        return {"kind": self.kind, "shape": list(self.shape), "classes": self.classes}


class PcaFeatures(_Extractor):
    """Coordinates on the first principal components (at most 64) of the training pixels, unwhitened."""

    kind = "pca"
    mean: Tensor
    components: Tensor

    def __init__(self, shape: Shape, dimensions: int = DIMENSIONS) -> None:
        """Buffers are zero until fitted (`fit_pca_features`) or loaded."""
        super().__init__()
        self.shape = shape
        self.pool = _pool_factor(shape)
        pixels = shape[0] * -(-shape[1] // self.pool) * -(-shape[2] // self.pool)
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("components", torch.zeros(min(dimensions, pixels), pixels))  # rows, largest variance first

    def pixels(self, images: Tensor) -> Tensor:
        """Return the vectors (B, D) that are decomposed: images pooled to at most 3072 values, flattened."""
        return (F.avg_pool2d(images, self.pool, ceil_mode=True) if self.pool > 1 else images).flatten(1)

    def embed(self, images: Tensor) -> Tensor:
        """Return coordinates (B, d) of float images (B, C, H, W) in [0, 1]."""
        return (self.pixels(images) - self.mean) @ self.components.T

    def config(self) -> dict[str, Any]:
        """Return shape and number of components."""
        return {"kind": self.kind, "shape": list(self.shape), "dimensions": len(self.components)}


def extractor_from_config(config: Mapping[str, Any]) -> FeatureNet | PcaFeatures:
    """Build the extractor that `config` (from its `config()`) describes; load its `state_dict` next.

    Raise `ValueError` for an unknown kind.
    """
    kinds: dict[str, type[FeatureNet] | type[PcaFeatures]] = {kind.kind: kind for kind in (FeatureNet, PcaFeatures)}
    options = dict(config)
    kind, shape = options.pop("kind", None), options.pop("shape", ())
    if kind not in kinds:
        raise ValueError(f"unknown feature extractor {kind!r}; known: {', '.join(kinds)}")
    return kinds[kind](tuple(shape), **options)


def train_feature_net(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: int,
    epochs: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    batch: int = 256,
) -> FeatureNet:
    """Train a classifier on uint8 images (N, C, H, W) and labels (N,): cross-entropy, Adam, decayed to 0 (cosine).

    A small set gets more than `epochs`, and smaller batches, for at least `MIN_STEPS` steps.

    `generator` (a CPU one) draws initial weights and shuffles, so that equal seeds give equal weights on one machine.
    """
    inputs, targets = torch.from_numpy(np.array(images)).to(device), torch.from_numpy(np.array(labels)).to(device)
    channels, height, width = images.shape[1:]
    net = FeatureNet((channels, height, width), classes, generator)
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.4 times faster on a CPU
    optimiser = Adam(net.parameters())
    size, steps = batch_and_steps(len(inputs), batch, epochs, MIN_STEPS)
    step = 0
    with progress(total=steps, desc="features", unit="step", delay=1, mininterval=0.5) as bar:
        while step < steps:
            for index in torch.randperm(len(inputs), generator=generator).to(device).split(size):
                loss = F.cross_entropy(net(_as_float(inputs[index])), targets[index])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step(cosine_decay(MAX_LEARNING_RATE, step, steps))
                step += 1
                bar.update()
    return net.to(memory_format=torch.contiguous_format)  # safetensors requires it


@torch.no_grad()
def fit_pca_features(images: NDArray[np.uint8], dimensions: int = DIMENSIONS, batch: int = 4096) -> PcaFeatures:
    """Return the exact principal components of uint8 images (N, C, H, W): eigenvectors of their float64 covariance."""
    channels, height, width = images.shape[1:]
    extractor = PcaFeatures((channels, height, width), dimensions)
    chunks = range(0, len(images), batch)

    def pixels(start: int) -> Tensor:
        return extractor.pixels(_as_float(torch.from_numpy(np.array(images[start : start + batch])))).double()

    mean = torch.stack([pixels(start).sum(0) for start in chunks]).sum(0) / len(images)
    scatter = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for start in chunks:
        centred = pixels(start) - mean
        scatter += centred.T @ centred
    components = torch.linalg.eigh(scatter).eigenvectors.flip(1).T[: len(extractor.components)]
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    extractor.mean.copy_(mean)
    extractor.components.copy_(components * largest.sign())  # a component's sign is arbitrary: fix it
    return extractor


def _as_float(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.float() / 255


def _pool_factor(shape: Shape) -> int:
    """Return the smallest whole factor by which pooling leaves at most `MAX_PCA_PIXELS` values."""
    factor = 1
    while shape[0] * -(-shape[1] // factor) * -(-shape[2] // factor) > MAX_PCA_PIXELS:
        factor += 1
    return factor
