"""Draw the figures of all models, always of the same test images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from autoencoders.data.prepared import PreparedData, Split
from autoencoders.evaluation.results import MEASURED, read_codes, read_dimensions, read_metrics
from autoencoders.files.results import apart, replaceable, result_folder
from autoencoders.model_folder import load_trained
from autoencoders.model_folder.history import read_history_table
from autoencoders.models import PCA, VAE, Autoencoder, Model
from autoencoders.params import Params, Plots
from autoencoders.plots.comparison import comparison
from autoencoders.plots.curves import loss_curves
from autoencoders.plots.interpolation import interpolations
from autoencoders.plots.kl import kl_per_dimension
from autoencoders.plots.latent_plane import learned_distribution, prediction, quantile_grid
from autoencoders.plots.reconstructions import reconstructions
from autoencoders.plots.samples import prior_samples
from autoencoders.plots.style import save
from autoencoders.stages.compare import comparison_table

Images = NDArray[np.float32]
CONTENTS = (
    *(f"{name}.png" for name in ("reconstructions", "samples", "comparison", "interpolations", "loss", "kl")),
    *(f"{name}--*.png" for name in ("prediction", "learned_distribution")),
)
CURVES = ("loss/*.csv", "kl/*.csv")
STEPS = 11
SAMPLES = 64


@dataclass(frozen=True)
class Measured:
    """A model with what the evaluation stored of it."""

    name: str
    model: Model
    history: pd.DataFrame | None
    metrics: dict[str, float]
    codes: NDArray[np.float32]
    dimensions: pd.DataFrame


@torch.inference_mode()
def plots(params: Params, *, data: Path, models: Path, evaluation: Path, out: Path, curves: Path) -> None:
    """Draw all figures of the entries of `params.models` into `out`, and write what DVC plots itself to `curves`.

    MLflow gets them from `report`.
    """
    apart(out, curves)
    for place, contents in ((out, CONTENTS), (curves, CURVES)):
        replaceable(place, contents)
    prepared = PreparedData(data)
    images = prepared.info.counts["test"]
    measured = [_read(name, models / name, evaluation / name, images) for name in params.models]
    with result_folder(curves, CURVES) as curves_draft, result_folder(out, CONTENTS) as draft:
        _write_curves(measured, curves_draft)
        _draw(params, prepared, measured, draft)
    print(f"plots: {len(list(out.glob('*.png')))} figures in {out}")


def _write_curves(measured: list[Measured], folder: Path) -> None:
    for kind in ("loss", "kl"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for one in measured:
        if one.history is not None:
            history = one.history.drop(columns=["seconds", "timestamp"])
            history.to_csv(folder / "loss" / f"{one.name}.csv", index=False)
        if "kl" in one.dimensions:
            named = [f"z{dimension:02}" for dimension in one.dimensions["dimension"]]  # DVC sorts them as text
            kl = one.dimensions[["dimension", "kl"]].assign(dimension=named)
            kl.to_csv(folder / "kl" / f"{one.name}.csv", index=False)


def _draw(params: Params, prepared: PreparedData, measured: list[Measured], out: Path) -> None:
    test = prepared.split("test")
    figures = _shared(params, measured, test)
    for one in measured:
        figures |= _of_one(params.plots, one, test, prepared.info.classes)
    for name, figure in figures.items():
        save(figure, out / f"{name}.png")


def _read(name: str, folder: Path, evaluation: Path, images: int) -> Measured:
    """Read what there is of a model and its evaluation on so many test images."""
    model = load_trained(folder).model
    columns = ["variance", "kl"] if isinstance(model, VAE) else ["variance"]
    return Measured(
        name,
        model,
        read_history_table(folder),
        read_metrics(evaluation, MEASURED),
        read_codes(evaluation, (images, model.latent)),
        read_dimensions(evaluation, model.latent, columns),
    )


def chosen_images(test: Split, count: int) -> NDArray[np.intp]:
    """Return the indices of `count` test images: the first of each class in turn, or simply the first ones."""
    if test.labels is None:
        return np.arange(min(count, len(test.images)))
    order = np.argsort(test.labels, kind="stable")
    rank = np.empty(len(order), dtype=np.intp)  # an image's place within its class
    _, starts, sizes = np.unique(test.labels[order], return_index=True, return_counts=True)
    rank[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    return np.lexsort((test.labels, rank))[:count]


def _shared(params: Params, measured: list[Measured], test: Split) -> dict[str, Figure]:
    chosen = chosen_images(test, params.plots.images)
    x = torch.from_numpy(test.images[chosen]).float() / 255
    originals = x.numpy()
    redrawn = {one.name: _numpy(one.model.decode(one.model.encode(x))) for one in measured}
    figures = {
        "reconstructions": reconstructions(originals, redrawn, {one.name: one.metrics["mse"] for one in measured}),
        "samples": prior_samples(
            {one.name: _draws(one.model, params.plots.seed) for one in measured if not isinstance(one.model, PCA)}
            or {one.name: _draws(one.model, params.plots.seed) for one in measured},
            {one.name: one.metrics["frechet/prior"] for one in measured},
        ),
        "comparison": _comparison(params, measured),
    }
    if len(x) > 1:
        ends = torch.stack([x[len(x) // 4], x[-len(x) // 4]])
        figures["interpolations"] = interpolations({one.name: _line(one.model, ends) for one in measured}, ends.numpy())
    if any(one.history is not None for one in measured):
        figures["loss"] = _curves(measured)
    if vaes := {one.name: one.dimensions for one in measured if "kl" in one.dimensions}:
        kl, variance = ({name: of[key].to_numpy() for name, of in vaes.items()} for key in ("kl", "variance"))
        figures["kl"] = kl_per_dimension(kl, variance)
    return figures


def _of_one(settings: Plots, one: Measured, test: Split, classes: list[str] | None) -> dict[str, Figure]:
    figures = {
        f"prediction--{one.name}": prediction(
            one.codes, test.labels, classes, f"{one.name}: test set in the latent plane",
            unit_gaussian=isinstance(one.model, VAE),
        )
    }  # fmt: skip
    if not isinstance(one.model, PCA) and one.model.latent >= 2:
        first, second = sorted(np.argsort(-one.codes.var(axis=0), kind="stable")[:2])
        z = torch.zeros(settings.grid**2, one.model.latent)
        z[:, [first, second]] = torch.from_numpy(quantile_grid(settings.grid)).float()
        title = f"{one.name}: learned distribution" + (
            ", the two widest dimensions (others 0)" if one.model.latent > 2 else ""
        )
        names = (_axis(first), _axis(second))
        quantiles = np.linspace(0.05, 0.95, settings.grid)
        figures[f"learned_distribution--{one.name}"] = learned_distribution(
            _numpy(one.model.decode(z)), quantiles, title, names
        )
    return figures


def _axis(dimension: int) -> str:
    return "z" + str(dimension + 1).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _draws(model: Model, seed: int) -> Images:
    z = torch.randn(SAMPLES, model.latent, generator=torch.Generator().manual_seed(seed))
    return _numpy(model.decode(z))


def _line(model: Model, ends: Tensor) -> Images:
    z = model.encode(ends)
    t = torch.linspace(0, 1, STEPS)[:, None]
    return _numpy(model.decode((1 - t) * z[0] + t * z[1]))


def _curves(measured: list[Measured]) -> Figure:
    histories, units = {}, {}
    for one in measured:
        if one.history is not None:
            histories[one.name] = one.history
            units[one.name] = _unit(one.model)
    return loss_curves(histories, units)


def _unit(model: Model) -> str:
    if isinstance(model, VAE):
        return "nats per image (Bernoulli)" if model.likelihood == "bernoulli" else "nats per image (Gaussian)"
    assert isinstance(model, Autoencoder)
    return "squared error per image" if model.reconstruction_loss == "mse" else "nats per image (Bernoulli)"


def _comparison(params: Params, measured: list[Measured]) -> Figure:
    table = comparison_table(params, {one.name: one.metrics for one in measured})
    pca = {one.model.latent: one.metrics["mse"] for one in measured if isinstance(one.model, PCA)}
    table["pca/mse"] = table["latent"].map(pca)
    return comparison(table.rename(columns={"mse": "test/mse"}), measured[0].metrics["frechet/floor"])


def _numpy(images: Tensor) -> Images:
    return images.clamp(0, 1).numpy()
