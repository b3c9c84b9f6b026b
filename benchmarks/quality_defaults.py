"""How the pipeline's default models stand to PCA on several sets of images, five seeds each.

`quality.py --only defaults` runs it. The networks and their training are those of `ae` and `vae` in params.yaml, with
the code's length of the case and, for the VAE, the Gaussian likelihood.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from common import (
    ROOT,
    Images,
    format_number,
    markdown,
    measure,
    model_entry,
    new_model,
    read_csv,
    seeded,
    train_model,
    write_csv,
)
from numpy.typing import NDArray
from PIL import Image

from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.principal_components import PrincipalComponents, principal_components
from autoencoders.evaluation.baseline import mse_over_pca
from autoencoders.models import Model, n_components
from autoencoders.params import ModelParams, Params, load_params
from autoencoders.training.device import resolve_device

PHOTOGRAPHS = "photographs"
MODELS = {"ae": {}, "vae": {"likelihood": "gaussian"}}
"""Entry of params.yaml → what differs here."""
SEEDS = 5
COLUMNS = ("dataset", "latent", "model", "seed", "mse_over_pca", "neg_elbo", "ppca_neg_elbo", "cpu_seconds")
KEY = list(COLUMNS[:4])


class Case(NamedTuple):
    """A data set and the length of a code."""

    dataset: str
    latent: int
    target: float
    """The most that the autoencoder's squared error may be, divided by PCA's; a VAE's may not exceed 1."""


CASES = (
    Case("mnist", 16, 0.30),
    Case("fashion-mnist", 16, 0.52),
    Case("cifar10", 16, 0.95),
    Case("cifar10", 128, 0.98),
    Case(PHOTOGRAPHS, 32, 0.85),
)


def photographs(count: int = 1000, side: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """Return `count` colour images (N, 3, side, side) of one object: the flower that scikit-learn brings.

    They differ as photographs of one product do: in position, angle, size and brightness, and by noise.
    """
    from sklearn.datasets import load_sample_image

    flower, random, images = Image.fromarray(load_sample_image("flower.jpg")), np.random.default_rng(seed), []
    for _ in range(count):
        x, y = random.normal((320, 215), 10)
        half = 130 * (1 + random.normal(0, 0.03))
        turned = flower.rotate(random.normal(0, 4), Image.Resampling.BILINEAR, center=(x, y))
        box = (round(x - half), round(y - half), round(x + half), round(y + half))
        cut = np.asarray(turned.crop(box).resize((side, side), Image.Resampling.BILINEAR), np.float64)
        images.append(cut * (1 + random.normal(0, 0.06)) + random.normal(0, 3, cut.shape))
    return np.stack(images).round().clip(0, 255).astype(np.uint8).transpose(0, 3, 1, 2).copy()


def split(images: Images) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return training, validation and test images: the last 5,000 for training, a fifth at most, validate."""
    held_out = min(5000, len(images.train) // 5)
    return images.train[:-held_out], images.train[-held_out:], images.test


def benchmark(
    cases: Sequence[Case],
    out: Path,
    images_of: Callable[[str], Images],
    again: bool = False,
    seeds: int = SEEDS,
    steps: int | None = None,
) -> int:
    """Measure what the file `out` lacks of `cases`, print a table of all, and return how many targets are missed."""
    params, device = load_params(ROOT / "params.yaml"), resolve_device("auto")
    if again:
        write_csv(out, pd.DataFrame(columns=list(COLUMNS)))
    for case in cases:
        known = kept(out).index
        missing = [(name, seed) for name in MODELS for seed in range(seeds) if (*case[:2], name, seed) not in known]
        if not missing:
            continue
        train, validation, test = split(images_of(case.dataset))
        entries = {name: entry_of(params, name, case.latent) for name in MODELS}
        count = max(n_components(entry, train.shape[1:]) for entry in entries.values())
        components = principal_components(train, count)
        starts = {name: start_of(entry, components, test, device) for name, entry in entries.items()}
        for name, seed in missing:
            print(f"{case.dataset}, k = {case.latent}: {name}, seed {seed} …", file=sys.stderr, flush=True)
            settings = params.training_of(name).model_copy(update={"seed": seed, **({"steps": steps} if steps else {})})
            begun = time.process_time()
            model = train_model(entries[name], components, train, validation, settings, device)
            row = {
                "cpu_seconds": round(time.process_time() - begun, 1),
                **standing(model, components, test, device),
                "ppca_neg_elbo": starts[name],
            }
            rows = kept(out)
            rows.loc[(*case[:2], name, seed), list(row)] = list(row.values())
            write_csv(out, rows.sort_index().reset_index())
    return print_table(cases, kept(out))


def entry_of(params: Params, name: str, latent: int) -> ModelParams:
    """Return the entry `name` of params.yaml with a code of so many numbers."""
    return model_entry(**{**params.models[name].model_dump(), "latent": latent, **MODELS[name]})


def start_of(
    entry: ModelParams, components: PrincipalComponents, test: NDArray[np.uint8], device: torch.device
) -> float:
    """Return −ELBO of an entry's model before training, whatever its seed: its networks add nothing yet."""
    start = new_model(entry, test.shape[1:], seeded(0))
    start.initialise(components)
    return measure(start, test, device).get("neg_elbo", float("nan"))


def standing(
    model: Model, components: PrincipalComponents, test: NDArray[np.uint8], device: torch.device
) -> dict[str, float]:
    """Return how a trained model stands to PCA on the `test` images, and its −ELBO in nats."""
    measured, images = measure(model, test, device), Batches(test, EVAL_BATCH, device)
    ratio = mse_over_pca(measured["mse"], components.leading(model.latent), model.shape, images)
    nan = float("nan")
    return {"mse_over_pca": nan if ratio is None else ratio, "neg_elbo": measured.get("neg_elbo", nan)}


def kept(path: Path) -> pd.DataFrame:
    """Return the rows that were measured before, by data set, latent dimensions, model and seed."""
    return read_csv(path, COLUMNS).set_index(KEY)


def print_table(cases: Sequence[Case], rows: pd.DataFrame) -> int:
    """Print a line for each case and model, the worst seed against the target; return how many targets are missed."""
    lines, missed = [], 0
    for case in cases:
        for name in MODELS:
            runs = rows[[key[:3] == (case.dataset, case.latent, name) for key in rows.index]]
            ratio, target = runs["mse_over_pca"], case.target if name == "ae" else 1.0
            gain = runs["ppca_neg_elbo"] - runs["neg_elbo"]
            met = ratio.max() <= target and not (gain <= 0).any()
            missed += not met
            lines.append([
                case.dataset, str(case.latent), name, str(len(runs)),
                f"{ratio.mean():.3f} ± {ratio.std(ddof=0):.3f}", f"{ratio.max():.3f}", f"≤ {target:.2f}",
                "" if gain.isna().all() else f"{runs['neg_elbo'].mean():,.1f}",
                "" if gain.isna().all() else f"{runs['ppca_neg_elbo'].mean():,.1f}",
                "yes" if met else "no", format_number(runs["cpu_seconds"].mean()),
            ])  # fmt: skip
    headings = [
        "dataset", "k", "model", "seeds", "MSE / PCA", "worst", "target", "−ELBO", "of probabilistic PCA", "met",
        "CPU-s",
    ]  # fmt: skip
    print(markdown(headings, lines))
    print(f"\n{len(lines) - missed} of {len(lines)} targets met")
    return missed
