"""Rung 4: how close a trained linear autoencoder comes to PCA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.principal_components import principal_components
from autoencoders.errors import UserError
from autoencoders.evaluation.baseline import NO_ERROR
from autoencoders.evaluation.results import read_metrics
from autoencoders.ladder.linear.autoencoder import mean_error, train_linear
from autoencoders.ladder.linear.pca_curve import Floats, PcaCurve, pca_curve, principal_angles, turned_to
from autoencoders.ladder.record import Result, Series
from autoencoders.ladder.reduced import reduced, reduced_size
from autoencoders.models.blocks import Shape
from autoencoders.params import KINDS, Ladder, Params, Train
from autoencoders.runtime.progress import progress
from autoencoders.training.optimiser import batch_and_steps

if TYPE_CHECKING:
    from autoencoders.ladder.run import Inputs

MIN_STEPS = 1200
"""Steps of a training at least (see `batch_and_steps`)."""
SAME_ERROR = 1e-3
"""Relative difference from PCA's error up to which the linear autoencoder's counts as the same."""
SAME_SPACE = 1.0  # degrees up to which its space counts as PCA's


def measure(inputs: "Inputs") -> Result:
    """Compare linear autoencoders, trained here, and the nonlinear autoencoders that were evaluated with PCA.

    On reduced images the linear ones stand alone: the others saw the images as they are.
    """
    params, images = inputs.params, inputs.data.info.counts["train"]
    reduced_to = reduced_size(inputs.data.info.shape)
    nonlinear = {
        name: (params.models[name].latent, read_metrics(inputs.evaluation / name)["mse"])
        for name in nonlinear_autoencoders(params)
        if not reduced_to
    }
    begun = [name for name in nonlinear if params.models[name].begins_at_pca]
    training = _training(params.ladder, images)
    splits = {split: inputs.data.split(split).images for split in ("train", "test")}
    if reduced_to:
        splits = {split: reduced(larger) for split, larger in splits.items()}
    shape = splits["train"].shape[1:]
    fits, curve = _fit(inputs, splits, training, [latent for latent, _ in nonlinear.values()])
    metrics = _metrics(fits, curve, nonlinear)
    return Result(
        summary=", ".join(f"{key} {value:.4g}" for key, value in metrics.items()),
        params={
            "latents": list(fits),
            **training.model_dump(include={"seed", "steps", "batch_size", "learning_rate"}),
        },
        metrics=metrics,
        facts={**story_facts(fits, curve, nonlinear, begun, images), "reduced_to": reduced_to},
        series=_series(fits, curve, nonlinear),
        arrays=_arrays(fits, curve, shape),
    )


def nonlinear_autoencoders(params: Params) -> list[str]:
    """Return the names of the models that are networks with plain codes."""
    return [
        name
        for name, entry in params.models.items()
        if KINDS[entry.kind].can_sample and not KINDS[entry.kind].has_posterior
    ]


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


Fits = Mapping[int, Fit]  # latent dimensions → linear autoencoder
Nonlinear = Mapping[str, tuple[int, float]]  # name → latent dimensions, test MSE


def _training(ladder: Ladder, images: int) -> Train:
    settings = ladder.linear
    size, steps = batch_and_steps(images, settings.batch_size, settings.epochs, MIN_STEPS)
    return Train(
        seed=ladder.seed, steps=steps, batch_size=size,
        learning_rate=settings.learning_rate, schedule="cosine", warmup=0.1, precision="fp32",
    )  # fmt: skip


def _fit(
    inputs: "Inputs", splits: Mapping[str, NDArray[np.uint8]], training: Train, others: Sequence[int]
) -> tuple[dict[int, Fit], PcaCurve]:
    """Return the linear autoencoders, and PCA up to one component more than any model has."""
    settings, images = inputs.params.ladder.linear, splits["train"]
    shape = images.shape[1:]
    pixels = prod(shape)
    limit = min(pixels, len(images)) - 1  # from here on PCA's error is 0, and any basis spans its space
    latents = sorted({latent for latent in settings.latents if latent <= limit})
    if not latents:
        raise UserError(
            f"ladder.linear.latents: none of {settings.latents} is below {limit + 1}, the lesser of training images "
            f"({len(images)}) and values in an image ({pixels}). Add a smaller one."
        )
    test = Batches(splits["test"], EVAL_BATCH, inputs.device)
    train = Batches(images, training.batch_size, inputs.device)
    count = min(max([*latents, *others]) + 1, pixels)
    if shape == inputs.data.info.shape:
        components = inputs.data.principal_components(count)
    else:
        components = principal_components(images, count)
    curve = pca_curve(components, train, test)
    # The weights kept are the best on training images: those of PCA are, too.
    kept_by = Batches(images[:EVAL_BATCH], EVAL_BATCH, inputs.device)
    fits = {}
    with progress(total=len(latents) * training.steps, desc="linear", unit="step", delay=1, mininterval=0.5) as bar:
        for latent in latents:
            model = train_linear(train, kept_by, components, shape, latent, training, on_batch=bar.update)
            angles = principal_angles(model.basis(), curve.components[:, : curve.found(latent)])
            fits[latent] = Fit(mean_error(model, test), mean_error(model, train), angles, model.basis())
    return fits, curve


def share_above(value: float, reference: float) -> float:
    """Return the relative excess of an error over another; 0 where neither counts as an error."""
    return 0.0 if max(value, reference) <= NO_ERROR else value / max(reference, NO_ERROR) - 1


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
    """Return the excess of an error over another in percent; nothing where the other is no error."""
    return {} if value > NO_ERROR >= reference else {key: 100 * share_above(value, reference)}


def story_facts(fits: Fits, curve: PcaCurve, nonlinear: Nonlinear, begun: Sequence[str], images: int) -> dict[str, Any]:
    """Return what the story and the figure need: how close linear autoencoders come to PCA.

    `begun` names those of the `nonlinear` ones that began as PCA.

    `verdict`: "alike" where all training images equal their mean; "apart" where an error differs from PCA's; "error"
    where the errors are the same, but not the spaces; "same" where both are.
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
            {"name": name, "latent": latent, "mse": error, "pca_mse": pca, "better": error < (1 - SAME_ERROR) * pca}
            for name, (latent, error) in nonlinear.items()
            for pca in [float(curve.mse[latent])]
        ],
        "begun": list(begun),
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
    """Return a row for each measurement: test MSE by model and latent dimensions, and every principal angle."""
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
