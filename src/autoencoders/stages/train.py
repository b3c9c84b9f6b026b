"""Train one model of `params.yaml` and store it as a folder."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from autoencoders import tracking
from autoencoders.data.batches import Batches
from autoencoders.data.files import result_folder, write_csv
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import Interrupted
from autoencoders.evaluation.anomaly import thresholds
from autoencoders.models import PCA, Autoencoder, Model, build
from autoencoders.params import Params, Vae
from autoencoders.tracking.recorder import say
from autoencoders.trained import save_trained
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.device import describe, make_deterministic, resolve_device, resolve_precision
from autoencoders.training.loop import Row, fit
from autoencoders.training.share import Share, joined
from autoencoders.training.storage import beneath


def train(params: Params, *, model: str, data: Path, checkpoints: Path | str, out: Path) -> None:
    """Train the entry `model` of `models` on the prepared `data` and write its folder to `out`.

    Resumes from `checkpoints`/`model` where an interrupted run of the same parameters and data left one there.
    `checkpoints` is a folder or, for machines that do not outlive their work, an object store: s3://bucket/prefix.
    Where `torchrun` started several processes, one a GPU, they train together; the first records and writes.
    """
    tracking.require_server()
    with joined(resolve_device(params.device)) as (share, device):
        _train(params, model, PreparedData(data), checkpoints, out, share, device)


def _train(
    params: Params,
    model: str,
    prepared: PreparedData,
    checkpoints: Path | str,
    out: Path,
    share: Share,
    device: torch.device,
) -> None:
    entry, settings = params.model(model), params.training_of(model)
    make_deterministic(device)
    network = build(entry.model_dump(), prepared.info.shape, torch.Generator().manual_seed(settings.seed))
    description: dict[str, Any] = {
        "name": model,
        "model": entry.model_dump(),
        "shape": prepared.info.shape,
        "dataset": {"name": prepared.info.name, "content_hash": prepared.info.content_hash},
        "train": None if isinstance(network, PCA) else settings.model_dump(),
        "hardware": describe(device, share.size),
    }
    if not share.is_first:
        if not isinstance(network, PCA):
            fit_network(network, prepared, params, model, device, share)
        return
    checkpoint = Checkpoint(beneath(checkpoints, model), _fingerprint(description))
    checkpoint.warn = say
    with checkpoint.locked():
        saved = checkpoint.load()
        with tracking.ModelRun(params, description, prepared, resume=(saved or {}).get("run_id")) as run:
            checkpoint.run_id = lambda: run.run_id
            history: list[Row] = []
            if isinstance(network, PCA):
                results = _fit_pca(network, prepared)
            else:
                history, results = fit_network(network, prepared, params, model, device, share, checkpoint, saved, run)
            results["anomaly"] = _thresholds(network.to(device), prepared, device)
            with result_folder(out) as draft:
                if history:
                    write_csv(draft / "history.csv", history)
                described = save_trained(draft, network, {**description, **results})
                (draft / "run.json").write_text(json.dumps(run.reference(), indent=2) + "\n", encoding="utf-8")
            run.log_trained(out)
        checkpoint.discard()
    print(f"{model}: {described['parameters']:,} parameters, {_summary(results)}, stored in {out}")


def _fit_pca(model: PCA, prepared: PreparedData) -> dict[str, Any]:
    model.fit(prepared.split("train").images)
    batches = Batches(prepared.split("val").images, 1000, torch.device("cpu"))
    errors = [F.mse_loss(model.decode(model.encode(x)), x, reduction="sum").item() for x in batches.in_order()]
    return {"validation": {"val/mse": sum(errors) / prepared.split("val").images.size}}


def fit_network(
    model: Model,
    prepared: PreparedData,
    params: Params,
    name: str,
    device: torch.device,
    share: Share,
    checkpoint: Checkpoint | None = None,
    saved: dict[str, Any] | None = None,
    run: tracking.ModelRun | None = None,
) -> tuple[list[Row], dict[str, Any]]:
    """Train `model`, the untrained entry `name` of `models`, in place; return its history and what model.json says."""
    assert isinstance(model, Autoencoder)
    entry, settings = params.model(name), params.training_of(name)
    images = prepared.split("train").images
    model.start_at(torch.from_numpy(images.mean(axis=0, dtype=np.float64) / 255).float())
    train_batches = Batches(images, settings.batch_size, device)
    options: dict[str, Any] = {"beta": entry.beta, "kl_warmup": entry.kl_warmup} if isinstance(entry, Vae) else {}
    parent = os.getppid()
    bar = tqdm(
        total=settings.epochs * len(train_batches),
        desc=name,
        unit="step",
        delay=1,
        mininterval=0.5,
        disable=run is None,
    )

    def on_epoch(row: Row) -> None:
        told = f"epoch {row['epoch']:.0f}/{settings.epochs}, val loss {row['val/loss']:.4g}"
        bar.set_postfix_str(told, refresh=False)  # a bar drawn before its delay is never closed with a line's end
        bar.n = int(row["epoch"]) * len(train_batches)
        if run:
            run.log_epoch(row)
        if "DVC_STAGE" in os.environ and os.getppid() != parent:
            checkpoint_note = f"training {name} stops after epoch {row['epoch']:.0f}"
            raise Interrupted(f"{checkpoint_note}: the `dvc` that started it is gone. `dvc repro` resumes it.")

    with bar:
        progress = fit(
            model,
            train_batches,
            Batches(prepared.split("val").images, 1000, device),
            settings,
            checkpoint=checkpoint,
            resume=saved,
            share=share,
            on_epoch=on_epoch,
            on_batch=bar.update,
            **options,
        )
    best = next(row for row in progress.history if row["epoch"] == progress.best_epoch)
    return progress.history, {
        "precision": resolve_precision(settings.precision, device),
        "best_epoch": progress.best_epoch,
        "validation": {key: value for key, value in best.items() if key.startswith("val/")},
    }


@torch.inference_mode()
def _thresholds(model: Model, prepared: PreparedData, device: torch.device) -> dict[str, float]:
    return thresholds(model, Batches(prepared.split("val").images, 1000, device).in_order())


def _fingerprint(description: dict[str, Any]) -> str:
    """Hash of all that the weights depend on."""
    relevant = {key: description[key] for key in ("model", "shape", "dataset", "train", "hardware")}
    text = json.dumps([relevant, torch.__version__, sys.platform], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _summary(results: dict[str, Any]) -> str:
    values = ", ".join(f"{key} {value:.4g}" for key, value in results["validation"].items())
    return f"best of epoch {results['best_epoch']}: {values}" if "best_epoch" in results else values
