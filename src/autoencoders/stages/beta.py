"""Rung 6 of the ladder: what the constraint on a VAE's codes costs, by its weight β."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from autoencoders import tracking
from autoencoders.data.batches import Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.ladder.beta import Measured, measure, train_vae
from autoencoders.ladder.record import Rung, Series, check_place, save_rung
from autoencoders.models.vae import VAE
from autoencoders.params import Ladder, Params, Train
from autoencoders.plots.beta import beta_sweep
from autoencoders.runtime.progress import progress
from autoencoders.text import join_words
from autoencoders.training.device import describe, make_deterministic, resolve_device

BATCH = 1000
SHOWN = 8

Images = NDArray[np.float32]


class Point(NamedTuple):
    """One VAE of the sweep: its β, its measures, and what it draws, both (n, C, H, W)."""

    beta: float
    measured: Measured
    reconstructions: Images
    samples: Images


def beta(params: Params, *, data: Path, out: Path) -> None:
    """Train a small VAE for each of `ladder.beta.betas`, and write what they keep and what they lose to `out`."""
    check_place(out, "beta")
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    start = time.perf_counter()
    originals = np.array(prepared.split("test").images[:SHOWN])
    points = _sweep(prepared, params.ladder, torch.from_numpy(originals).to(device).float() / 255)
    rung = _rung(points, params.ladder, min(params.ladder.beta.images, prepared.info.counts["train"]))
    save_rung(
        out,
        rung,
        data=prepared.info,
        hardware=describe(device),
        seconds=time.perf_counter() - start,
        series=_series(points),
        figure=_figure(points, originals),
    )
    tracking.log_own_rung(params.tracking.experiment, out)
    units = ", ".join(f"{point.measured.active_units} at β = {point.beta:g}" for point in points)
    print(f"beta: active units of {params.ladder.beta.latent}: {units}")


def _sweep(prepared: PreparedData, ladder: Ladder, originals: Tensor) -> list[Point]:
    settings, device = ladder.beta, originals.device
    images = np.array(prepared.split("train").images[: settings.images])
    train = Batches(images, settings.batch_size, device)
    validation = Batches(prepared.split("val").images[:BATCH], BATCH, device)
    test = Batches(prepared.split("test").images, BATCH, device)
    mean = torch.from_numpy(images.mean(axis=0, dtype=np.float64) / 255).float()
    training = Train(
        seed=ladder.seed, epochs=settings.epochs, batch_size=settings.batch_size, learning_rate=settings.learning_rate,
        schedule="cosine", warmup=0.1, precision="fp32",
    )  # fmt: skip
    codes = torch.randn(len(originals), settings.latent, generator=torch.Generator().manual_seed(ladder.seed))
    betas = sorted(set(settings.betas))
    points = []
    with progress(
        total=len(betas) * settings.epochs * len(train), desc="beta", unit="step", delay=1, mininterval=0.5
    ) as bar:
        for weight in betas:
            bar.set_postfix_str(f"β = {weight:g}")
            model = train_vae(train, validation, mean, weight, settings, training, on_batch=bar.update)
            points.append(Point(weight, measure(model, test, ladder.seed), *_drawn(model, originals, codes.to(device))))
    return points


@torch.inference_mode()
def _drawn(model: VAE, originals: Tensor, codes: Tensor) -> tuple[Images, Images]:
    redrawn = model.decode(model.encode(originals))
    return redrawn.cpu().numpy(), model.decode(codes).cpu().numpy()


def _rung(points: Sequence[Point], ladder: Ladder, images: int) -> Rung:
    metrics: dict[str, float] = {}
    for weight, measured, *_ in points:
        kl = float(measured.kl.sum())
        metrics |= {
            f"beta-{weight:g}/kl": kl,
            f"beta-{weight:g}/recon": measured.recon,
            f"beta-{weight:g}/neg_elbo": measured.recon + kl,
            f"beta-{weight:g}/mse": measured.mse,
            f"beta-{weight:g}/active_units": float(measured.active_units),
        }
    settings = ladder.beta
    return Rung(
        name="beta",
        title="The price of the constraint",
        claim="The more weight the KL has, the less the code tells, until whole dimensions of it fall silent.",
        story=[_costs_told(len(points), images, ladder), _ends_told(points), _collapse_told(points, settings.latent)],
        alt=(
            "Four charts over the weight β: reconstruction against KL, KL of each latent dimension, active units, test "
            "error. Below them, a row for each β: reconstructions of test images, and decoded draws from N(0, I)."
        ),
        params={"seed": ladder.seed, **settings.model_dump()},
        metrics=metrics,
    )


def _costs_told(networks: int, images: int, ladder: Ladder) -> str:
    settings = ladder.beta
    return (
        "A VAE is trained to keep the sum of two costs down, both counted in nats (one nat is 1.44 bits): the "
        "reconstruction, which is what the redrawn image misses, and the KL, which is what the code tells of the image "
        "and so keeps it away from N(0, I), where one wants to draw codes from. The second has a weight, β. Here are "
        f"{networks} networks, one for each β, and alike in all else: {settings.latent} latent dimensions, "
        f"{images:,} training images, {settings.epochs} epochs."
    )


def _ends_told(points: Sequence[Point]) -> str:
    first, last = points[0], points[-1]
    best = min(points, key=lambda point: point.measured.recon + point.measured.kl.sum())
    return (
        f"{_told(first)} {_told(last)} In between, each β is a different bargain between the two. Their plain sum, "
        f"with a weight of 1 (the negative ELBO, which bounds how unlikely the model finds the test images), is least "
        f"for the network trained at β = {best.beta:g}: {best.measured.recon + best.measured.kl.sum():.1f} nats."
    )


def _told(point: Point) -> str:
    measured = point.measured
    return (
        f"At β = {point.beta:g} the code tells {measured.kl.sum():.1f} nats, the reconstruction misses "
        f"{measured.recon:.1f}, and the test error is {measured.mse:.4f} per pixel."
    )


def _collapse_told(points: Sequence[Point], latent: int) -> str:
    units = [point.measured.active_units for point in points]
    counts = join_words(
        [f"{count or 'none'} at β = {point.beta:g}" for count, point in zip(units, points, strict=True)]
    )
    told = (
        "A dimension is active where its code differs from image to image (by a variance of more than 0.01). Of "
        f"{latent} dimensions, active are {counts}. "
    )
    if not any(units):
        return told + "So at none of these β does the code say anything: whatever the image, it is drawn from N(0, 1)."
    if units[-1] >= units[0]:
        return told + "In this range of β no dimension falls silent; a larger one would show it."
    told += (
        "The others have collapsed: whatever the image, their code is drawn from N(0, 1), which costs no KL and says "
        "nothing. "
    )
    if units[-1] == 0:
        silent = next(point.beta for point in points if point.measured.active_units == 0)
        told += (
            f"From β = {silent:g} on all of them have (posterior collapse), and every image is redrawn as the same "
            "one, the average of all."
        )
    return told


def _series(points: Sequence[Point]) -> Series:
    """Return a row for each β, with a column for each dimension's KL."""
    return [
        {
            "beta": point.beta,
            "recon": point.measured.recon,
            "kl": point.measured.kl.sum(),
            "mse": point.measured.mse,
            "active_units": point.measured.active_units,
            **{f"kl {j}": value for j, value in enumerate(point.measured.kl, start=1)},
        }
        for point in points
    ]


def _figure(points: Sequence[Point], originals: NDArray[np.uint8]) -> Figure:
    measured = [point.measured for point in points]
    return beta_sweep(
        np.array([point.beta for point in points]),
        recon=np.array([one.recon for one in measured]),
        kl=np.stack([one.kl for one in measured]),
        mse=np.array([one.mse for one in measured]),
        active_units=np.array([one.active_units for one in measured]),
        originals=originals,
        reconstructions=np.stack([point.reconstructions for point in points]),
        samples=np.stack([point.samples for point in points]),
    )
