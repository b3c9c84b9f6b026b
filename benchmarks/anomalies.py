"""How well do PCA, an autoencoder and a VAE detect images of a class that they were not trained on?

    python benchmarks/anomalies.py

For each class of a labelled set: train on the training images without it, score all test images, and measure by how
often an image of that class scores higher than one of another (AUROC: .5 is chance, 1 is perfect).
See docs/using-models.md.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch_threads  # noqa: F401  # isort: skip  # before torch
from autoencoders.runtime.process import exit_code  # isort: skip

import pandas as pd
import torch
from common import (
    EVAL_BATCH,
    ROOT,
    command_line,
    markdown,
    model_entry,
    out_file,
    read_csv,
    steps_of,
    train_model,
    write_csv,
)
from sklearn.metrics import roc_auc_score

from autoencoders.data.batches import Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.data.principal_components import principal_components
from autoencoders.errors import UserError
from autoencoders.evaluation.anomaly import anomaly_scores, concatenate
from autoencoders.params import Train
from autoencoders.training.device import make_deterministic, resolve_device

COLUMNS = ("digit", "model", "score", "auroc", "seconds")
LATENT = 16
NETWORK = {"latent": LATENT, "hidden": [512], "decoder_hidden": [512, 512]}
MODELS: dict[str, dict[str, Any]] = {
    "PCA": {"kind": "pca", "latent": LATENT},
    "AE": {"kind": "autoencoder", **NETWORK},
    "VAE": {"kind": "vae", **NETWORK},
}
EPOCHS, BATCH_SIZE = 5, 256
TRAINING = {"seed": 0, "batch_size": BATCH_SIZE, "learning_rate": 3e-3, "schedule": "cosine", "warmup": 0.1}
HEADINGS = {
    ("PCA", "mse"): "PCA, MSE",
    ("AE", "mse"): "AE, MSE",
    ("VAE", "mse"): "VAE, MSE",
    ("VAE", "neg_elbo"): "VAE, −ELBO",
}
"""Model and score → column of the table."""


def hold_out(data: PreparedData, name: str, epochs: int | None = None) -> pd.DataFrame:
    """Train every model without the class `name`, and return the rows of its scores; `epochs` is for quick runs."""
    device = resolve_device("auto")
    make_deterministic(device)
    test = data.split("test")
    assert data.info.classes and test.labels is not None
    label = data.info.classes.index(name)
    train, validation = (split.images[split.labels != label] for split in (data.split("train"), data.split("val")))
    settings = Train.model_validate({**TRAINING, "steps": steps_of(epochs or EPOCHS, train, BATCH_SIZE)})
    rows = []
    for model_name, fields in MODELS.items():
        start = time.perf_counter()
        entry = model_entry(**fields)
        components = principal_components(train, entry.latent)
        model = train_model(entry, components, train, validation, settings, device)
        seconds = time.perf_counter() - start
        with torch.inference_mode():
            scores = concatenate(anomaly_scores(model, x) for x in Batches(test.images, EVAL_BATCH, device).in_order())
        for score, values in scores._asdict().items():
            if values is not None:
                auroc = roc_auc_score(test.labels == label, values.double().cpu().numpy())
                rows.append((name, model_name, score, round(auroc, 4), round(seconds, 1)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def table(rows: pd.DataFrame) -> str:
    """Return a Markdown table: a line a class, and their mean; * marks a line's best."""
    wide = rows.pivot_table("auroc", "digit", ["model", "score"], sort=False)[list(HEADINGS)]
    lines = pd.concat([wide, wide.mean().to_frame("mean").T])
    cells = lines.apply(lambda line: [f"{value:.3f}{'*' if value == line.max() else ''}" for value in line], axis=1)
    return markdown(["left out", *HEADINGS.values()], [[str(name), *of] for name, of in cells.items()])


def read(path: Path) -> pd.DataFrame:
    """Return the rows of this benchmark's file, none where there is no such file."""
    return read_csv(path, COLUMNS, dtype={"digit": str})


def benchmark(data: PreparedData, out: Path, epochs: int | None = None) -> None:
    """Measure the classes that the file `out` lacks, keeping each as soon as it is done, and print all."""
    if not data.info.classes:
        raise UserError("The prepared data have no labels: nothing says which class to leave out.")
    for name in data.info.classes:
        rows = read(out)
        if name not in set(rows["digit"]):
            print(f"without {name} …", file=sys.stderr, flush=True)
            new = hold_out(data, name, epochs)
            write_csv(out, pd.concat([rows, new]) if len(rows) else new)
    print(f"{table(read(out))}\n\nAUROC on the test split; * is a line's best. Kept in {out}")


def main() -> None:
    """Run the command line."""
    parser = command_line(__doc__, "anomalies")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "data" / "prepared", metavar="DIR", help="default: data/prepared"
    )
    options = parser.parse_args()
    benchmark(PreparedData(options.data), out_file(options, "anomalies"), 1 if options.quick else None)


if __name__ == "__main__":
    sys.exit(exit_code(main))
