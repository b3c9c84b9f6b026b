"""Rung 4: the linear autoencoder finds by training what PCA computes; how far apart the two are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.errors import UserError
from autoencoders.evaluation.results import read_metrics
from autoencoders.ladder.linear.autoencoder import mean_error, train_linear
from autoencoders.ladder.record import Result, Series
from autoencoders.models.blocks import Shape
from autoencoders.models.pca import PCA
from autoencoders.params import KINDS, Ladder, Params, Pca, Train
from autoencoders.runtime.progress import progress

if TYPE_CHECKING:
    from autoencoders.ladder.run import Inputs

Floats = NDArray[np.float64]
MIN_STEPS = 1200
"""A set of a few hundred images takes as many epochs as these make, and no more than a quarter of it in a step."""
NO_ERROR = 1e-8
"""Squared error per pixel that counts as none, a fortieth of a grey level: shares of it mean nothing."""
SAME_ERROR = 1e-3
"""Share of PCA's error within which the linear autoencoder's counts as the same."""
SAME_SPACE = 1.0
"""Degrees within which its space counts as PCA's."""


def measure(inputs: "Inputs") -> Result:
    """Train linear autoencoders, compare them with PCA, and PCA with the nonlinear autoencoders that were evaluated."""
    params, images = inputs.params, inputs.data.info.counts["train"]
    nonlinear = {
        name: (params.models[name].latent, read_metrics(inputs.evaluation / name)["mse"])
        for name in nonlinear_autoencoders(params)
    }
    training = _training(params.ladder, images)
    fits, curve = _fit(inputs, training, [latent for latent, _ in nonlinear.values()])
    metrics = _metrics(fits, curve, nonlinear)
    return Result(
        summary=", ".join(f"{key} {value:.4g}" for key, value in metrics.items()),
        params={
            "latents": list(fits),
            **training.model_dump(include={"seed", "epochs", "batch_size", "learning_rate"}),
        },
        metrics=metrics,
        facts=story_facts(fits, curve, nonlinear, images),
        series=_series(fits, curve, nonlinear),
        arrays=_arrays(fits, curve, inputs.data.info.shape),
    )


def nonlinear_autoencoders(params: Params) -> list[str]:
    """Return the names of the models that are networks with plain codes."""
    return [
        name
        for name, entry in params.models.items()
        if KINDS[entry.kind].can_sample and not KINDS[entry.kind].has_posterior
    ]


def share_above(value: float, reference: float) -> float:
    """Return by what share an error is above another; 0 where both are none."""
    return 0.0 if max(value, reference) <= NO_ERROR else value / max(reference, NO_ERROR) - 1


@dataclass(frozen=True)
class Fit:
    """A linear autoencoder, measured."""

    mse: float
    """Per pixel, on the test images"""
    train_mse: float
    angles: Floats
    """Degrees between its space and PCA's, smallest first: of k, those of the components that PCA finds"""
    basis: Floats
    """(C·H·W, k), the decoder's columns"""

    @property
    def largest_angle(self) -> float:
        """0° where there is nothing to compare."""
        return float(self.angles.max(initial=0))


@dataclass(frozen=True)
class PcaCurve:
    """PCA of the training images for every number of dimensions up to K."""

    components: Floats
    """(C·H·W, K), orthonormal, largest variance first"""
    mse: Floats
    """(K + 1,): error per pixel on the test images with 0 … K components"""
    train_mse: Floats
    """(K + 1,): the same on the images that it was made from, where no linear code has less"""

    def found(self, latent: int) -> int:
        """Return how many of the first `latent` components lower the error: any others are arbitrary directions."""
        return int((-np.diff(self.train_mse[: latent + 1]) > NO_ERROR).sum())


@torch.inference_mode()
def pca_curve(images: NDArray[np.uint8], train: Batches, test: Batches, largest: int) -> PcaCurve:
    """Fit PCA to `images` (N, C, H, W) and measure, in float64, what each component up to `largest` adds.

    `train` holds the same images, `test` others.
    """
    _, channels, height, width = images.shape
    pca = PCA(Pca(latent=largest), (channels, height, width))
    pca.fit(images)
    components, mean = pca.components.double(), pca.mean.double()
    return PcaCurve(components.T.numpy(), *(_left_by(components, mean, batches) for batches in (test, train)))


