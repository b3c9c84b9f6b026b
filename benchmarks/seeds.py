"""How good are the models of a params.yaml, over several seeds? What a change of the training does beyond chance.

    python benchmarks/seeds.py [--params FILE] [--seeds N] [--models A,B]

See benchmarks/README.md. Two calls with two files of parameters tell a change from seed noise.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from quality import count, some_of
from quality_protocols import measure
from speed_rows import table

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.models import build
from autoencoders.params import Params, load_params
from autoencoders.stages.train import fit_network
from autoencoders.training.device import make_deterministic, resolve_device
from autoencoders.training.distributed import SINGLE_PROCESS

ROOT = Path(__file__).resolve().parents[1]
DIGITS = {"mse": 5, "neg_elbo": 2, "kl": 2, "cpu_seconds": 1}
"""Measure → decimals that are shown."""
Measured = dict[str, float]


def trained(params: Params, name: str, seed: int, data: PreparedData) -> Measured:
    """Train the model `name` as the stage `train` would with this seed; return its test measures and CPU seconds."""
    device = resolve_device(params.device)
    make_deterministic(device)
    seeded = params.model_copy(update={"train": params.train.model_copy(update={"seed": seed})})
    model = build(params.model(name).model_dump(), data.info.shape, torch.Generator().manual_seed(seed))
    start = time.process_time()
    fit_network(model, data, seeded, name, device, SINGLE_PROCESS)
    seconds = time.process_time() - start
    return {**measure(model, np.asarray(data.split("test").images), device), "cpu_seconds": seconds}


def lines(measured: Mapping[str, Sequence[Measured]]) -> Iterator[list[str]]:
    """Return a line a model: mean ± standard deviation over the seeds of each of its measures."""
    for name, runs in measured.items():
        values = {key: [run[key] for run in runs] for key in DIGITS if key in runs[0]}
        yield [name, str(len(runs)), *(spread(values[key], DIGITS[key]) if key in values else "–" for key in DIGITS)]


def spread(values: Sequence[float], decimals: int) -> str:
    """Return mean ± standard deviation; of one value that alone."""
    around = f" ± {stdev(values):.{decimals}f}" if len(values) > 1 else ""
    return f"{mean(values):.{decimals}f}{around}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 2 on a user's mistake, 130 on an interruption."""
    options = _parser().parse_args(arguments)
    try:
        params, data = load_params(options.params), PreparedData(options.data)
        names = [name for name, entry in params.models.items() if entry.kind != "pca"]
        measured: dict[str, list[Measured]] = {}
        for name in some_of(names, options.models) if options.models else names:
            for seed in range(options.seeds):
                found = trained(params, name, seed, data)
                measured.setdefault(name, []).append(found)
                told = ", ".join(f"{key} {found[key]:.{decimals}f}" for key, decimals in DIGITS.items() if key in found)
                print(f"{name}, seed {seed}: {told}", file=sys.stderr, flush=True)
    except (UserError, argparse.ArgumentTypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(table(("model", "seeds", "test MSE", "test −ELBO", "KL", "CPU-s"), lines(measured)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--params", type=Path, default=ROOT / "params.yaml", metavar="FILE", help="default: params.yaml"
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT / "data" / "prepared", metavar="DIR", help="default: data/prepared"
    )
    parser.add_argument("--seeds", type=count, default=5, metavar="N", help="0 to N - 1 (default: 5)")
    parser.add_argument("--models", metavar="A,B", help="default: all that are trained by steps")
    return parser


if __name__ == "__main__":
    sys.exit(main())
