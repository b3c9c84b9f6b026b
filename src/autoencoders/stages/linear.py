"""Rung 4 of the ladder: a linear autoencoder is PCA, a nonlinear one is not."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autoencoders import tracking
from autoencoders.data.batches import Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.evaluation.results import read_metrics
from autoencoders.ladder.linear import (
    NOTHING,
    Fit,
    PcaCurve,
    mean_error,
    pca_curve,
    principal_angles,
    share_above,
    train_linear,
    turned_to,
)
from autoencoders.ladder.linear_story import (
    TITLES,
    Nonlinear,
    angles_told,
    conclusion,
    errors_told,
    nonlinear_told,
    verdict,
)
from autoencoders.ladder.record import Rung, Series, check_place, save_rung
from autoencoders.models.blocks import Shape
from autoencoders.params import Ladder, Params, Train
from autoencoders.plots.linear import linear_and_pca
from autoencoders.plots.style import marked
from autoencoders.runtime.progress import progress
from autoencoders.training.device import describe, make_deterministic, resolve_device

BATCH = 1000
SHOWN = 8
LEAST_STEPS = 1200
"""A set of a few hundred images takes as many epochs as these make, and no more than a quarter of it in a step."""


def linear(params: Params, *, data: Path, evaluation: Path, out: Path) -> None:
    """Train linear autoencoders, compare them with PCA, and these with the nonlinear ones that are in `evaluation`."""
    check_place(out, "linear")
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    nonlinear = {
        name: (entry.latent, read_metrics(evaluation / name)["mse"])
        for name, entry in params.models.items()
        if entry.kind == "autoencoder"
    }
    start = time.perf_counter()
    training = _training(params.ladder, prepared.info.counts["train"])
    fits, curve = _measure(prepared, params.ladder, training, [latent for latent, _ in nonlinear.values()], device)
    rung = _rung(fits, curve, nonlinear, training, prepared.info.counts["train"])
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


def _training(ladder: Ladder, images: int) -> Train:
    settings = ladder.linear
    size = min(settings.batch_size, max(images // 4, 1))
    return Train(
        seed=ladder.seed, epochs=max(settings.epochs, -(-LEAST_STEPS // -(-images // size))), batch_size=size,
        learning_rate=settings.learning_rate, schedule="cosine", warmup=0.1, precision="fp32",
    )  # fmt: skip


def _measure(
    prepared: PreparedData, ladder: Ladder, training: Train, others: list[int], device: torch.device
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
    train = Batches(images, training.batch_size, device)
    curve = pca_curve(images, train, test, min(max([*latents, *others]) + 1, pixels))
    kept_by = Batches(images[:BATCH], BATCH, device)  # PCA, too, is the best there is on the training images
    mean = torch.from_numpy(images.mean(axis=0, dtype=np.float64) / 255).float()
    fits = {}
    steps = len(latents) * training.epochs * len(train)
    with progress(total=steps, desc="linear", unit="step", delay=1, mininterval=0.5) as bar:
        for latent in latents:
            model = train_linear(train, kept_by, mean, latent, training, on_batch=bar.update)
            angles = principal_angles(model.basis(), curve.components[:, : curve.found(latent)])
            fits[latent] = Fit(mean_error(model, test), mean_error(model, train), angles, model.basis())
    return fits, curve


def _rung(fits: Mapping[int, Fit], curve: PcaCurve, nonlinear: Nonlinear, training: Train, images: int) -> Rung:
    metrics: dict[str, float] = {}
    for latent, fit in fits.items():
        pca = float(curve.mse[latent])
        metrics |= {
            f"k-{latent}/pca_mse": pca,
            f"k-{latent}/linear_mse": fit.mse,
            **_percent(f"k-{latent}/excess_percent", fit.mse, pca),
            **_percent(f"k-{latent}/train_excess_percent", fit.train_mse, float(curve.train_mse[latent])),
            f"k-{latent}/largest_angle": fit.largest_angle,
        }
    for name, (latent, mse) in nonlinear.items():
        pca = float(curve.mse[latent])
        metrics |= {f"nonlinear/{name}/mse": mse, f"nonlinear/{name}/pca_mse": pca}
        for key, percent in _percent(f"nonlinear/{name}/less_than_pca_percent", mse, pca).items():
            metrics[key] = 0.0 - percent
    return Rung(
        name="linear",
        title=TITLES[verdict(fits, curve)],
        claim="A linear autoencoder learns what PCA computes, and nothing better; a nonlinear one does better.",
        story=[
            errors_told(fits, curve, images),
            angles_told(fits, curve),
            f"{conclusion(fits, curve)} {nonlinear_told(nonlinear, curve)}",
        ],
        alt=(
            "Left: test error against latent dimensions, a falling curve for PCA, squares for linear autoencoders and "
            "triangles for nonlinear ones. Right: the angles between a linear autoencoder's space and PCA's. "
            "Below: PCA's components as images, the linear autoencoder's, and these turned towards PCA's."
        ),
        params={
            "latents": list(fits),
            **training.model_dump(include={"seed", "epochs", "batch_size", "learning_rate"}),
        },
        metrics=metrics,
    )


def _percent(key: str, value: float, reference: float) -> dict[str, float]:
    """Return by how much an error is above another, in percent; nothing where it is above none."""
    return {} if value > NOTHING >= reference else {key: 100 * share_above(value, reference)}


def _series(fits: Mapping[int, Fit], curve: PcaCurve, nonlinear: Nonlinear) -> Series:
    """Return a row a measurement: test MSE by model and latent dimensions, and every principal angle."""
    rows: list[tuple[str, int, str, float]] = [("pca", k, "mse", mse) for k, mse in enumerate(curve.mse)]
    rows += [(name, latent, "mse", mse) for name, (latent, mse) in nonlinear.items()]
    for latent, fit in fits.items():
        rows.append(("linear", latent, "mse", fit.mse))
        rows += [("linear", latent, f"angle {i}", angle) for i, angle in enumerate(fit.angles, start=1)]
    return [dict(zip(("model", "latent", "quantity", "value"), row, strict=True)) for row in rows]


def _figure(fits: Mapping[int, Fit], curve: PcaCurve, nonlinear: Nonlinear, shape: Shape) -> Figure:
    latent, fit = max(fits.items())
    chosen = marked(latent, SHOWN)
    target = curve.components[:, :latent]

    def images(columns: NDArray[np.float64]) -> NDArray[np.float64]:
        return columns[:, chosen].T.reshape(-1, *shape)

    return linear_and_pca(
        TITLES[verdict(fits, curve)],
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