def _left_by(components: Tensor, mean: Tensor, images: Batches) -> Floats:
    """Return the error per pixel (K + 1,) that 0 … K of the `components` (K, C·H·W) leave."""
    total, explained, count = 0.0, torch.zeros(len(components), dtype=torch.float64), 0
    for x in images.in_order():
        centred = x.cpu().flatten(1).double() - mean
        total += centred.square().sum().item()
        explained += (centred @ components.T).square().sum(0)
        count += len(x)
    explained_by = torch.cat([torch.zeros(1, dtype=torch.float64), explained.cumsum(0)])
    return ((total - explained_by).clamp(min=0) / (count * len(mean))).numpy()


def principal_angles(a: Floats, b: Floats) -> Floats:
    """Return the angles, min(k, n), between the column spaces of `a` (D, k) and `b` (D, n), in degrees, smallest first.

    0° throughout: one space; 90°: a direction of one that is orthogonal to all of the other (Björck & Golub 1973).
    """
    from scipy.linalg import subspace_angles

    return np.degrees(subspace_angles(a, b))[::-1]


def turned_to(target: Floats, basis: Floats) -> Floats:
    """Return the orthonormal basis (D, k) of `basis`' column space that is nearest to the orthonormal `target` (D, k).

    Orthogonal Procrustes (Schönemann 1966).
    """
    orthonormal = np.linalg.qr(basis)[0]
    left, _, right = np.linalg.svd(orthonormal.T @ target)
    return orthonormal @ (left @ right)


Fits = Mapping[int, Fit]
"""Latent dimensions → linear autoencoder."""
Nonlinear = Mapping[str, tuple[int, float]]
"""Name → latent dimensions, test MSE."""


