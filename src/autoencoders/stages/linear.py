"""Rung 4 of the ladder: a linear autoencoder is PCA, a nonlinear one is not."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from autoencoders import tracking
from autoencoders.data.batches import Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.evaluation.results import read_metrics
from autoencoders.ladder.linear import PcaCurve, mean_error, pca_curve, principal_angles, train_linear, turned_to
from autoencoders.ladder.record import Rung, save_rung
from autoencoders.models.blocks import Shape
from autoencoders.params import Ladder, Params, Train
from autoencoders.plots.linear import linear_and_pca
from autoencoders.plots.style import marked
from autoencoders.training.device import describe, make_deterministic, resolve_device
from autoencoders.words import compared, listed

BATCH = 1000
SHOWN = 8
CLOSE = 1e-3
"""Share of PCA's error within which the linear autoencoder's counts as the same."""

Nonlinear = Mapping[str, tuple[int, float]]
"""Name → latent dimensions, test MSE."""


@dataclass(frozen=True)
class Fit:
    """A linear autoencoder, measured."""

    mse: float
    angles: NDArray[np.float64]
    """(k,), degrees between its space and PCA's, smallest first"""
    basis: NDArray[np.float64]
    """(C·H·W, k), the decoder's columns"""


def linear(params: Params, *, data: Path, evaluation: Path, out: Path) -> None:
    """Train linear autoencoders, compare them with PCA, and these with the nonlinear ones that are in `evaluation`."""
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    nonlinear = {
        name: (entry.latent, read_metrics(evaluation / name)["mse"])
        for name, entry in params.models.items()
        if entry.kind == "autoencoder"
    }
    start = time.perf_counter()
    fits, curve = _measure(prepared, params.ladder, [latent for latent, _ in nonlinear.values()], device)
    rung = _rung(fits, curve, nonlinear, params.ladder, prepared.info.counts["train"])
    save_rung(
        out,
        rung,
        data=prepared.info,
        hardware=describe(device),
        seconds=time.perf_counter() - start,
        series=_series(fits, curve, nonlinear),
        figure=_figure(fits, curve, nonlinear, prepared.info.shape),
    )
    tracking.log_own_rung(params.tracking.experiment, out)
    print("linear: " + ", ".join(f"{key} {value:.4g}" for key, value in rung.metrics.items()))


def _measure(
    prepared: PreparedData, ladder: Ladder, others: list[int], device: torch.device
) -> tuple[dict[int, Fit], PcaCurve]:
    """Return latent dimensions → linear autoencoder, and PCA up to one component more than any model has."""
    settings, images = ladder.linear, prepared.split("train").images
    pixels = int(np.prod(prepared.info.shape))
    limit = min(pixels, len(images)) - 1  # from here on PCA's error is 0, and any basis spans its space
    latents = sorted({latent for latent in settings.latents if latent <= limit})
    if not latents:
        raise UserError(
            f"ladder.linear.latents: none of {settings.latents} is below {limit + 1}, the lesser of training images "
            f"({len(images)}) and values an image ({pixels}). Add a smaller one."
        )
    test = Batches(prepared.split("test").images, BATCH, device)
    curve = pca_curve(images, test, min(max([*latents, *others]) + 1, pixels))
    train = Batches(images, settings.batch_size, device)
    validation = Batches(prepared.split("val").images[:BATCH], BATCH, device)
    mean = torch.from_numpy(images.mean(axis=0, dtype=np.float64) / 255).float()
    training = Train(
        seed=ladder.seed, epochs=settings.epochs, batch_size=settings.batch_size, learning_rate=settings.learning_rate,
        schedule="cosine", warmup=0.1, precision="fp32",
    )  # fmt: skip
    fits = {}
    steps = len(latents) * settings.epochs * len(train)
    with tqdm(total=steps, desc="linear", unit="step", delay=1, mininterval=0.5) as bar:
        for latent in latents:
            model = train_linear(train, validation, mean, latent, training, on_batch=bar.update)
            angles = principal_angles(model.basis(), curve.components[:, :latent])
            fits[latent] = Fit(mean_error(model, test), angles, model.basis())
    return fits, curve


def _rung(fits: Mapping[int, Fit], curve: PcaCurve, nonlinear: Nonlinear, ladder: Ladder, images: int) -> Rung:
    metrics: dict[str, float] = {}
    for latent, fit in fits.items():
        pca = float(curve.mse[latent])
        metrics |= {
            f"k-{latent}/pca_mse": pca,
            f"k-{latent}/linear_mse": fit.mse,
            f"k-{latent}/excess_percent": 100 * (fit.mse / max(pca, 1e-12) - 1),
            f"k-{latent}/largest_angle": float(fit.angles[-1]),
        }
    for name, (latent, mse) in nonlinear.items():
        pca = float(curve.mse[latent])
        metrics |= {f"nonlinear/{name}/mse": mse, f"nonlinear/{name}/pca_mse": pca}
        metrics[f"nonlinear/{name}/less_than_pca_percent"] = 100 * (1 - mse / max(pca, 1e-12))
    return Rung(
        name="linear",
        title="An autoencoder without bends is PCA",
        claim="A linear autoencoder learns what PCA computes, and nothing better; a nonlinear one does better.",
        story=[_errors_told(fits, curve, images), _angles_told(fits, curve), _nonlinear_told(nonlinear, curve)],
        alt=(
            "Left: test error against latent dimensions, a falling curve for PCA, squares for linear autoencoders and "
            "triangles for nonlinear ones. Right: the angles between a linear autoencoder's space and PCA's. "
            "Below: PCA's components as images, the linear autoencoder's, and these turned towards PCA's."
        ),
        params={"seed": ladder.seed, **ladder.linear.model_dump()},
        metrics=metrics,
    )


