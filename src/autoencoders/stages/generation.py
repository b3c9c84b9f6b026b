"""Rung 5 of the ladder: the autoencoder cannot generate from N(0, I), the VAE can."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autoencoders import tracking
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.evaluation.generation import fit_mixture, standard_normal
from autoencoders.evaluation.results import MEASURED, read_metrics
from autoencoders.evaluation.sampling import Posterior, posterior_of
from autoencoders.ladder.generation import Spread, generated, spread_of
from autoencoders.ladder.record import Rung, Series, check_place, save_rung
from autoencoders.model_folder import load_trained
from autoencoders.models import Model
from autoencoders.params import Params
from autoencoders.plots.generation import generation as draw
from autoencoders.text import format_number, join_words
from autoencoders.training.device import describe, make_deterministic, resolve_device

TITLE = "Inventing images from N(0, I)"
CLAIM = "An autoencoder decodes N(0, I) to images of nothing; a VAE decodes it to images like those it was trained on."

COMPARED = ("frechet/prior", "frechet/gaussian", "frechet/mixture", "mmd", "ks")
"""What the rung tells of both models."""


@dataclass(frozen=True)
class Measured:
    """A model, what `evaluate` measured of it, and where its codes of the test images lie."""

    name: str
    model: Model
    metrics: Mapping[str, float]
    spread: Spread


def generation(params: Params, *, data: Path, models: Path, evaluation: Path, out: Path) -> None:
    """Draw from an autoencoder and a VAE of `models` that share a latent size, with what `evaluation` measured.

    Where there is no such pair, the rung's story says so.
    """
    check_place(out, "generation")
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    pair = comparable_pair(params)
    start = time.perf_counter()
    rung, series, figure = (
        _compare(pair, prepared, models, evaluation, params, device) if pair else (_no_pair(params), None, None)
    )
    seconds = time.perf_counter() - start
    save_rung(out, rung, data=prepared.info, hardware=describe(device), seconds=seconds, series=series, figure=figure)
    tracking.log_own_rung(params.tracking.experiment, out)
    print("generation: " + (", ".join(f"{key} {value:.4g}" for key, value in rung.metrics.items()) or rung.story[0]))


def _compare(
    pair: tuple[str, str], prepared: PreparedData, models: Path, evaluation: Path, params: Params, device: torch.device
) -> tuple[Rung, Series, Figure]:
    ae, vae = (_read(name, models / name, evaluation / name, prepared, params, device) for name in pair)
    return _rung(ae, vae, params), _series(ae, vae), _figure(ae, vae, prepared, params, device)


def comparable_pair(params: Params) -> tuple[str, str] | None:
    """Return the first autoencoder and the first VAE of the largest latent size that both kinds have, if any."""
    first: dict[tuple[str, int], str] = {}
    for name, entry in params.models.items():
        first.setdefault((entry.kind, entry.latent), name)
    shared = [latent for kind, latent in first if kind == "autoencoder" and ("vae", latent) in first]
    return (first["autoencoder", max(shared)], first["vae", max(shared)]) if shared else None


def _read(
    name: str, folder: Path, evaluation: Path, prepared: PreparedData, params: Params, device: torch.device
) -> Measured:
    trained = load_trained(folder, device)
    if trained.description["dataset"]["content_hash"] != prepared.info.content_hash:
        raise UserError(f"{folder} was trained on other data than {prepared.root} holds. Train it again.")
    return Measured(
        name,
        trained.model,
        read_metrics(evaluation, (*MEASURED, *COMPARED)),
        spread_of(_posterior(trained.model, "test", prepared, device).sample(params.evaluate.seed)),
    )


@torch.inference_mode()
def _posterior(model: Model, split: str, prepared: PreparedData, device: torch.device) -> Posterior:
    return posterior_of(model, prepared.split(split), device)


def _figure(ae: Measured, vae: Measured, prepared: PreparedData, params: Params, device: torch.device) -> Figure:
    settings, shown = params.evaluate, params.ladder.generation.images
    codes = _posterior(ae.model, "train", prepared, device).mean.cpu().numpy()
    mixture = fit_mixture(codes, settings.mixture_components, settings.seed)
    prior = standard_normal(ae.model.latent)
    images = [
        generated(model, source, params.features.images, shown, settings.seed, device)
        for model, source in ((ae.model, prior), (vae.model, prior), (ae.model, mixture))
    ]
    distances = [ae.metrics["frechet/prior"], vae.metrics["frechet/prior"], ae.metrics["frechet/mixture"]]
    names = [f"{ae.name}, z from N(0, I)", f"{vae.name}, z from N(0, I)", f"{ae.name}, z from a mixture"]
    real = np.array(prepared.split("test").images[:shown])
    panels: list[tuple[str, str, NDArray[Any]]] = [
        ("test images", f"floor of the distance {format_number(ae.metrics['frechet/floor'])}", real)
    ]
    panels += [
        (name, f"Fréchet distance {format_number(distance)}", drawn)
        for name, distance, drawn in zip(names, distances, images, strict=True)
    ]
    return draw(panels, {one.name: (one.spread.mean, one.spread.low, one.spread.high) for one in (ae, vae)})


def _rung(ae: Measured, vae: Measured, params: Params) -> Rung:
    metrics = {"frechet_floor": ae.metrics["frechet/floor"]}
    for kind, one in (("autoencoder", ae), ("vae", vae)):
        for key in COMPARED:
            metrics[f"{kind}/{key.replace('/', '_')}"] = one.metrics[key]
        metrics[f"{kind}/smallest_std"] = float(one.spread.std.min())
        metrics[f"{kind}/largest_std"] = float(one.spread.std.max())
        metrics[f"{kind}/largest_mean"] = float(np.abs(one.spread.mean).max())
    return Rung(
        name="generation",
        title=TITLE,
        claim=CLAIM,
        story=[_question_told(ae, vae, params), _answer_told(ae, vae), _footnote_told(ae, vae, params)],
        alt=(
            f"Four panels of images: test images, draws of {ae.name} and of {vae.name} decoded from N(0, I), and draws "
            f"of {ae.name} from a fitted mixture. Below, for both models and each latent dimension, the range of the "
            "codes of the test images (of the VAE: draws from each image's Gaussian) beside that of N(0, 1)."
        ),
        params={"autoencoder": ae.name, "vae": vae.name, **params.ladder.generation.model_dump(),
                **params.evaluate.model_dump(include={"seed", "mixture_components"}),
                "generated": params.features.images},
        metrics=metrics,
    )  # fmt: skip


def _question_told(ae: Measured, vae: Measured, params: Params) -> str:
    latent = ae.model.latent
    return (
        f"Both {ae.name}, an autoencoder, and {vae.name}, a variational autoencoder (VAE), keep {latent} "
        f"number{'s' if latent > 1 else ''} of an image, its code, and redraw the image from them. A decoder can also "
        "be given a code that belongs to no image. The plainest place to draw one from is N(0, I): each number by "
        "itself, around 0, with a standard deviation of 1. How like real images the results are is said by the Fréchet "
        f"distance between {params.features.images:,} of them and the test images: the less, the better. Real "
        f"images from outside the test set have {format_number(ae.metrics['frechet/floor'])}. "
        "(The distance is taken in the features of a classifier trained for this data set. Another classifier, even "
        "the same with another seed, gives other numbers: they compare within one only.)"
    )


def _answer_told(ae: Measured, vae: Measured) -> str:
    first, second = ae.metrics["frechet/prior"], vae.metrics["frechet/prior"]
    nearer = f"{format_number(first / second)} times nearer" if first > second > 0 else "here the VAE does no better"
    return (
        f"Decoded from N(0, I), {ae.name} has a distance of {format_number(first)}, "
        f"{vae.name} of {format_number(second)}: {nearer}. "
        f"Nothing told the autoencoder where to put its codes: dimension by dimension, {_whereabouts(ae.spread)}. The "
        "VAE pays in training for every departure from N(0, I). Its encoder answers with a Gaussian for each image, "
        f"and a code is a draw from that; of these draws, {_whereabouts(vae.spread)}. The maximum mean discrepancy, "
        "which says in one number how far all codes together are from N(0, I) (0: not at all), is "
        f"{ae.metrics['mmd']:.3f} for {ae.name} and {vae.metrics['mmd']:.3f} for {vae.name}."
    )


def _whereabouts(spread: Spread) -> str:
    return (
        f"the standard deviation runs from {spread.std.min():.2f} to {spread.std.max():.2f}, and the mean lies up to "
        f"{np.abs(spread.mean).max():.2f} from 0"
    )


def _footnote_told(ae: Measured, vae: Measured, params: Params) -> str:
    mixture, prior = ae.metrics["frechet/mixture"], vae.metrics["frechet/prior"]
    return (
        "A footnote: an autoencoder's codes do lie somewhere, and one can look afterwards. Decoded from a mixture of "
        f"{params.evaluate.mixture_components} Gaussians fitted to the codes of the training images, {ae.name} has a "
        f"distance of {format_number(mixture)}, "
        f"{'less' if mixture < prior else 'no less'} than {vae.name} from N(0, I). "
        f"(From a mixture fitted to its own codes, {vae.name} has "
        f"{format_number(vae.metrics['frechet/mixture'])}.) So an "
        "autoencoder can generate too, once one knows where; of a VAE one knows it before the training begins."
    )


def _series(ae: Measured, vae: Measured) -> Series:
    """Return a row for each model and latent dimension."""
    return [
        {"model": one.name, "dimension": z + 1, **{name: values[z] for name, values in vars(one.spread).items()}}
        for one in (ae, vae)
        for z in range(one.model.latent)
    ]


def _no_pair(params: Params) -> Rung:
    told = []
    for kind, name in (("autoencoder", "autoencoders"), ("vae", "VAEs")):
        sizes = sorted({entry.latent for entry in params.models.values() if entry.kind == kind})
        told.append(f"{name} with {join_words([str(size) for size in sizes])} dimensions" if sizes else f"no {name}")
    return Rung(
        name="generation",
        title=TITLE,
        claim=CLAIM,
        story=[
            "To compare what they invent takes an autoencoder and a VAE with equally many latent dimensions. Among the "
            f"models of params.yaml are {join_words(told)}: add one, and this rung is drawn."
        ],
        alt="",
        params={},
        metrics={},
    )
