"""Train one model of `params.yaml` and store it as a folder."""

import json
from pathlib import Path
from typing import Any

import torch

from autoencoders import tracking
from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.prepared import PreparedData
from autoencoders.evaluation.anomaly import thresholds
from autoencoders.evaluation.baseline import mse_over_pca
from autoencoders.evaluation.measures import still_pca, worse_than_pca
from autoencoders.files.results import apart, replaceable, result_folder, write_csv
from autoencoders.model_folder import CONTENTS, save_trained
from autoencoders.models import Model, build
from autoencoders.params import Params
from autoencoders.runtime.memory import memory_for
from autoencoders.runtime.pod import kfp_run
from autoencoders.runtime.process import raise_if_stopped
from autoencoders.stages.training_task import TrainingTask
from autoencoders.tracking.recorder import warn
from autoencoders.training.checkpoint import Checkpoint, identity_of, size_limit
from autoencoders.training.checkpoint_store import join_path
from autoencoders.training.device import make_deterministic, resolve_device
from autoencoders.training.distributed import SINGLE_PROCESS, WAITING, process_group

SMALLER = "Choose smaller `hidden` or `latent`, a smaller train.batch_size, or a machine with more memory."


def train(params: Params, *, model: str, data: Path, checkpoints: Path | str, out: Path) -> None:
    """Train the entry `model` of `models` on the prepared `data` and write its folder to `out`.

    Resume from `checkpoints`/`model` if an interrupted run of the same parameters and data left a checkpoint. A
    checkpoint of other parameters is kept, with a warning. `checkpoints` is a folder. For machines whose disk may be
    lost, it is an object store: s3://bucket/prefix. If `torchrun` started several processes, one for each GPU, they
    train together; the first one records and writes.
    """
    replaceable(out, CONTENTS)
    if isinstance(where := join_path(checkpoints, model), Path):
        apart(out, where)
    with process_group(resolve_device(params.device)) as (world, device):
        if world.is_main:
            tracking.require_store(params.tracking.experiment)
        task = TrainingTask(params, model, PreparedData(data), device, world)
        with memory_for(f"models.{model}: training it", task.least_memory(), SMALLER):
            make_deterministic(device)
            generator = torch.Generator().manual_seed(task.settings.seed)
            network = build(task.entry, task.data.info.shape, generator)
            if world.is_main:
                _train_as_main(task, network, where, out)
            elif task.entry.trained_in_steps and world.wait_for_main():
                task.fit(network)


def _train_as_main(task: TrainingTask, network: Model, where: Path | str, out: Path) -> None:
    """Hold the checkpoint; train the model, or take it over from an equal training; store and record it."""
    world = task.world if task.entry.trained_in_steps else SINGLE_PROCESS  # the others have ended
    description = task.description()

    def while_waiting() -> None:
        raise_if_stopped()
        world.broadcast(WAITING)

    checkpoint = Checkpoint(where, identity_of(description), owner=kfp_run(), limit=size_limit(network))
    checkpoint.warn = warn
    checkpoint.while_waiting = while_waiting
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
    task: TrainingTask, network: Model, description: dict[str, Any], checkpoint: Checkpoint, out: Path
) -> None:
    saved = checkpoint.load()
    resume = (saved or {}).get("run_id")
    with tracking.ModelRun(task.params, description, task.data, resume=resume, marks=checkpoint.runs) as run:
        checkpoint.run_id = lambda: run.run_id
        history, results = task.fit(network, checkpoint, saved, run)
        batches = Batches(task.data.split("val").images, EVAL_BATCH, task.device)
        with torch.inference_mode():
            results["anomaly"] = thresholds(network.to(task.device), batches.in_order())
        validation = results["validation"]
        ratio = mse_over_pca(validation["val/mse"], task.components.leading(network.latent), network.shape, batches)
        if ratio is not None:
            validation["val/mse_over_pca"] = ratio
        with result_folder(out, CONTENTS) as draft:
            if history:
                write_csv(draft / "history.csv", history)
            stored = save_trained(draft, network, {**description, **results})
            (draft / "run.json").write_text(json.dumps(run.reference(), indent=2) + "\n", encoding="utf-8")
        run.log_trained(out)
    checkpoint.finish(out)
    values = ", ".join(f"{key} {value:.4g}" for key, value in validation.items())
    if line := worse_than_pca(task.name, task.entry, ratio, "validation"):
        warn(line)
    if line := still_pca({task.name: task.entry}, {task.name: results.get("best_step")}):
        print(line)
    best = f"best of step {results['best_step']:,}: " if "best_step" in results else ""
    print(f"{task.name}: {stored['parameters']:,} parameters, {best}{values}, stored in {out}")