def _training(ladder: Ladder, images: int) -> Train:
    settings = ladder.linear
    size = min(settings.batch_size, max(images // 4, 1))
    return Train(
        seed=ladder.seed, epochs=max(settings.epochs, -(-MIN_STEPS // -(-images // size))), batch_size=size,
        learning_rate=settings.learning_rate, schedule="cosine", warmup=0.1, precision="fp32",
    )  # fmt: skip


def _fit(inputs: "Inputs", training: Train, others: Sequence[int]) -> tuple[dict[int, Fit], PcaCurve]:
    """Return the linear autoencoders, and PCA up to one component more than any model has."""
    settings, images = inputs.params.ladder.linear, inputs.data.split("train").images
    pixels = int(np.prod(inputs.data.info.shape))
    limit = min(pixels, len(images)) - 1  # from here on PCA's error is 0, and any basis spans its space
    latents = sorted({latent for latent in settings.latents if latent <= limit})
    if not latents:
        raise UserError(
            f"ladder.linear.latents: none of {settings.latents} is below {limit + 1}, the lesser of training images "
            f"({len(images)}) and values an image ({pixels}). Add a smaller one."
        )
    test = Batches(inputs.data.split("test").images, EVAL_BATCH, inputs.device)
    train = Batches(images, training.batch_size, inputs.device)
    curve = pca_curve(images, train, test, min(max([*latents, *others]) + 1, pixels))
    # The weights kept are the best on training images: those of PCA are, too.
    kept_by = Batches(images[:EVAL_BATCH], EVAL_BATCH, inputs.device)
    mean = torch.from_numpy(images.mean(axis=0, dtype=np.float64) / 255).float()
    fits = {}
    steps = len(latents) * training.epochs * len(train)
    with progress(total=steps, desc="linear", unit="step", delay=1, mininterval=0.5) as bar:
        for latent in latents:
            model = train_linear(train, kept_by, mean, latent, training, on_batch=bar.update)
            angles = principal_angles(model.basis(), curve.components[:, : curve.found(latent)])
            fits[latent] = Fit(mean_error(model, test), mean_error(model, train), angles, model.basis())
    return fits, curve


def _metrics(fits: Fits, curve: PcaCurve, nonlinear: Nonlinear) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for latent, linear in fits.items():
        pca = float(curve.mse[latent])
        metrics |= {
            f"k-{latent}/pca_mse": pca,
            f"k-{latent}/linear_mse": linear.mse,
            **_percent(f"k-{latent}/excess_percent", linear.mse, pca),
            **_percent(f"k-{latent}/train_excess_percent", linear.train_mse, float(curve.train_mse[latent])),
            f"k-{latent}/largest_angle": linear.largest_angle,
        }
    for name, (latent, error) in nonlinear.items():
        pca = float(curve.mse[latent])
        metrics |= {f"nonlinear/{name}/mse": error, f"nonlinear/{name}/pca_mse": pca}
        for key, percent in _percent(f"nonlinear/{name}/less_than_pca_percent", error, pca).items():
            metrics[key] = 0.0 - percent
    return metrics


def _percent(key: str, value: float, reference: float) -> dict[str, float]:
    """Return by how much an error is above another, in percent; nothing where it is above none."""
    return {} if value > NO_ERROR >= reference else {key: 100 * share_above(value, reference)}


def story_facts(fits: Fits, curve: PcaCurve, nonlinear: Nonlinear, images: int) -> dict[str, Any]:
    """Return what the story and the figure need: whether linear autoencoders have arrived at PCA, and by how much not.

    `verdict`: "alike" where the mean image alone draws all of the images that PCA is made from; "apart" where the
    error is another than PCA's; "error" where it is the same, and the space is not; "same" where both are.
    """
    facts = [_fit_facts(latent, linear, curve) for latent, linear in fits.items()]
    apart = [linear for linear in facts if linear["share_above"] > SAME_ERROR]
    verdict = "error" if any(linear["largest_angle"] > SAME_SPACE for linear in facts) else "same"
    if curve.train_mse[0] <= NO_ERROR:
        verdict = "alike"
    elif apart:
        verdict = "apart"
    return {
        "verdict": verdict,
        "images": images,
        "fits": facts,
        "nonlinear": [
            {"name": name, "latent": latent, "mse": error, "pca_mse": float(curve.mse[latent])}
            for name, (latent, error) in nonlinear.items()
        ],
        "same_error": SAME_ERROR,
        "same_space": SAME_SPACE,
        "no_error": NO_ERROR,
    }


def _fit_facts(latent: int, linear: Fit, curve: PcaCurve) -> dict[str, Any]:
    gain, next_gain = -np.diff(curve.train_mse[latent - 1 : latent + 2])
    return {
        "latent": latent,
        "mse": linear.mse,
        "pca_mse": float(curve.mse[latent]),
        "train_mse": linear.train_mse,
        "pca_train_mse": float(curve.train_mse[latent]),
        "share_above": share_above(linear.train_mse, float(curve.train_mse[latent])),
        "test_share_above": share_above(linear.mse, float(curve.mse[latent])),
        "largest_angle": linear.largest_angle,
        "found": curve.found(latent),
        "gain": float(gain),
        "next_gain": float(next_gain),
    }


def _series(fits: Fits, curve: PcaCurve, nonlinear: Nonlinear) -> Series:
    """Return a row a measurement: test MSE by model and latent dimensions, and every principal angle."""
    rows: list[tuple[str, int, str, float]] = [("pca", k, "mse", error) for k, error in enumerate(curve.mse)]
    rows += [(name, latent, "mse", error) for name, (latent, error) in nonlinear.items()]
    for latent, linear in fits.items():
        rows.append(("linear", latent, "mse", linear.mse))
        rows += [("linear", latent, f"angle {i}", angle) for i, angle in enumerate(linear.angles, start=1)]
    return [dict(zip(("model", "latent", "quantity", "value"), row, strict=True)) for row in rows]


def _arrays(fits: Fits, curve: PcaCurve, shape: Shape) -> dict[str, NDArray[Any]]:
    """Return PCA's errors, the angles, and of the largest linear autoencoder the components as images (k, C, H, W)."""
    latent, linear = max(fits.items())
    target = curve.components[:, :latent]
    components = {"pca": target, "linear": linear.basis, "turned": turned_to(target, linear.basis)}
    return {
        "pca": curve.mse,
        **{f"angles/{k}": fitted.angles for k, fitted in fits.items()},
        **{f"components/{name}": columns.T.reshape(-1, *shape) for name, columns in components.items()},
    }