def _errors_told(fits: Mapping[int, Fit], curve: PcaCurve, images: int) -> str:
    results = listed([
        f"{fit.mse:.5f} with {_numbers(latent)} (PCA {curve.mse[latent]:.5f}: "
        f"{_than_pca(fit.mse, curve.mse[latent])})"
        for latent, fit in fits.items()
    ])  # fmt: skip
    apart = [latent for latent, fit in fits.items() if fit.mse > (1 + CLOSE) * curve.mse[latent]]
    verdict = (
        f"With {listed([_numbers(latent) for latent in apart])} it has not come within 0.1 % of PCA here; "
        "more epochs bring it nearer."
        if apart
        else "Trained step by step, it has arrived where PCA gets by algebra."
    )
    return (
        "Principal component analysis (PCA) looks for the k directions in which the images differ most and keeps, "
        "of each image, its place along them: no linear code of k numbers has a smaller squared error on the images "
        "that it is made from. "
        "A linear autoencoder has one layer from the pixels to k numbers and one layer back, and nothing between "
        f"them that bends. Trained by its squared error on the same {images:,} images, it reaches a test error per "
        f"pixel of {results}. {verdict}"
    )


def _than_pca(value: float, reference: float) -> str:
    change = compared(value, reference)
    return change if change == "the same" else f"{change} than that"


def _numbers(latent: int) -> str:
    return f"{latent} number{'s' if latent > 1 else ''}"


def _angles_told(fits: Mapping[int, Fit], curve: PcaCurve) -> str:
    told = [
        "The code itself may be any mixture of PCA's numbers; what can be compared is the space that the decoder's "
        "images span. Principal angles say how far two such spaces are tilted against each other: 0° is no tilt, "
        "90° a direction that the other lacks altogether."
    ]
    largest = [f"{_degrees(fit.angles[-1])} with {_numbers(latent)}" for latent, fit in fits.items()]
    told.append(f"The largest angle is {listed(largest)}.")
    close = {k: fit for k, fit in fits.items() if fit.mse <= (1 + CLOSE) * curve.mse[k]}
    for latent in [k for k, fit in close.items() if fit.angles[-1] > 1][-1:]:
        gain, next_gain = -np.diff(curve.mse[latent - 1 : latent + 2])
        if next_gain > 0.5 * gain > 0:
            told.append(
                f"With {_numbers(latent)} that is at PCA's own error: component {latent} lowers it by {gain:#.2g}, and "
                f"component {latent + 1}, which is left out, would by {next_gain:#.2g}. Between neighbours that tell "
                "about as much, a space may lean from the one to the other and lose next to nothing, so training "
                "hardly turns it back."
            )
    return " ".join(told)


def _degrees(angle: float) -> str:
    return f"{angle:.0f}°" if angle >= 9.5 else f"{angle:.1f}°" if angle >= 0.95 else f"{angle:.2g}°"


def _nonlinear_told(nonlinear: Nonlinear, curve: PcaCurve) -> str:
    if not nonlinear:
        return (
            "So a linear autoencoder is PCA. A nonlinear one, with hidden layers that bend, is not: add an entry of "
            "kind `autoencoder` to `models` in params.yaml to see by how much."
        )
    results = listed([
        f"{name}, with {_numbers(latent)}, has a test error of {mse:.5f}, {compared(mse, curve.mse[latent])} "
        f"{'as' if compared(mse, curve.mse[latent]) == 'the same' else 'than'} PCA with as many"
        for name, (latent, mse) in nonlinear.items()
    ])  # fmt: skip
    better = all(mse < curve.mse[latent] for latent, mse in nonlinear.values())
    return f"So a linear autoencoder is PCA, but a nonlinear one, with hidden layers that bend, is not: {results}. " + (
        "What it gains, it gains by bending." if better else "Bending gains nothing by itself: it must be trained."
    )


def _series(fits: Mapping[int, Fit], curve: PcaCurve, nonlinear: Nonlinear) -> pd.DataFrame:
    """Return a row a measurement: test MSE by model and latent dimensions, and every principal angle."""
    rows: list[tuple[str, int, str, float]] = [("pca", k, "mse", mse) for k, mse in enumerate(curve.mse)]
    rows += [(name, latent, "mse", mse) for name, (latent, mse) in nonlinear.items()]
    for latent, fit in fits.items():
        rows.append(("linear", latent, "mse", fit.mse))
        rows += [("linear", latent, f"angle {i}", angle) for i, angle in enumerate(fit.angles, start=1)]
    return pd.DataFrame(rows, columns=["model", "latent", "quantity", "value"])


def _figure(fits: Mapping[int, Fit], curve: PcaCurve, nonlinear: Nonlinear, shape: Shape) -> Figure:
    latent, fit = max(fits.items())
    chosen = marked(latent, SHOWN)
    target = curve.components[:, :latent]

    def images(columns: NDArray[np.float64]) -> NDArray[np.float64]:
        return columns[:, chosen].T.reshape(-1, *shape)

    return linear_and_pca(
        curve.mse,
        {k: one.mse for k, one in fits.items()},
        nonlinear,
        {k: one.angles for k, one in fits.items()},
        [
            ("PCA", f"k = {latent}", images(target)),
            ("linear autoencoder", "as learned", images(fit.basis)),
            ("the same space", "turned towards PCA's", images(turned_to(target, fit.basis))),
        ],
        [int(i) + 1 for i in chosen],
    )
