"""Train one model of `params.yaml` and store it as a folder."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from autoencoders import tracking
from autoencoders.data.batches import Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import Interrupted
from autoencoders.evaluation.anomaly import thresholds
from autoencoders.files.results import apart, replaceable, result_folder, write_csv
from autoencoders.model_folder import BYTES, CONTENTS, save_trained
from autoencoders.models import PCA, Autoencoder, Model, build, count_numbers, parameter_shapes
from autoencoders.params import Params, Vae
from autoencoders.runtime.memory import memory_for
from autoencoders.runtime.pod import kfp_run
from autoencoders.runtime.progress import EpochProgress
from autoencoders.tracking.recorder import say
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.checkpoint_store import join_path
from autoencoders.training.device import describe, make_deterministic, resolve_device, resolve_precision
from autoencoders.training.distributed import SINGLE_PROCESS, World, process_group
from autoencoders.training.loop import EpochMetrics, fit

COPIES = 5
"""Of a network's weights while it is trained: they, their gradients, Adam's two averages, and the best so far."""
SMALLER = "Choose smaller `hidden` or `latent`, a smaller train.batch_size, or a machine with more memory."
WAITS, TRAINS, HAS_MODEL = "waits", "trains", "has the model"
"""What the first of several processes is about."""
CHECKPOINT_SIZE = 8
"""Weights, the best ones, and two moments of each are 4 times a model; 1 GiB holds any history beside them."""


def train(params: Params, *, model: str, data: Path, checkpoints: Path | str, out: Path) -> None:
    """Train the entry `model` of `models` on the prepared `data` and write its folder to `out`.

    Resumes from `checkpoints`/`model` where an interrupted run of the same parameters and data left one there; one of
    other parameters is told of, and kept.
    `checkpoints` is a folder or, for machines that do not outlive their work, an object store: s3://bucket/prefix.
    Where `torchrun` started several processes, one a GPU, they train together; the first records and writes.
    """
    replaceable(out, CONTENTS)
    if isinstance(where := join_path(checkpoints, model), Path):
        apart(out, where)
    with process_group(resolve_device(params.device)) as (world, device):
        if world.is_main:
            tracking.require_store(params.tracking.experiment)
        prepared = PreparedData(data)
        with memory_for(f"models.{model}: training it", _least_memory(params, model, prepared, device), SMALLER):
            _train(params, model, prepared, checkpoints, out, world, device)


def _least_memory(params: Params, model: str, prepared: PreparedData, device: torch.device) -> int:
    """Return how many bytes of this machine's memory a training needs at least."""
    entry = params.model(model)
    size = BYTES * count_numbers(parameter_shapes(entry.model_dump(), prepared.info.shape))
    return size * (COPIES if entry.kind != "pca" and device.type == "cpu" else 1)  # a GPU has its own memory


def _train(
    params: Params,
    model: str,
    prepared: PreparedData,
    checkpoints: Path | str,
    out: Path,
    world: World,
    device: torch.device,
) -> None:
    entry, settings = params.model(model), params.training_of(model)
    make_deterministic(device)
    network = build(entry.model_dump(), prepared.info.shape, torch.Generator().manual_seed(settings.seed))
    description: dict[str, Any] = {
        "name": model,
        "model": entry.model_dump(),
        "shape": prepared.info.shape,
        "dataset": prepared.info.identity,
        "train": None if isinstance(network, PCA) else settings.model_dump(),
        "hardware": describe(device, world.size),
    }
    together = SINGLE_PROCESS if isinstance(network, PCA) else world  # one process computes principal components
    if not world.is_main:
        if together.size > 1 and _first_trains(together):
            fit_network(network, prepared, params, model, device, world)
        return
    limit = CHECKPOINT_SIZE * sum(value.nbytes for value in network.state_dict().values()) + 2**30
    checkpoint = Checkpoint(join_path(checkpoints, model), _identity(description), owner=kfp_run(), limit=limit)
    checkpoint.warn = say
    checkpoint.while_waiting = lambda: together.broadcast(WAITS)
    with checkpoint.acquire():
        taken = checkpoint.take_model(out)
        together.broadcast(HAS_MODEL if taken else TRAINS)
        if not taken:
            _train_and_store(network, prepared, params, description, device, world, checkpoint, out)
    if taken:
        print(f"{model}: trained by another process meanwhile, stored in {out}")
        with tracking.RunPublisher(params.tracking.experiment) as runs:
            runs.name_models([out], of_task=model)


