"""Runs in MLflow: of a model that is being trained, and of finished folders: models, rungs and the report."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError, first_line, without_password
from autoencoders.model_folder import read_description, read_reference
from autoencoders.model_folder.history import read_history
from autoencoders.params import Params
from autoencoders.runtime.process import drop_lost_outputs, was_stopped
from autoencoders.tracking import content, registry, store
from autoencoders.tracking.client import tracking_uri
from autoencoders.tracking.kfp_status import finish_pipeline, kubeflow_run, parent_run, task_name
from autoencoders.tracking.lineage import MODEL, model_tags
from autoencoders.tracking.recorder import EXIT_TIMEOUT, Recorder, is_failure_of_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

RESUMED_RUN = "autoencoders.resumed_run_id"
"""Tag of a run that took over an interrupted training: the id of the run that recorded its beginning."""


class Marks(Protocol):
    """Where it is kept which runs are of trainings that go on, for who comes after a kill."""

    def mark(self, run_id: str) -> None:
        """Keep that this training reports to a run."""

    def unmark(self, run_id: str) -> None:
        """Keep that a run has ended."""

    def abandoned(self) -> list[str]:
        """Return the runs whose trainings no longer go on."""


class ModelRun(Recorder):
    """The MLflow run of one model's training; as a context manager it marks the run finished, failed or killed.

    It is the injected run, the run to `resume`, or a new one. Under `mlflow run -e train`, MLflow injects
    `MLFLOW_RUN_ID`: that run is the model's. Where DVC runs the stage, an injected run is the whole pipeline's: the
    model's run becomes its child, and the pipeline's is left as it is.

    `marks` hold the run's id from its beginning to its end; runs whose trainings were killed before theirs are ended.
    """

    def __init__(
        self,
        params: Params,
        description: Mapping[str, Any],
        data: PreparedData,
        resume: str | None = None,
        marks: Marks | None = None,
    ) -> None:
        super().__init__()
        self._monitor: Any = None
        self._marks = marks
        self._status = "FINISHED"
        self._tags = model_tags(description)
        self._opened = self._worker.submit(lambda: self._open(params.tracking.experiment, description, data, resume))

    @property
    def run_id(self) -> str:
        """The run's id; waits for MLflow, and raises `UserError` where it could not open the run."""
        return self._opened.result()

    def reference(self) -> dict[str, Any]:
        """Return what `run.json` holds: the run's id, and the tags with which `publish` can re-create it."""
        return {"run_id": self.run_id, "tags": self._tags}

    def raise_if_not_open(self) -> None:
        """Raise `UserError` where MLflow could not open the run, as far as that is known; waits for nothing."""
        if self._opened.done():
            self._opened.result()

    def log_epoch(self, row: content.EpochMetrics) -> None:
        """Log the metrics of one epoch."""
        self.attempt(lambda client: content.log_history(client, self.run_id, [row]))

    def log_trained(self, folder: Path) -> None:
        """Bring the run up to date with the model's `folder`, whatever it lacks, and register the model."""
        self.attempt(lambda client: _sync(client, self.run_id, folder), again=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            drop_lost_outputs()  # or the next write to them ends this process before the run's status is set
            self._status = "KILLED" if was_stopped(error) else "FAILED"
        self.attempt(self._close)
        try:
            super().__exit__(kind, error, at)
        except (KeyboardInterrupt, SystemExit):  # while the last things are recorded
            self._status = "KILLED"
            self.finish(raises=False, timeout=EXIT_TIMEOUT)
            raise

    def _open(self, experiment: str, description: Mapping[str, Any], data: PreparedData, resume: str | None) -> str:
        try:
            client = self._client.result()
            run_id = self._find_or_create(client, experiment, description["name"], resume)
            self._mark(client, run_id, resume)
            content.describe(client, run_id, description, str(data.root.resolve()))
            self._monitor = content.start_system_monitor(run_id, resumed=bool(resume))
        except Exception as error:
            self.warns, self.offline = False, True  # the training ends with this error: no work goes on
            if is_failure_of_mlflow(error):
                where = without_password(tracking_uri())
                raise UserError(f"MLflow at {where} cannot open a run: {first_line(error)}") from None
            raise
        return run_id

    def _find_or_create(self, client: "MlflowClient", experiment: str, name: str, resume: str | None) -> str:
        injected = store.injected_run()
        if injected and store.existing(client, injected) is None:
            where = without_password(tracking_uri())
            raise UserError(f"MLFLOW_RUN_ID names the run {injected}, which {where} does not have. Unset it.")
        resume = store.existing(client, resume) if resume else None
        run_id = injected if injected and not store.is_of_pipeline() else resume
        parent = parent_run(client, experiment, task_name(name))
        if run_id is None:
            return store.create_run(client, experiment, name, self._tags, parent=parent)
        taken_over = {RESUMED_RUN: resume} if resume and resume != run_id else {}
        below = {store.PARENT: parent} if parent and parent != run_id else {}
        content.set_tags(client, run_id, {**self._tags, **taken_over, **below})
        if client.get_run(run_id).info.status != "RUNNING":
            client.update_run(run_id, status="RUNNING")
        return run_id

    def _mark(self, client: "MlflowClient", run_id: str, resumed: str | None) -> None:
        """Mark this training's run as running, and end those that a kill has left so."""
        if self._marks is None:
            return
        self._marks.mark(run_id)
        if resumed and resumed != run_id and not store.existing(client, resumed):
            self._marks.unmark(resumed)  # of another store
        for left in self._marks.abandoned():
            if left != run_id and store.existing(client, left):
                if client.get_run(left).info.status == "RUNNING":
                    client.set_terminated(left, "KILLED")
                self._marks.unmark(left)

    def _close(self, client: "MlflowClient") -> None:
        if self._monitor:
            content.finish_system_monitor(self._monitor, sample=self._status == "FINISHED")
        client.set_terminated(self.run_id, self._status)
        if self._marks:
            self._marks.unmark(self.run_id)


class RunPublisher(Recorder):
    """The runs of finished models, for the stages after training, and those of the rungs and the report."""

    def __init__(self, experiment: str, warns: bool = True) -> None:
        super().__init__()
        self._experiment = experiment
        self.warns = warns

    def log_evaluation(
        self, model: Path, metrics: Mapping[str, float], files: Iterable[Path] = (), own: str | None = None
    ) -> "Future[Any]":
        """Log a model's `test/*` metrics and `files` to its run, and the metrics to the evaluation's `own` run."""

        def action(client: "MlflowClient") -> None:
            run_id = run_of(client, model, self._experiment)
            named = {f"test/{key}": value for key, value in metrics.items()}
            content.log_metrics(client, run_id, named)
            content.log_files(client, run_id, files, "evaluation")
            if own:
                content.log_metrics(client, own, named)

        return self.attempt(action)

    def log_figures(self, model: Path, figures: Mapping[str, Path]) -> "Future[Any]":
        """Log figures to a model's run under the names given, the same in all runs, so that MLflow compares them."""

        def action(client: "MlflowClient") -> None:
            run_id = run_of(client, model, self._experiment)
            content.log_files_as(client, run_id, figures, "figures")

        return self.attempt(action)

    def log_rung(self, result: content.RungResult, *, own: bool = False) -> "Future[Any]":
        """Record a rung: in the run that has it, with `own` in the injected run, or in a new one."""

        def action(client: "MlflowClient") -> None:
            parent = None if own else parent_run(client, self._experiment, task_name())
            content.log_rung(client, result, self._experiment, store.injected_run() if own else None, parent)

        return self.attempt(action)

    def name_models(self, models: Iterable[Path], of_task: str = "") -> "Future[Any]":
        """Name the runs of a Kubeflow pipeline's models in the pipeline's run: they may be of an earlier pipeline.

        `of_task` is the model of this process's task, where each model has a task.
        """

        def action(client: "MlflowClient") -> None:
            pipeline = os.environ.get("KFP_RUN_ID")
            parent = parent_run(client, self._experiment, task_name(of_task)) if pipeline else None
            if parent:
                named = {f"{MODEL}{model.name}": run_of(client, model, self._experiment) for model in models}
                content.set_tags(client, parent, {"kfp_run": str(pipeline), **named})

        return self.attempt(action)

    def log_report(self, file: Path) -> "Future[Any]":
        """Record the page `file`: in the run that has it, an injected run, that of the Kubeflow pipeline, or a new one.

        The Kubeflow pipeline's is then finished: the report is its last task.
        """

        def action(client: "MlflowClient") -> None:
            injected = store.injected_run()
            pipeline = None if injected else kubeflow_run(client, self._experiment)
            content.log_report(client, file, self._experiment, injected or pipeline)
            if pipeline:
                finish_pipeline(client, pipeline)

        return self.attempt(action)

    def publish_model(self, model: Path) -> "Future[Any]":
        """Bring the run of the model in the folder `model` up to date, and mark it finished."""
        return self.attempt(lambda client: _publish(client, model, self._experiment))

    def complete_model(self, model: Path) -> "Future[Any]":
        """Do the same where the run lacks something: MLflow was away while, or when, the training ended."""

        def action(client: "MlflowClient") -> None:
            run_id = store.find_run(client, read_reference(model)["run_id"])
            if run_id is None or not _is_complete(client, run_id, model):
                _publish(client, model, self._experiment)

        return self.attempt(action)

    def register(self, name: str, model: Path, alias: str, metric: str) -> "Future[Any]":
        """Point `alias` of the registered model `name` to the model, unless the one that has it is better by `metric`.

        The result is whether the model has the alias now.
        """

        def action(client: "MlflowClient") -> bool:
            run_id = run_of(client, model, self._experiment)
            version = registry.log_model(client, run_id, model, read_description(model))
            return registry.point_alias(client, name, alias, version, metric) == version

        return self.attempt(action)


def run_of(client: "MlflowClient", folder: Path, experiment: str) -> str:
    """Return the run of the model in `folder`; one that this store lacks is re-created from the folder."""
    return store.find_run(client, read_reference(folder)["run_id"]) or _publish(client, folder, experiment)


def _publish(client: "MlflowClient", folder: Path, experiment: str) -> str:
    """Bring the run of the model in `folder` up to date, whatever of it there is, and return its id."""
    description, reference = read_description(folder), read_reference(folder)
    start, end = content.times(read_history(folder))
    run_id = store.find_run(client, reference["run_id"])
    if run_id is None:
        tags = {**reference.get("tags", {}), store.SOURCE_RUN: reference["run_id"]}
        run_id = store.create_run(client, experiment, description["name"], tags, start=start)
    content.describe(client, run_id, description)
    _sync(client, run_id, folder)
    if client.get_run(run_id).info.status != "FINISHED":
        client.set_terminated(run_id, "FINISHED", end)
    return run_id


def _sync(client: "MlflowClient", run_id: str, folder: Path) -> None:
    """Log what `folder` holds and the run lacks: history, validation results, the model itself."""
    description = read_description(folder)
    content.log_training(client, run_id, folder, description)
    registry.log_model(client, run_id, folder, description)


def _is_complete(client: "MlflowClient", run_id: str, folder: Path) -> bool:
    """Tell whether the run of the model in `folder` has ended well and holds what a training logs last."""
    run = client.get_run(run_id)
    results = {f"best/{key}" for key in read_description(folder)["validation"]}
    logged = run.outputs and run.outputs.model_outputs
    return bool(run.info.status == "FINISHED" and results <= run.data.metrics.keys() and logged)
