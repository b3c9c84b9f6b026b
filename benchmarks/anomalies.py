"""How well do PCA, an autoencoder and a VAE tell images of a class that they have never seen?

    python benchmarks/anomalies.py

For each class of a labelled set: train on the training images without it, score all test images, and measure by how
often an image of that class scores higher than one of another (AUROC: .5 is chance, 1 is perfect).
See docs/using-models.md.
"""

import argparse
import csv
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError, suggestion

if TYPE_CHECKING:
    import torch

    from autoencoders.data.prepared import PreparedData, Split
    from autoencoders.models import Model

HERE = Path(__file__).resolve().parent
COLUMNS = ("digit", "model", "score", "auroc", "seconds")
Row = dict[str, str]
LATENT = 16
NETWORK = {"latent": LATENT, "arch": "mlp", "hidden": [512], "decoder_hidden": [512, 512]}
MODELS: dict[str, dict[str, Any]] = {
    "PCA": {"kind": "pca", "latent": LATENT},
    "AE": {"kind": "autoencoder", **NETWORK},
    "VAE": {"kind": "vae", **NETWORK},
}
TRAINING = {"seed": 0, "epochs": 5, "batch_size": 256, "learning_rate": 3e-3, "schedule": "cosine", "warmup": 0.1}
HEADINGS = {
    ("PCA", "mse"): "PCA, MSE",
    ("AE", "mse"): "AE, MSE",
    ("VAE", "mse"): "VAE, MSE",
    ("VAE", "neg_elbo"): "VAE, −ELBO",
}


def held_out(data: "PreparedData", name: str, epochs: int | None = None) -> list[Row]:
    """Train every model without the class `name`, and return the rows of its scores; `epochs` is for tests."""
    import torch
    from sklearn.metrics import roc_auc_score

    from autoencoders.data.batches import Batches
    from autoencoders.evaluation.anomaly import anomaly_scores, concatenate
    from autoencoders.training.device import make_deterministic, resolve_device

    device = resolve_device("auto")
    make_deterministic(device)
    test = data.split("test")
    assert data.info.classes and test.labels is not None
    label = data.info.classes.index(name)
    known = {split: _without(data.split(split), label) for split in ("train", "val")}
    rows = []
    for model_name in MODELS:
        start = time.perf_counter()
        model = _trained(model_name, known["train"], known["val"], device, epochs)
        seconds = time.perf_counter() - start
        with torch.inference_mode():
            scores = concatenate(anomaly_scores(model, x) for x in Batches(test.images, 1000, device).in_order())
        for score, values in scores._asdict().items():
            if values is not None:
                auroc = roc_auc_score(test.labels == label, values.double().cpu().numpy())
                numbers = (f"{auroc:.4f}", f"{seconds:.1f}")
                rows.append(dict(zip(COLUMNS, (name, model_name, score, *numbers), strict=True)))
    return rows


def _without(split: "Split", label: int) -> Any:
    return split.images[split.labels != label]


def _trained(name: str, images: Any, validation: Any, device: "torch.device", epochs: int | None) -> "Model":
    import numpy as np
    import torch

    from autoencoders.data.batches import Batches
    from autoencoders.models import PCA, build
    from autoencoders.params import Train
    from autoencoders.training.loop import fit

    settings = Train.model_validate({**TRAINING, "epochs": epochs or TRAINING["epochs"]})
    model = build(MODELS[name], images.shape[1:], torch.Generator().manual_seed(settings.seed))
    if isinstance(model, PCA):
        model.fit(images)
        return model.to(device)
    model.start_at(torch.from_numpy(images.mean(axis=0, dtype=np.float64) / 255).float())
    fit(model, Batches(images, settings.batch_size, device), Batches(validation, 1000, device), settings)
    return model


def table(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return the rows as a Markdown table: a line a class, in the order of `names`, and their mean."""
    found = {(row["digit"], row["model"], row["score"]): float(row["auroc"]) for row in rows}
    lines = [["left out", *HEADINGS.values()]]
    present = [name for name in names if (name, "PCA", "mse") in found]
    for name in present:
        lines.append([name, *_marked([found[(name, *key)] for key in HEADINGS])])
    means = [sum(found[(name, *key)] for name in present) / len(present) for key in HEADINGS]
    lines.append(["mean", *_marked(means)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * (width - 1) + ":" for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _marked(values: Sequence[float]) -> list[str]:
    return [f"{value:.3f}{'*' if value == max(values) else ' '}" for value in values]


def read(path: Path) -> list[Row]:
    """Return the rows of a CSV file of this benchmark, none where there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise UserError(f"{path} is no table of this benchmark. Move it away, or name another with --out.")
    return rows


def write(path: Path, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Replace the CSV file, its rows ordered by class, and the Markdown table beside it."""
    from autoencoders.files.results import atomic_file

    with atomic_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: names.index(row["digit"])))
    with atomic_file(path.with_suffix(".md")) as draft:
        draft.write_text(table(rows, names) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 2 on a user's mistake, 130 on an interruption."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait by spinning starve each other
    try:
        return _benchmark(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        return 130


def _benchmark(options: argparse.Namespace) -> int:
    from autoencoders.data.prepared import PreparedData

    data = PreparedData(options.data)
    names = data.info.classes
    if not names:
        raise UserError(f"{options.data} has no labels: nothing says which class to leave out.")
    rows = read(options.out)
    todo = _chosen(options.digits, names) or [name for name in names if name not in {row["digit"] for row in rows}]
    for name in todo:
        rows = [row for row in rows if row["digit"] != name] + (new := held_out(data, name, options.epochs))
        write(options.out, rows, names)
        print(f"without {name}: " + ", ".join(_told(row) for row in new), flush=True)
    print(f"\n{table(rows, names)}\n\nAUROC on the test split; * is a line's best. Kept in {options.out}")
    return 0


def _told(row: Mapping[str, str]) -> str:
    return f"{HEADINGS[row['model'], row['score']]} {row['auroc']}"


def _chosen(text: str | None, names: Sequence[str]) -> list[str]:
    chosen = text.split(",") if text else []
    for name in chosen:
        if name not in names:
            raise UserError(f"unknown class {name!r}.{suggestion(name, names)} Known: {', '.join(names)}.")
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=Path("data/prepared"), metavar="DIR", help="prepared data (default: data/prepared)"
    )
    parser.add_argument(
        "--digits", metavar="A,B", help="measure these classes (default: all that are not measured yet)"
    )
    parser.add_argument(
        "--out", type=Path, default=HERE / "anomalies.csv", metavar="FILE", help="default: benchmarks/anomalies.csv"
    )
    parser.add_argument("--epochs", type=int, help=argparse.SUPPRESS)  # to see in seconds that all runs
    return parser


if __name__ == "__main__":
    sys.exit(main())
