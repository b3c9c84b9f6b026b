"""Train one model of `params.yaml` and store it as a folder."""

import json
import os
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch

from autoencoders import tracking
from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import Interrupted
from autoencoders.evaluation.anomaly import thresholds
from autoencoders.files.results import apart, replaceable, result_folder, write_csv
from autoencoders.model_folder import BYTES, CONTENTS, save_trained
from autoencoders.models import Model, build, count_numbers, parameter_shapes
from autoencoders.params import ModelParams, Params, Train
from autoencoders.runtime.memory import memory_for
from autoencoders.runtime.pod import kfp_run
from autoencoders.runtime.progress import EpochProgress
from autoencoders.tracking.recorder import warn
from autoencoders.training.checkpoint import Checkpoint, identity_of, size_limit
from autoencoders.training.checkpoint_store import join_path
from autoencoders.training.device import describe, make_deterministic, resolve_device
from autoencoders.training.distributed import SINGLE_PROCESS, WAITING, World, process_group
from autoencoders.training.fitting import fit_in_closed_form, fit_in_epochs
from autoencoders.training.loop import EpochMetrics

COPIES = 5
"""Of a network's weights while it is trained: they, their gradients, Adam's two averages, and the best so far."""
SMALLER = "Choose smaller `hidden` or `latent`, a smaller train.batch_size, or a machine with more memory."


def train(params: Params, *, model: str, data: Path, checkpoints: Path | str, out: Path) -> None:
    """Train the entry `model` of `models` on the prepared `data` and write its folder to `out`.

    Resumes from `checkpoints`/`model` where an interrupted run of the same parameters and data left a checkpoint; one
    of other parameters is kept, with a warning.
    `checkpoints` is a folder or, for machines that do not outlive their work, an object store: s3://bucket/prefix.
    Where `torchrun` started several processes, one a GPU, they train together; the first records and writes.
    """
    replaceable(out, CONTENTS)
    if isinstance(where := join_path(checkpoints, model), Path):
        apart(out, where)
    with process_group(resolve_device(params.device)) as (world, device):
        if world.is_main:
            tracking.require_store(params.tracking.experiment)
        task = _Task(params, model, PreparedData(data), device, world)
        with memory_for(f"models.{model}: training it", task.least_memory(), SMALLER):
            make_deterministic(device)
            generator = torch.Generator().manual_seed(task.settings.seed)
            network = build(task.entry, task.data.info.shape, generator)
            if world.is_main:
                _lead(task, network, where, out)
            elif task.entry.trained_in_epochs and world.wait_for_main():
                _fit(task, network)


@dataclass(frozen=True)
class _Task:
    """What each process knows of a training."""

    params: Params
    name: str
    data: PreparedData
    device: torch.device
    world: World

    @property
    def entry(self) -> ModelParams:
        return self.params.model(self.name)

    @property
    def settings(self) -> Train:
        return self.params.training_of(self.name)

    def least_memory(self) -> int:
        """Return how many bytes of this machine's memory the training needs at least."""
        size = BYTES * count_numbers(parameter_shapes(self.entry, self.data.info.shape))
        return size * (COPIES if self.entry.trained_in_epochs and self.device.type == "cpu" else 1)

    def description(self) -> dict[str, Any]:
        """Return what `model.json` says before the training."""
        return {
            "name": self.name,
            "model": self.entry.model_dump(),
            "shape": self.data.info.shape,
            "dataset": self.data.info.identity,
            "train": self.settings.model_dump() if self.entry.trained_in_epochs else None,
            "hardware": describe(self.device, self.world.size),
        }


def _lead(task: _Task, network: Model, where: Path | str, out: Path) -> None:
    """Do what one process does: hold the checkpoint, train or take over the model, store and record it."""
    world = task.world if task.entry.trained_in_epochs else SINGLE_PROCESS  # the others have gone: no sums to share
    description = task.description()
    checkpoint = Checkpoint(where, identity_of(description), owner=kfp_run(), limit=size_limit(network))
    checkpoint.warn = warn
    checkpoint.while_waiting = lambda: world.broadcast(WAITING)
    with checkpoint.acquire():
        taken = checkpoint.take_model(out)
        world.broadcast(not taken)
        if not taken:
            _train_and_store(task, network, description, checkpoint, out)
    if taken:
        print(f"{task.name}: trained by another process meanwhile, stored in {out}")
        with tracking.RunPublisher(task.params.tracking.experiment) as runs:
            runs.name_models([out], of_task=task.name)


def _train_and_store(
    task: _Task, network: Model, description: dict[str, Any], checkpoint: Checkpoint, out: Path
) -> None:
    saved = checkpoint.load()
    resume = (saved or {}).get("run_id")
    with tracking.ModelRun(task.params, description, task.data, resume=resume, marks=checkpoint.runs) as run:
        checkpoint.run_id = lambda: run.run_id
        history, results = _fit(task, network, checkpoint, saved, run)
        validation = Batches(task.data.split("val").images, EVAL_BATCH, task.device).in_order()
        with torch.inference_mode():
            results["anomaly"] = thresholds(network.to(task.device), validation)
        with result_folder(out, CONTENTS) as draft:
            if history:
                write_csv(draft / "history.csv", history)
            described = save_trained(draft, network, {**description, **results})
            (draft / "run.json").write_text(json.dumps(run.reference(), indent=2) + "\n", encoding="utf-8")
        run.log_trained(out)
    checkpoint.finish(out)
    print(f"{task.name}: {described['parameters']:,} parameters, {_summary(results)}, stored in {out}")


def _fit(
    task: _Task,
    network: Model,
    checkpoint: Checkpoint | None = None,
    saved: dict[str, Any] | None = None,
    run: tracking.ModelRun | None = None,
) -> tuple[list[EpochMetrics], dict[str, Any]]:
    """Find the weights; return the history, and what `model.json` says of the result."""
    images, validation = (task.data.split(split).images for split in ("train", "val"))
    if not task.entry.trained_in_epochs:
        return [], fit_in_closed_form(network, images, validation)
    settings, parent = task.settings, os.getppid()
    begun = saved["progress"]["epoch"] if saved else 0
    steps = ceil(len(images) / settings.batch_size)
    progress = EpochProgress(task.name, settings.epochs, steps, begun=begun, disable=run is None)

    def on_epoch(row: EpochMetrics) -> None:
        progress.on_epoch(row)
        if run:
            run.log_epoch(row)
        if "DVC_STAGE" in os.environ and os.getppid() != parent:
            stops = f"training {task.name} stops after epoch {row['epoch']:.0f}"
            raise Interrupted(f"{stops}: the `dvc` that started it is gone. `dvc repro` resumes it.")

    def on_batch() -> None:
        progress.on_batch()
        if run:
            run.raise_if_not_open()

    options = {"checkpoint": checkpoint, "resume": saved, "on_epoch": on_epoch, "on_batch": on_batch}
    with progress:
        return fit_in_epochs(network, images, validation, settings, task.device, world=task.world, **options)


def _summary(results: dict[str, Any]) -> str:
    values = ", ".join(f"{key} {value:.4g}" for key, value in results["validation"].items())
    return f"best of epoch {results['best_epoch']}: {values}" if "best_epoch" in results else values