def _first_trains(world: World) -> bool:
    """Wait until the first process tells the others that it trains, or that it was given the model."""
    while (told := world.broadcast(None)) == WAITS:
        pass
    return told == TRAINS


def _train_and_store(
    network: Model,
    prepared: PreparedData,
    params: Params,
    description: dict[str, Any],
    device: torch.device,
    world: World,
    checkpoint: Checkpoint,
    out: Path,
) -> None:
    name, saved = description["name"], checkpoint.load()
    resume = (saved or {}).get("run_id")
    with tracking.ModelRun(params, description, prepared, resume=resume, marks=checkpoint.runs) as run:
        checkpoint.run_id = lambda: run.run_id
        history: list[EpochMetrics] = []
        if isinstance(network, PCA):
            results = _fit_pca(network, prepared)
        else:
            history, results = fit_network(network, prepared, params, name, device, world, checkpoint, saved, run)
        results["anomaly"] = _thresholds(network.to(device), prepared, device)
        with result_folder(out, CONTENTS) as draft:
            if history:
                write_csv(draft / "history.csv", history)
            described = save_trained(draft, network, {**description, **results})
            (draft / "run.json").write_text(json.dumps(run.reference(), indent=2) + "\n", encoding="utf-8")
        run.log_trained(out)
    checkpoint.finish(out)
    print(f"{name}: {described['parameters']:,} parameters, {_summary(results)}, stored in {out}")


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
    world: World,
    checkpoint: Checkpoint | None = None,
    saved: dict[str, Any] | None = None,
    run: tracking.ModelRun | None = None,
) -> tuple[list[EpochMetrics], dict[str, Any]]:
    """Train `model`, the untrained entry `name` of `models`, in place; return its history and what model.json says."""
    assert isinstance(model, Autoencoder)
    entry, settings = params.model(name), params.training_of(name)
    images = prepared.split("train").images
    model.start_at(torch.from_numpy(images.mean(axis=0, dtype=np.float64) / 255).float())
    train_batches = Batches(images, settings.batch_size, device)
    options: dict[str, Any] = {"beta": entry.beta, "kl_warmup": entry.kl_warmup} if isinstance(entry, Vae) else {}
    parent = os.getppid()
    begun = saved["progress"]["epoch"] if saved else 0
    shown = EpochProgress(name, settings.epochs, len(train_batches), begun=begun, disable=run is None)

    def on_epoch(row: EpochMetrics) -> None:
        shown.on_epoch(row)
        if run:
            run.log_epoch(row)
        if "DVC_STAGE" in os.environ and os.getppid() != parent:
            checkpoint_note = f"training {name} stops after epoch {row['epoch']:.0f}"
            raise Interrupted(f"{checkpoint_note}: the `dvc` that started it is gone. `dvc repro` resumes it.")

    def on_batch() -> None:
        shown.on_batch()
        if run:
            run.raise_if_not_open()

    with shown:
        progress = fit(
            model,
            train_batches,
            Batches(prepared.split("val").images, 1000, device),
            settings,
            checkpoint=checkpoint,
            resume=saved,
            world=world,
            on_epoch=on_epoch,
            on_batch=on_batch,
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


def _identity(description: dict[str, Any]) -> str:
    """Return all that the weights depend on; a checkpoint keeps it, and is known by its hash."""
    relevant = {key: description[key] for key in ("model", "shape", "dataset", "train", "hardware")}
    return json.dumps([relevant, torch.__version__, sys.platform], sort_keys=True)


def _summary(results: dict[str, Any]) -> str:
    values = ", ".join(f"{key} {value:.4g}" for key, value in results["validation"].items())
    return f"best of epoch {results['best_epoch']}: {values}" if "best_epoch" in results else values
