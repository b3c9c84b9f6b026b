"""Train an MLP and convolutions for the same CPU time: which comes lower under PCA's squared error?

    OMP_NUM_THREADS=1 python benchmarks/architectures.py [--data DIR] [--latent K] [--seconds S] [--seeds N] [--quick]

See benchmarks/README.md.
"""

import argparse
import sys
import time
from pathlib import Path

import torch_threads  # noqa: F401  # isort: skip  # before torch
from autoencoders.runtime.process import exit_code  # isort: skip

import numpy as np
from common import CPU, ROOT, markdown, measure, model_entry, new_model, seeded, train_settings
from numpy.typing import NDArray

from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.evaluation.baseline import mse_over_pca
from autoencoders.models import n_components
from autoencoders.params import Train
from autoencoders.training.fitting import fit_in_steps, training_batches
from autoencoders.training.loop import fit

ENTRIES = {
    "mlp [512]": {"arch": "mlp", "hidden": [512]},
    "conv [32, 64], [64, 64, 64]": {"arch": "conv", "hidden": [32, 64], "decoder_hidden": [64, 64, 64]},
}
"""Name in the table → fields of the model's entry."""
BATCH_SIZE = 128
TRAINING = {"batch_size": BATCH_SIZE, "learning_rate": 0.001, "schedule": "cosine", "warmup": 0.1}
TRIAL_STEPS = 20
"""Steps that are timed to choose the number that fits into the CPU time."""
COLUMNS = ["model", "seed", "steps", "best step", "CPU-s", "validation", "test"]


def train_and_measure(name: str, data: PreparedData, latent: int, seconds: float, seed: int) -> dict[str, float]:
    """Train the entry `name` for about so many CPU `seconds` of steps; return its errors over PCA's, and the cost.

    Validations come on top of the seconds. The test images are measured once, at the weights of the best validation.
    """
    entry = model_entry(kind="autoencoder", loss="mse", latent=latent, **ENTRIES[name])
    components = data.principal_components(n_components(entry, data.info.shape))
    train, validation, test = (np.asarray(data.split(split).images) for split in ("train", "val", "test"))
    trial = new_model(entry, train.shape[1:], seeded(seed))
    trial.initialise(components)
    batches = training_batches(trial, train, BATCH_SIZE, CPU)
    start = time.process_time()
    fit(trial, batches, Batches(train[:1], 1, CPU), settings_of(TRIAL_STEPS, seed))
    steps = max(1, round(seconds / (time.process_time() - start) * TRIAL_STEPS))
    model = new_model(entry, train.shape[1:], seeded(seed))

    def over_pca(error: float, images: NDArray[np.uint8]) -> float:
        ratio = mse_over_pca(error, components.leading(latent), model.shape, Batches(images, EVAL_BATCH, CPU))
        return float("nan") if ratio is None else ratio

    start = time.process_time()
    _, result = fit_in_steps(model, components, train, validation, settings_of(steps, seed), CPU)
    return {
        "steps": steps,
        "best step": result["best_step"],
        "CPU-s": time.process_time() - start,
        "validation": over_pca(result["validation"]["val/mse"], validation),
        "test": over_pca(measure(model, test)["mse"], test),
    }


def settings_of(steps: int, seed: int) -> Train:
    """Return the settings of a training."""
    return train_settings(**TRAINING, steps=steps, seed=seed)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "prepared", help="default: data/prepared")
    parser.add_argument("--latent", type=int, default=128, metavar="K", help="numbers in a code (default: 128)")
    parser.add_argument("--seconds", type=float, default=600, metavar="S", help="CPU time of a training (default: 600)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N - 1 (default: 1)")
    parser.add_argument("--quick", action="store_true", help="check that it works: 2 numbers in a code, 2 seconds")
    options = parser.parse_args()
    latent, seconds = (2, 2.0) if options.quick else (options.latent, options.seconds)
    data, lines = PreparedData(options.data), []
    for name in ENTRIES:
        for seed in range(options.seeds):
            found = train_and_measure(name, data, latent, seconds, seed)
            print(f"{name}, seed {seed}: {found}", file=sys.stderr, flush=True)
            numbers = (f"{found['validation']:.4f}", f"{found['test']:.4f}")
            lines.append(
                [name, str(seed), f"{found['steps']:,}", f"{found['best step']:,}", f"{found['CPU-s']:.0f}", *numbers]
            )
    print(markdown(COLUMNS, lines))


if __name__ == "__main__":
    sys.exit(exit_code(main))
