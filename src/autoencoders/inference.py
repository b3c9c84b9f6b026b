"""Using a trained model from Python: `from autoencoders import load_model`.

The commands of the same names (`autoencoders encode …`) do the same with files.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoencoders.data.batches import EVAL_BATCH
from autoencoders.data.catalog import FOLDER
from autoencoders.data.pictures import Intake, list_pictures, read_pictures
from autoencoders.data.prepared import FULL_SCALE
from autoencoders.errors import UserError
from autoencoders.evaluation.anomaly import AnomalyScores, anomaly_scores, concatenate
from autoencoders.model_folder import LoadedModel, load_trained
from autoencoders.models import all_finite
from autoencoders.params import KINDS
from autoencoders.training.device import resolve_device

Floats = Tensor | NDArray[Any]  # a torch tensor on any device or a numpy array, of floats

NO_IMAGES_FROM_NOTHING = (
    "Only a VAE holds its codes to N(0, I), from which they can be drawn. Use a VAE, or decode draws from a "
    "distribution fitted to codes of images (docs/using-models.md)."
)


class Neighbours(NamedTuple):
    """The nearest codes of each image, nearest first, each (N, count)."""

    indices: Tensor
    """int64, which codes they are."""
    distances: Tensor
    """Euclidean, in the latent space."""


class TrainedModel:
    """A trained model, ready to use.

    Images go in as floats (N, C, H, W) in [0, 1], codes as floats (N, latent): torch tensors or numpy arrays. uint8 is
    refused, since 0/1 masks and 0–255 pixels look the same: divide by 255. Results are float32 tensors on the CPU,
    whatever the device, so that `.numpy()` works and sets may be larger than a GPU's memory.
    Every method raises `UserError`, with what was expected and what was found, for any other input.
    """

    def __init__(self, trained: LoadedModel, device: torch.device) -> None:
        self.network = trained.model
        self.description = trained.description
        """What `model.json` says."""
        self.device = device
        self.name: str = trained.description["name"]
        """The model's name in params.yaml."""
        self.shape = trained.model.shape
        """Channels, height and width of its images."""
        self.latent = trained.model.latent
        """Dimensions of a code."""

    def __repr__(self) -> str:
        entry, (channels, height, width) = self.description["model"], self.shape
        kind = " ".join(filter(None, [KINDS[entry["kind"]].label, entry.get("arch")]))
        weights = sum(values.numel() for values in self.network.state_dict().values())
        return (
            f"TrainedModel({self.name!r}: {kind}, {channels}×{height}×{width} → {self.latent}, {weights:,} weights, "
            f"{self.description['dataset']['name']}, on {self.device})"
        )

    @property
    def weights_sha256(self) -> str:
        """The identity of the weights: codes of one model mean nothing to another."""
        return self.description["weights_sha256"]

    @property
    def intake(self) -> Intake:
        """What its image files become: a model of a folder takes any, and does with them what `prepare` did."""
        dataset = self.description["dataset"]
        # the last two as in models of earlier versions, or of images of 8 bits
        fit, full_scale = dataset.get("fit", "crop"), dataset.get("full_scale", FULL_SCALE)
        return Intake(self.shape, dataset["name"] == FOLDER, fit, full_scale)

    @property
    def thresholds(self) -> dict[str, float]:
        """`mse` and, of a VAE, `neg_elbo`, above which an image counts as an anomaly.

        The `quantile` of each over the validation split.
        """
        return self.description["anomaly"]

    def read_images(self, paths: str | Path | Iterable[str | Path]) -> Tensor:
        """Return image files, and those in folders, as images (N, C, H, W) in [0, 1], sorted within each folder.

        `paths` may also be a single path. A model of a folder of images brings files of any size and kind to its shape,
        as `prepare` did. For other models they must have its size and number of channels.
        """
        several = [paths] if isinstance(paths, str | Path) else paths
        return torch.cat(list(self.image_blocks(list_pictures(map(Path, several)))))

    def image_blocks(self, files: Sequence[Path]) -> Iterator[Tensor]:
        """Yield what `read_images` returns of `files`, a batch at a time."""
        for block in read_pictures(files, self.intake):
            yield torch.from_numpy(block).float() / 255

    def encode(self, images: Floats) -> Tensor:
        """Images (N, C, H, W) → codes (N, latent); a VAE's are the posterior means."""
        return self._blockwise(self.network.encode, self._images(images))

    def decode(self, z: Floats) -> Tensor:
        """Codes (N, latent), any finite numbers → images (N, C, H, W) in [0, 1]; what PCA draws outside is clipped."""
        return self._blockwise(self.network.decode, self._codes(z)).clamp_(0, 1)

    def reconstruct(self, images: Floats) -> Tensor:
        """Images (N, C, H, W) → what the decoder makes of their codes, the same shape."""
        return self.decode(self.encode(images))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return `n` new images (n, C, H, W), decoded from draws from N(0, I): a VAE's only.

        Drawn in batches of `EVAL_BATCH`: several calls for as many images with one generator give the same images.
        Raise `UserError` for other models: their codes lie elsewhere, and what they decode from N(0, I) is noise.
        """
        if not KINDS[self.description["model"]["kind"]].has_posterior:
            raise UserError(f"{self.name} cannot sample. {NO_IMAGES_FROM_NOTHING}")
        if not _whole(n) or n < 1:
            raise UserError(f"sample: expected n, a positive integer, found {n!r}.")
        counts = [min(EVAL_BATCH, n - start) for start in range(0, n, EVAL_BATCH)]
        draws = [torch.randn(count, self.latent, generator=generator, device=generator.device) for count in counts]
        return self.decode(torch.cat(draws))

    def interpolate(self, a: Floats, b: Floats, steps: int = 11) -> Tensor:
        """Return images (steps, C, H, W) decoded from the straight line between the codes of images a and b (C, H, W).

        The first and the last are the reconstructions of a and b.
        """
        if not _whole(steps) or steps < 2:
            raise UserError(f"interpolate: expected steps, an integer from 2 on, found {steps!r}.")
        for image in (a, b):
            if not isinstance(image, Tensor | np.ndarray):
                raise UserError(f"{self.name}: expected two images {self.shape}, found a {type(image).__name__}.")
            if tuple(image.shape) != self.shape:
                raise UserError(f"{self.name}: expected two images {self.shape}, found one of {tuple(image.shape)}.")
        first, last = self.encode(a[None]), self.encode(b[None])
        t = torch.linspace(0, 1, steps)[:, None]
        return self.decode((1 - t) * first + t * last)

    def neighbours(self, images: Floats, codes: Floats, count: int = 5) -> Neighbours:
        """Return the nearest of `codes` (M, latent), such as those of other images, to each image's code."""
        among = self._codes(codes)
        if not _whole(count) or not 1 <= count <= len(among):
            raise UserError(f"neighbours: expected a count from 1 to {len(among)} (the codes), found {count!r}.")
        exact = "donot_use_mm_for_euclid_dist"  # the other way, equal codes are not at distance 0
        rows = [torch.cdist(part, among, compute_mode=exact) for part in self.encode(images).split(EVAL_BATCH)]
        found = [torch.topk(all_finite(row, "distances"), count, largest=False) for row in rows]
        return Neighbours(torch.cat([part.indices for part in found]), torch.cat([part.values for part in found]))

    def anomaly_scores(self, images: Floats) -> AnomalyScores:
        """Return how unusual each image is: `mse` (N,) and, of a VAE, `neg_elbo` (N,)."""
        x = self._images(images)
        with torch.no_grad(), _full_precision(self.device):
            parts = [anomaly_scores(self.network, part.to(self.device)) for part in x.split(EVAL_BATCH)]
        scores = concatenate(parts)
        return AnomalyScores(scores.mse.cpu(), None if scores.neg_elbo is None else scores.neg_elbo.cpu())

    def anomalies(self, images: Floats) -> Tensor:
        """Return which images (N, C, H, W) are anomalies, bool (N,): their squared error is above its threshold."""
        return self.anomaly_scores(images).mse > self.thresholds["mse"]

    def _blockwise(self, function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        with torch.no_grad(), _full_precision(self.device):
            made = torch.cat([function(part.to(self.device)).cpu() for part in values.split(EVAL_BATCH)])
        if not made.isfinite().all():
            raise UserError(f"{self.name} gives NaN or infinity here: its weights, or the codes, are too large.")
        return made

    def _images(self, images: Floats) -> Tensor:
        expected = f"expected images (N, {', '.join(map(str, self.shape))}), floats in [0, 1],"
        x = self._floats(images, expected)
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape or len(x) == 0:
            hint = " A single image goes in as image[None]." if tuple(x.shape) == self.shape else ""
            raise UserError(f"{self.name}: {expected} found {tuple(x.shape)}.{hint}")
        low, high = x.min().item(), x.max().item()
        if not (low >= 0 and high <= 1):  # NaN compares false
            raise UserError(f"{self.name}: {expected} found values from {low:.4g} to {high:.4g}.")
        return x

    def _codes(self, z: Floats) -> Tensor:
        expected = f"expected codes (N, {self.latent}), finite floats,"
        values = self._floats(z, expected)
        if values.ndim != 2 or values.shape[1] != self.latent or len(values) == 0:
            raise UserError(f"{self.name}: {expected} found {tuple(values.shape)}.")
        if not values.isfinite().all():
            raise UserError(f"{self.name}: {expected} found NaN or infinity.")
        return values

    def _floats(self, values: Floats, expected: str) -> Tensor:
        """Return `values` as a float32 tensor on the CPU."""
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            return torch.from_numpy(np.require(values, np.float32, ["C", "W"]))
        if isinstance(values, Tensor) and values.is_floating_point():
            return values.detach().float().cpu()
        if not isinstance(values, Tensor | np.ndarray):
            raise UserError(f"{self.name}: {expected} as a tensor or an array, found {type(values).__name__}.")
        hint = " Divide by 255." if str(values.dtype).endswith("uint8") else ""
        raise UserError(f"{self.name}: {expected} found {values.dtype}.{hint}")


def load_model(source: str | Path, device: str = "auto") -> TrainedModel:
    """Return the trained model in the folder `source`, or at an MLflow URI.

    A URI is `models:/name@alias`, `models:/name/version`, `runs:/run/vae` or any other that MLflow can download from,
    in the store that MLFLOW_TRACKING_URI names (by default mlflow.db in the repository root). `device` is `auto` (a GPU
    where there is one), `cpu`, `cuda` or `cuda:N`.

    Raise `UserError` where there is no model, or one whose files are missing or damaged.
    """
    on = resolve_device(device)
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(source)):
        from autoencoders.tracking.registry import downloaded

        with downloaded(str(source)) as folder:
            return TrainedModel(load_trained(folder, on), on)
    return TrainedModel(load_trained(Path(source), on), on)


def _whole(number: object) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Return a context without TensorFloat-32 in cuDNN's convolutions: its ten bits of mantissa are too few."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False, fp32_precision=None)
