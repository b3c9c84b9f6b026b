"""Runs in MLflow of finished folders: models, rungs of the ladder and the report."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from autoencoders.model_folder import read_description, read_reference
from autoencoders.model_folder.history import read_history
from autoencoders.tracking import content, registry, results, store
from autoencoders.tracking.kfp_run import kubeflow_run, task_name
from autoencoders.tracking.kfp_status import finish_pipeline, parent_run
from autoencoders.tracking.lineage import MODEL_PREFIX
from autoencoders.tracking.recorder import Recorder

if TYPE_CHECKING:
    from mlflow import MlflowClient


P = ParamSpec("P")


def _in_background(
    method: "Callable[Concatenate[RunPublisher, MlflowClient, P], Any]",
) -> "Callable[Concatenate[RunPublisher, P], Future[Any]]":
    """Return a method that runs `method` in the background, with a client, and returns the future of its result."""

    @wraps(method)
    def submit(self: "RunPublisher", *args: P.args, **options: P.kwargs) -> "Future[Any]":
        return self.attempt(lambda client: method(self, client, *args, **options))

    return submit


class RunPublisher(Recorder):
    """The runs of finished models, for the stages after training, and those of the rungs and the report."""

    def __init__(self, experiment: str, warns: bool = True) -> None:
        super().__init__()
        self._experiment = experiment
        self.warns = warns

    @_in_background
    def log_evaluation(
        self,
        client: "MlflowClient",
        model: Path,
        metrics: Mapping[str, float],
        files: Iterable[Path],
        own: str | None = None,
    ) -> None:
        """Log a model's `test/*` metrics and `files` to its run, and the metrics to the evaluation's `own` run."""
        run_id = run_of(client, model, self._experiment)
        named = {f"test/{key}": value for key, value in metrics.items()}
        content.log_metrics(client, run_id, named)
        for file in files:
            client.log_artifact(run_id, str(file), "evaluation")
        if own:
            content.log_metrics(client, own, named)

    @_in_background
    def log_figures(self, client: "MlflowClient", model: Path, figures: Mapping[str, Path]) -> None:
        """Log figures to a model's run under the names given, the same in all runs, so that MLflow compares them."""
        content.log_files(client, run_of(client, model, self._experiment), figures, "figures")

    @_in_background
    def log_rung(self, client: "MlflowClient", result: results.RungResult, *, own: bool = False) -> None:
        """Record a rung: in the run that has it, with `own` in the injected run, or in a new one."""
        parent = None if own else parent_run(client, self._experiment, task_name())
        results.log_rung(client, result, self._experiment, store.injected_run() if own else None, parent)

    @_in_background
    def name_models(self, client: "MlflowClient", models: Iterable[Path], of_task: str = "") -> None:
        """Name the runs of a Kubeflow pipeline's models in the pipeline's run: they may be of an earlier pipeline.

        `of_task` is the model of this process's task, where each model has a task.
        """
        pipeline = os.environ.get("KFP_RUN_ID")
        if pipeline and (parent := parent_run(client, self._experiment, task_name(of_task))):
            named = {f"{MODEL_PREFIX}{model.name}": run_of(client, model, self._experiment) for model in models}
            content.set_tags(client, parent, {"kfp_run": pipeline, **named})

    @_in_background
    def log_report(self, client: "MlflowClient", file: Path) -> None:
        """Record the page `file`: in the run that has it, an injected run, that of the Kubeflow pipeline, or a new one.

        The Kubeflow pipeline's is then finished: the report is its last task.
        """
        injected = store.injected_run()
        pipeline = None if injected else kubeflow_run(client, self._experiment)
        results.log_report(client, file, self._experiment, injected or pipeline)
        if pipeline:
            finish_pipeline(client, pipeline)

    @_in_background
    def publish_model(self, client: "MlflowClient", model: Path) -> None:
        """Bring the run of the model in the folder `model` up to date, and mark it finished."""
        _publish(client, model, self._experiment)

    @_in_background
    def complete_model(self, client: "MlflowClient", model: Path) -> None:
        """Do the same if the run is incomplete, since MLflow was unreachable when the training ended, or before."""
        run_id = store.find_run(client, read_reference(model)["run_id"])
        if run_id is None or not _is_complete(client, run_id, model):
            _publish(client, model, self._experiment)

    @_in_background
    def register(self, client: "MlflowClient", name: str, model: Path, alias: str, metric: str) -> bool:
        """Point `alias` of the registered model `name` to the model, unless the one that has it is better by `metric`.

        The result is whether the model has the alias now.
        """
        run_id = run_of(client, model, self._experiment)
        version = registry.log_model(client, run_id, model, read_description(model))
        return registry.point_alias(client, name, alias, version, metric) == version


def run_of(client: "MlflowClient", folder: Path, experiment: str) -> str:
    """Return the run of the model in `folder`; one that this store lacks is re-created from the folder."""
    return store.find_run(client, read_reference(folder)["run_id"]) or _publish(client, folder, experiment)


def _publish(client: "MlflowClient", folder: Path, experiment: str) -> str:
    """Bring the run of the model in `folder` up to date, create it where there is none, and return its id."""
    description, reference = read_description(folder), read_reference(folder)
    start, end = content.times(read_history(folder))
    run_id = store.find_run(client, reference["run_id"])
    if run_id is None:
        tags = {**reference.get("tags", {}), store.SOURCE_RUN: reference["run_id"]}
        run_id = store.create_run(client, experiment, description["name"], tags, start=start)
    content.describe(client, run_id, description)
    content.log_training(client, run_id, folder, description)
    if client.get_run(run_id).info.status != "FINISHED":
        client.set_terminated(run_id, "FINISHED", end)
    return run_id


def _is_complete(client: "MlflowClient", run_id: str, folder: Path) -> bool:
    """Return whether the run of the model in `folder` has ended well and holds what a training logs last."""
    run = client.get_run(run_id)
    metrics = {f"best/{key}" for key in read_description(folder)["validation"]}
    logged = run.outputs and run.outputs.model_outputs
    return bool(run.info.status == "FINISHED" and metrics <= run.data.metrics.keys() and logged)
