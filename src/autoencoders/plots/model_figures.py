"""The figures of trained and evaluated models, by name: those that show all of them, and those of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from autoencoders.data.prepared import Split
from autoencoders.models import Model
from autoencoders.params import KINDS, ModelParams, Plots
from autoencoders.params.models import Kind
from autoencoders.plots.comparison import comparison
from autoencoders.plots.curves import loss_curves
from autoencoders.plots.error_spread import error_spread
from autoencoders.plots.kl import kl_per_dimension
from autoencoders.plots.latent_plane import learned_distribution, normal_quantiles, plane_grid, prediction
from autoencoders.plots.model_images import interpolations, prior_samples, reconstructions
from autoencoders.plots.style import subscripted

Images = NDArray[np.float32]
N_STEPS = 11
N_SAMPLES = 64


@dataclass(frozen=True)
class EvaluatedModel:
    """A model with what the evaluation stored of it."""

    name: str
    entry: ModelParams
    model: Model
    history: pd.DataFrame | None
    metrics: dict[str, float]
    codes: NDArray[np.float32]
    errors: NDArray[np.float32]
    dimensions: pd.DataFrame

    @property
    def kind(self) -> Kind:
        """What the registry says of its kind."""
        return KINDS[self.entry.kind]


def figures_of_all(
    models: Sequence[EvaluatedModel], table: pd.DataFrame, test: Split, classes: list[str] | None, settings: Plots
) -> dict[str, Figure]:
    """Return the figures that show all models, always of the same test images.

    `table`: a row a model, in their order, with its measures and `latent` (dimensions).
    """
    chosen = chosen_images(test, settings.images)
    x = torch.from_numpy(test.images[chosen]).float() / 255
    redrawn = {model.name: _numpy(model.model.decode(model.model.encode(x))) for model in models}
    samplers = [model for model in models if model.kind.can_sample] or models
    figures = {
        "reconstructions": reconstructions(x.numpy(), redrawn, {model.name: model.metrics["mse"] for model in models}),
        "samples": prior_samples(
            {model.name: _draws(model.model, settings.seed) for model in samplers},
            {model.name: model.metrics["frechet/prior"] for model in models},
        ),
        "comparison": _comparison(models, table),
        "errors": error_spread({model.name: model.errors for model in models}, test.labels, classes),
    }
    if len(x) > 1:
        ends = torch.stack([x[len(x) // 4], x[-len(x) // 4]])
        lines = {model.name: _line(model.model, ends) for model in models}
        figures["interpolations"] = interpolations(lines, ends.numpy())
    if histories := {model.name: model.history for model in models if model.history is not None}:
        figures["loss"] = loss_curves(
            histories, {model.name: model.model.loss_unit for model in models if model.name in histories}
        )
    if vaes := {model.name: model.dimensions for model in models if "kl" in model.dimensions}:
        kl, variance = ({name: of[key].to_numpy() for name, of in vaes.items()} for key in ("kl", "variance"))
        figures["kl"] = kl_per_dimension(kl, variance)
    return figures


def figures_of_one(model: EvaluatedModel, test: Split, classes: list[str] | None, settings: Plots) -> dict[str, Figure]:
    """Return the figures of a model: its codes in the latent plane, and what it draws across that."""
    title = f"{model.name}: test set in the latent plane"
    plane = prediction(model.codes, test.labels, classes, title, unit_gaussian=model.kind.has_posterior)
    figures = {f"prediction--{model.name}": plane}
    latent = model.model.latent
    if model.kind.can_sample and latent >= 2:
        widest = sorted(int(dimension) for dimension in np.argsort(-model.codes.var(axis=0), kind="stable")[:2])
        quantiles = np.linspace(0.05, 0.95, settings.grid)
        if model.kind.has_posterior:
            across = up = normal_quantiles(quantiles)
            rest, others = np.zeros(latent), "others 0"
        else:  # no training pulls its codes to N(0, I), where its images mean nothing
            across, up = np.quantile(model.codes[:, widest], quantiles, axis=0).T
            rest, others = np.median(model.codes, axis=0), "others at their median"
        z = np.tile(rest, (settings.grid**2, 1))
        z[:, widest] = plane_grid(across, up)
        figures[f"learned_distribution--{model.name}"] = learned_distribution(
            _numpy(model.model.decode(torch.from_numpy(z).float())),
            quantiles,
            (across, up),
            f"{model.name}: learned distribution" + (f", the two widest dimensions ({others})" if latent > 2 else ""),
            (subscripted("z", widest[0] + 1), subscripted("z", widest[1] + 1)),
            of_codes=not model.kind.has_posterior,
        )
    return figures


def chosen_images(test: Split, count: int) -> NDArray[np.intp]:
    """Return the indices of `count` test images: the first of each class in turn, or simply the first ones."""
    if test.labels is None:
        return np.arange(min(count, len(test.images)))
    order = np.argsort(test.labels, kind="stable")
    rank = np.empty(len(order), dtype=np.intp)  # an image's place within its class
    _, starts, sizes = np.unique(test.labels[order], return_index=True, return_counts=True)
    rank[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    return np.lexsort((test.labels, rank))[:count]


def _draws(model: Model, seed: int) -> Images:
    z = torch.randn(N_SAMPLES, model.latent, generator=torch.Generator().manual_seed(seed))
    return _numpy(model.decode(z))


def _line(model: Model, ends: Tensor) -> Images:
    z = model.encode(ends)
    t = torch.linspace(0, 1, N_STEPS)[:, None]
    return _numpy(model.decode((1 - t) * z[0] + t * z[1]))


def _comparison(models: Sequence[EvaluatedModel], table: pd.DataFrame) -> Figure:
    pca = {model.model.latent: model.metrics["mse"] for model in models if not model.kind.can_sample}
    measured = table.rename(columns={"mse": "test/mse"})
    measured["pca/mse"] = measured["latent"].map(pca)
    return comparison(measured, models[0].metrics["frechet/floor"])


def _numpy(images: Tensor) -> Images:
    return images.clamp(0, 1).numpy()
