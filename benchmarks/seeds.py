"""Train the networks of a params.yaml with several seeds: is the effect of a change larger than that of the seed?

    python benchmarks/seeds.py [--params FILE] [--seeds N] [--models A,B]

Call it with the file before a change and with the file after it, and compare. See benchmarks/README.md.
"""

import argparse
import sys
import time
from pathlib import Path

import torch_threads  # noqa: F401  # isort: skip  # before torch
from autoencoders.runtime.process import exit_code  # isort: skip

import numpy as np
import pandas as pd
from common import ROOT, markdown, measure, some_of, train_model

from autoencoders.data.prepared import PreparedData
from autoencoders.models import n_components
from autoencoders.params import Params, load_params
from autoencoders.training.device import make_deterministic, resolve_device

COLUMNS = {"mse": ("test MSE", 5), "neg_elbo": ("test −ELBO", 2), "kl": ("KL", 2), "cpu_seconds": ("CPU-s", 1)}
"""Measure → its heading, and the decimals that are shown."""


def train_and_measure(params: Params, name: str, seed: int, data: PreparedData) -> dict[str, float]:
    """Train the model `name` as the stage `train` would with this seed; return its test measures and CPU seconds."""
    device = resolve_device(params.device)
    make_deterministic(device)
    settings = params.training_of(name).model_copy(update={"seed": seed})
    start = time.process_time()
    entry, train, val = params.model(name), data.split("train").images, data.split("val").images
    components = data.principal_components(n_components(entry, data.info.shape))
    model = train_model(entry, components, train, val, settings, device)
    seconds = time.process_time() - start
    return {**measure(model, np.asarray(data.split("test").images), device), "cpu_seconds": seconds}


def table(measured: pd.DataFrame) -> str:
    """Return mean ± standard deviation over the seeds, a line a model, of rows with `model` and the measures."""
    lines = []
    for name, runs in measured.groupby("model", sort=False):
        cells = [str(name), str(len(runs))]
        for measure_name, (_, decimals) in COLUMNS.items():
            mean, deviation = runs[measure_name].mean(), runs[measure_name].std()
            around = f" ± {deviation:.{decimals}f}" if len(runs) > 1 else ""
            cells.append("–" if np.isnan(mean) else f"{mean:.{decimals}f}{around}")
        lines.append(cells)
    return markdown(["model", "seeds", *(heading for heading, _ in COLUMNS.values())], lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml", help="default: params.yaml")
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "prepared", help="default: data/prepared")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N - 1 (default: 5)")
    parser.add_argument("--models", metavar="A,B", help="some of the networks (default: all)")
    options = parser.parse_args()
    params, data = load_params(options.params), PreparedData(options.data)
    networks = [name for name, entry in params.models.items() if entry.trained_in_steps]
    rows = []
    for name in some_of(options.models, networks):
        for seed in range(options.seeds):
            rows.append({"model": name, **dict.fromkeys(COLUMNS), **train_and_measure(params, name, seed, data)})
            print(f"{name}, seed {seed}: {rows[-1]}", file=sys.stderr, flush=True)
    print(table(pd.DataFrame(rows)))


if __name__ == "__main__":
    sys.exit(exit_code(main))
