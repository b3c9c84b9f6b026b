"""Measure the bits per dimension of a VAE with the logistic likelihood, and of probabilistic PCA, with which it begins.

    python benchmarks/bits_per_dim.py [DATASET]

See docs/models.md for what others measured.
"""

import argparse
import sys
import time
from typing import Any

import torch_threads  # noqa: F401  # isort: skip  # before torch
from autoencoders.runtime.process import exit_code  # isort: skip

import torch
from common import Images, load_images, markdown, model_entry, new_model, seeded, train_model, train_settings
from quality_defaults import split

from autoencoders.data.prepared import Split
from autoencoders.data.principal_components import principal_components
from autoencoders.evaluation.likelihood import bits_per_dim
from autoencoders.evaluation.model_evaluation import measure_bounds
from autoencoders.models import Model, n_components
from autoencoders.params import Evaluate, Train
from autoencoders.training.device import make_deterministic, resolve_device

MODEL: dict[str, Any] = {"kind": "vae", "latent": 128, "arch": "mlp", "hidden": [512], "likelihood": "logistic"}
COLUMNS = ("model", "−ELBO, nats", "−ELBO, bits/dim", "NLL, bits/dim", "seconds of training")
Row = tuple[str, float, float, float, float]


def benchmark(images: Images, settings: Train, evaluate: Evaluate, fields: dict[str, Any] = MODEL) -> list[Row]:
    """Return a row of `COLUMNS` for the model of `fields` before its first step, and one for the trained model."""
    device = resolve_device("auto")
    make_deterministic(device)
    train, validation, test = split(images)
    entry = model_entry(**fields)
    components = principal_components(train, n_components(entry, images.train.shape[1:]))

    def row(name: str, model: Model, seconds: float) -> Row:
        with torch.inference_mode():
            bounds = measure_bounds(model, Split(test, None), evaluate, device)
        neg_elbo = -bounds["elbo"]
        return name, neg_elbo, bits_per_dim(neg_elbo, model.shape), bounds["bits_per_dim"], seconds

    start = new_model(entry, images.train.shape[1:], seeded(settings.seed))
    start.initialise(components)
    before = row("probabilistic PCA", start.to(device), 0.0)
    begun = time.perf_counter()
    trained = train_model(entry, components, train, validation, settings, device)
    return [before, row("VAE", trained, time.perf_counter() - begun)]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", nargs="?", default="cifar10", help="its name in params.yaml (default: cifar10)")
    parser.add_argument("--steps", type=int, metavar="N", help="of the training (default: those of params.yaml)")
    options = parser.parse_args()
    steps = {"steps": options.steps} if options.steps else {}
    settings = train_settings(**steps)
    rows = benchmark(load_images(options.dataset), settings, Evaluate())
    cells = [[row[0], f"{row[1]:,.0f}", f"{row[2]:.3f}", f"{row[3]:.3f}", f"{row[4]:.0f}"] for row in rows]
    print(markdown(COLUMNS, cells))


if __name__ == "__main__":
    sys.exit(exit_code(main))
