"""Shared code of the benchmarks: images, the project's own training, files and tables of measured values."""

import argparse
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from autoencoders.data.batches import Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.data.principal_components import PrincipalComponents, principal_components
from autoencoders.errors import UserError, suggestion
from autoencoders.evaluation.likelihood import elbo_terms
from autoencoders.evaluation.reconstruction import mse
from autoencoders.files.results import atomic_file
from autoencoders.models import Model, build
from autoencoders.params import KINDS, ModelParams, Train, load_params, parse_params
from autoencoders.training.fitting import fit_in_steps
from autoencoders.training.loop import Progress, fit

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
CACHE = ROOT / ".cache" / "benchmarks"
CPU = torch.device("cpu")
EVAL_BATCH = 1000
MAX_SPREAD = 0.10
"""A run further than this share from the median is no repetition of the others, and tables mark it."""


class Images(NamedTuple):
    """Images uint8 (N, C, H, W): all that there are for training, and the official test images."""

    train: NDArray[np.uint8]
    test: NDArray[np.uint8]


@cache
def load_images(dataset: str, folder: Path = CACHE, mirror: str | None = None) -> Images:
    """Return all images of a data set, downloaded and prepared by the pipeline's stages where they are not yet.

    The validation image that `prepare` splits off is joined to the training images again.
    """
    from autoencoders.stages.download import download
    from autoencoders.stages.prepare import prepare

    prepared = folder / dataset / "prepared"
    if not (prepared / "dataset.json").exists():
        models = {"unused": {"kind": "pca", "latent": 1}}  # a params.yaml has a model, and these stages need none
        raw = {"data": {"name": dataset, "mirror": mirror}, "prepare": {"validation": 1}, "models": models}
        params = parse_params(raw, source="the benchmark's parameters")
        download(params, out=folder / dataset / "raw")
        prepare(params, raw=folder / dataset / "raw", out=prepared, card=folder / dataset / "card")
    data = PreparedData(prepared)
    train = np.concatenate([data.split(split).images for split in ("train", "val")])
    return Images(train, np.array(data.split("test").images))


# Training


def model_entry(**fields: Any) -> ModelParams:
    """Return an entry of `models` in params.yaml, validated, of its fields."""
    return KINDS[fields["kind"]].params(**fields)


def train_settings(**changes: Any) -> Train:
    """Return the section `train` of params.yaml, with `changes`."""
    settings = load_params(ROOT / "params.yaml").train
    return Train.model_validate({**settings.model_dump(), **changes})


def seeded(seed: int) -> torch.Generator:
    """Return a new generator."""
    return torch.Generator().manual_seed(seed)


def new_model(entry: ModelParams, shape: tuple[int, ...], generator: torch.Generator) -> Model:
    """Return the untrained model of an entry, for images of `shape` (C, H, W)."""
    channels, height, width = shape
    return build(entry, (channels, height, width), generator)


