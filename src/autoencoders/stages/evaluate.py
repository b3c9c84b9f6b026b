"""Measure one trained model on the test split."""

import json
from pathlib import Path

import numpy as np

from autoencoders import tracking
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.evaluation.model_evaluation import PARTS, evaluate_model
from autoencoders.evaluation.pinned_features import load_features
from autoencoders.files.results import replaceable, result_folder, write_csv
from autoencoders.model_folder import load_trained
from autoencoders.params import Params
from autoencoders.runtime.progress import progress
from autoencoders.training.device import keep_freed_memory, make_deterministic, resolve_device

CONTENTS = ("metrics.json", "codes/test.npy", "codes/errors.npy", "codes/dimensions.csv", ".gitignore")
"""DVC adds .gitignore, if no other such file lists the codes."""


def evaluate(params: Params, *, model: Path, data: Path, features: Path, out: Path) -> None:
    """Measure the model in the folder `model` and write `metrics.json` and `codes/` to `out`.

    `codes/` holds the test images' codes (`test.npy`, posterior means of a VAE), their squared errors (`errors.npy`,
    per value) and one row for each latent dimension (`dimensions.csv`: KL, variance, Kolmogorov-Smirnov distance from
    N(0, 1)). MLflow gets them from `report`, unless a launcher made a run for this stage alone.
    Raise `UserError` where an input is missing or damaged, or the model was trained on other data.
    """
    replaceable(out, CONTENTS)
    device = resolve_device(params.device)
    make_deterministic(device)
    keep_freed_memory()
    prepared, trained = PreparedData(data), load_trained(model, device)
    if trained.description["dataset"]["content_hash"] != prepared.info.content_hash:
        raise UserError(f"{model} was trained on other data than {data} holds. Train it again, or prepare its data.")
    pinned = load_features(features, device, prepared.info)
    train, test = prepared.split("train"), prepared.split("test")
    components = prepared.principal_components(trained.model.latent)
    with progress(total=len(PARTS), desc=model.name, unit="part", delay=1) as bar:

        def begin(part: str) -> None:
            bar.set_postfix_str(part)
            if part != PARTS[0]:
                bar.update()  # the one before is done

        measured = evaluate_model(trained.model, components, train, test, pinned, params.evaluate, device, begin)
        bar.update()
    metrics, codes, errors, dimensions = measured
    rows = [dict(zip(dimensions, values, strict=True)) for values in zip(*dimensions.values(), strict=True)]
    with result_folder(out, CONTENTS) as draft:
        (draft / "codes").mkdir()
        np.save(draft / "codes" / "test.npy", codes)
        np.save(draft / "codes" / "errors.npy", errors)
        write_csv(draft / "codes" / "dimensions.csv", rows)
        (draft / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    if tracking.launched_alone():
        with tracking.RunPublisher(params.tracking.experiment) as runs:
            runs.log_evaluation(model, metrics, [out / "codes" / "dimensions.csv"], own=tracking.injected_run())
    print(f"{model.name}: " + ", ".join(f"{key} {value:.4g}" for key, value in metrics.items()))