def batch_loss(model: Model, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """Return the loss of one training step on the images `x`."""
    return model.loss(x, model.sample_noise(len(x), noise))["loss"]


def initialise(model: Model, images: NDArray[np.uint8]) -> None:
    """Set the weights that the pipeline takes from the principal components of the training `images`."""
    model.initialise(principal_components(images, model.n_components))


def fit_network(
    model: Model,
    images: NDArray[np.uint8],
    settings: Train,
    device: torch.device = CPU,
    validation: NDArray[np.uint8] | None = None,
    **options: Any,
) -> Progress:
    """Train with the project's own loop. Validation, which it must have, is on one image where none is given."""
    validation_batches = Batches(images[:1] if validation is None else validation, EVAL_BATCH, device)
    return fit(model, Batches(images, settings.batch_size, device), validation_batches, settings, **options)


def steps_of(epochs: int, images: NDArray[np.uint8], batch_size: int) -> int:
    """Return the steps of so many epochs of `images`, whose last batch may be smaller."""
    return epochs * -(-len(images) // batch_size)


def train_model(
    entry: ModelParams,
    components: PrincipalComponents,
    images: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    settings: Train,
    device: torch.device,
) -> Model:
    """Return the model of an entry, trained on `images` as `train` does it; `components` are theirs."""
    model = new_model(entry, images.shape[1:], seeded(settings.seed))
    if entry.trained_in_steps:
        fit_in_steps(model, components, images, validation, settings, device)
    else:
        model.initialise(components)
    return model.to(device)


@torch.inference_mode()
def measure(model: Model, images: NDArray[np.uint8], device: torch.device = CPU) -> dict[str, float]:
    """Return `mse` and, where there is a posterior, `neg_elbo` (one sample of z) and `kl`: means over `images`."""
    model.to(device)
    noise = torch.Generator(device).manual_seed(0)
    values: dict[str, list[torch.Tensor]] = {}
    for x in Batches(images, EVAL_BATCH, device).in_order():
        values.setdefault("mse", []).append(mse(x, model(x)))
        if model.posterior(x)[1] is not None:
            terms = elbo_terms(model, x, noise)
            values.setdefault("neg_elbo", []).append(-terms.elbo)
            values.setdefault("kl", []).append(terms.kl)
    return {name: torch.cat(parts).double().mean().item() for name, parts in values.items()}


# The command line


def command_line(description: str | None, name: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark that keeps its values in the file `name`.csv."""
    parser = argparse.ArgumentParser(description=str(description).splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="CSV", help=f"default: benchmarks/{name}.csv")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"check in a minute that it works; values go to .cache/benchmarks/quick-{name}.csv",
    )
    return parser


def out_file(options: argparse.Namespace, name: str) -> Path:
    """Return the file for the measured values: --out, else the benchmark's own, else a new one for a quick run."""
    if options.out or not options.quick:
        return options.out or BENCHMARKS / f"{name}.csv"
    path = CACHE / f"quick-{name}.csv"
    path.unlink(missing_ok=True)
    return path


def some_of(names: str | None, known: Sequence[str]) -> list[str]:
    """Return the `known` names that an option lists, separated by commas, or all; raises `UserError`."""
    chosen = names.split(",") if names else list(known)
    for name in chosen:
        if name not in known:
            raise UserError(f"unknown {name!r}.{suggestion(name, known)} Known: {', '.join(known)}, apart by commas.")
    return chosen


# Files and tables


def read_csv(path: Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """Return the rows of a benchmark's CSV file, none where there is no such file; raises `UserError` on another's."""
    if not path.exists():
        return pd.DataFrame(columns=list(columns))
    rows = pd.read_csv(path, **options)
    if list(rows.columns) != list(columns):
        raise UserError(f"{path} is no table of this benchmark. Move it away, or name another with --out.")
    return rows


def write_csv(path: Path, rows: pd.DataFrame, **options: Any) -> None:
    """Replace a benchmark's CSV file as a whole."""
    with atomic_file(path) as draft:
        rows.to_csv(draft, index=False, lineterminator="\n", **options)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of cells; the first column to the left, the others to the right."""
    align = ("left", *["right"] * (len(columns) - 1))
    return pd.DataFrame(rows, columns=list(columns)).to_markdown(index=False, disable_numparse=True, colalign=align)


def format_number(value: float) -> str:
    """Return `value` to three significant digits, thousands apart."""
    rounded = float(f"{value:.3g}")
    magnitude = int(f"{rounded:e}".split("e")[1])
    return f"{rounded:,.{max(0, 2 - magnitude)}f}"


def spread(values: pd.Series) -> float:
    """Return the distance of the furthest value from the median, as a share of the median."""
    return (values / values.median() - 1).abs().max()


def format_runs(values: pd.Series) -> str:
    """Return the median of several runs and their spread, such as `33,000 ± 4 %`; `(!)` marks a large one."""
    around = f" ± {100 * spread(values):.0f} %" if len(values) > 1 else ""
    return format_number(values.median()) + around + mark_spread(values)


def mark_spread(values: pd.Series) -> str:
    """Return the mark of runs that are no repetitions of each other, empty where they are."""
    return " (!)" if spread(values) > MAX_SPREAD else ""


def machine(threads: int) -> dict[str, Any]:
    """Return what values were measured with, as columns of their file."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("model name\t: ")[2].partition("\n")[0]
    return {
        "threads": threads,
        "cores": os.cpu_count(),
        "processor": cpu or "unknown processor",
        "torch": torch.__version__.partition("+")[0],
    }
