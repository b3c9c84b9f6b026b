"""Runs in MLflow: of a model that is being trained, and of finished folders (models, rungs, the report)."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError, first_line, without_password
from autoencoders.model_folder import read_description, read_reference
from autoencoders.model_folder.history import read_history
from autoencoders.params import Params
from autoencoders.runtime.process import drop_lost_outputs, was_stopped
from autoencoders.tracking import content, ladder_content, registry, store
from autoencoders.tracking.changes import RUN_NAME, give_name, name_by_changes
from autoencoders.tracking.client import tracking_uri
from autoencoders.tracking.lineage import MODEL_PREFIX, model_tags
from autoencoders.tracking.pipeline_run import finish_pipeline, kubeflow_run, parent_run, task_name
from autoencoders.tracking.recorder import EXIT_TIMEOUT, Recorder, is_failure_of_mlflow
from autoencoders.training.handover import RunMarks

if TYPE_CHECKING:
    from mlflow import MlflowClient

P = ParamSpec("P")
RESUMED_RUN = "autoencoders.resumed_run_id"
"""Tag of a run that took over an interrupted training: the id of the run that recorded its beginning."""


def name_launched(name: str) -> None:
    """Name the run that a launcher made for this process, if there is one, unless somebody has named it."""
    if run_id := store.injected_run():
        with Recorder() as recorder:
            recorder.attempt(lambda client: give_name(client, run_id, name))


class ModelRun(Recorder):
    """The MLflow run of one model's training; as a context manager it marks the run finished, failed or killed.

    It is the injected run, the run to `resume`, or a new one. Under `mlflow run -e train`, MLflow injects
    `MLFLOW_RUN_ID`: that run is the model's. Where DVC runs the stage, an injected run is the whole pipeline's: the
    model's run becomes its child, and the pipeline's is left as it is.

    `marks` hold the run's id from its beginning to its end. Runs of trainings that were killed are ended.
    """

    def __init__(
        self, params: Params, description: Mapping[str, Any], data: PreparedData, resume: str | None, marks: RunMarks
    ) -> None:
        super().__init__()
        self._monitor: Any = None
        self._marks = marks
        self._status = "FINISHED"
        self._tags = model_tags(description)
        self._example = example_of(data)
        self._opened = self._worker.submit(lambda: self._open(params.tracking.experiment, description, data, resume))

    @property
    def run_id(self) -> str:
        """The run's id; waits for MLflow, and raise `UserError` where it could not open the run."""
        return self._opened.result()

    def reference(self) -> dict[str, Any]:
        """Return what `run.json` holds: the run's id, and the tags with which `publish` can re-create it."""
        return {"run_id": self.run_id, "tags": self._tags}

    def raise_if_not_open(self) -> None:
        """Raise `UserError` where MLflow is already known to have failed to open the run; waits for nothing."""
        if self._opened.done():
            self._opened.result()

    def log_validation(self, row: content.HistoryRow) -> None:
        """Log the metrics of one row of the history."""
        self.attempt(lambda client: content.log_history(client, self.run_id, [row]))

    def log_reconstructions(self, images: content.Images, reconstructions: content.Images, step: int) -> None:
        """Log images of the validation split beside their reconstructions, both (N, C, H, W) in [0, 1].

        MLflow shows a run's as a series by step.
        """
        self.attempt(lambda client: content.log_reconstructions(client, self.run_id, images, reconstructions, step))

    def log_trained(self, folder: Path) -> None:
        """Log everything in the model's `folder` that the run lacks, and register the model."""

        def action(client: "MlflowClient") -> None:
            content.log_training(client, self.run_id, folder, read_description(folder), self._example)

        self.attempt(action, again=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            drop_lost_outputs()  # or the next write to them ends this process before the run's status is set
            self._status = "KILLED" if was_stopped(error) else "FAILED"
        self.attempt(self._close)
        try:
            super().__exit__(kind, error, at)
        except (KeyboardInterrupt, SystemExit):  # while the last calls are made
            self._status = "KILLED"
            self.finish(raises=False, timeout=EXIT_TIMEOUT)
            raise

    def _open(self, experiment: str, description: Mapping[str, Any], data: PreparedData, resume: str | None) -> str:
        try:
            client = self._client.result()
            self._tags |= name_by_changes(client, description, self._tags)
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
            return store.create_run(client, experiment, self._tags[RUN_NAME], self._tags, parent=parent)
        taken_over = {RESUMED_RUN: resume} if resume and resume != run_id else {}
        below = {store.PARENT: parent} if parent and parent != run_id else {}
        tags = {tag: value for tag, value in self._tags.items() if tag != RUN_NAME}
        content.set_tags(client, run_id, {**tags, **taken_over, **below})
        give_name(client, run_id, self._tags[RUN_NAME])
        if client.get_run(run_id).info.status != "RUNNING":
            client.update_run(run_id, status="RUNNING")
        return run_id

    def _mark(self, client: "MlflowClient", run_id: str, resumed: str | None) -> None:
        """Mark this training's run as running, and end those that a kill has left so."""
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
            self._monitor.finish()
        client.set_terminated(self.run_id, self._status)
        self._marks.unmark(self.run_id)


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

    def __init__(self, experiment: str, data: PreparedData | None = None, warns: bool = True) -> None:
        super().__init__()
        self._experiment = experiment
        self._data = data
        self.warns = warns

    @_in_background
    def log_evaluation(
        self,
        client: "MlflowClient",
        model: Path,
        metrics: Mapping[str, float],
        files: Iterable[Path],
        own: str | None = None,
    ) -> bool:
        """Log a model's `test/*` metrics and `files` to its run, and the metrics to the evaluation's `own` run.

        The result is whether the model's run lacked any.
        """
        run_id = self._run_of(client, model)
        named = {f"test/{key}": value for key, value in metrics.items()}
        changed = content.log_model_metrics(client, run_id, named, read_description(model))
        changed |= content.log_results(client, run_id, {file.name: file for file in files}, content.EVALUATION)
        if own:
            content.log_metrics(client, own, named)
        return changed

    @_in_background
    def log_figures(self, client: "MlflowClient", model: Path, figures: Mapping[str, Path]) -> bool:
        """Log figures to a model's run under the names given, the same in all runs, so that MLflow compares them.

        The result is whether the run lacked any.
        """
        return content.log_results(client, self._run_of(client, model), figures, content.FIGURES)

    @_in_background
    def log_worst(
        self, client: "MlflowClient", model: Path, make_table: Callable[[], Mapping[str, Sequence[Any]]]
    ) -> bool:
        """Log the table of a model's worst reconstructions to its run, unless that has it; the result is whether not.

        `make_table` returns columns of equal length; images are float32 (C, H, W) in [0, 1].
        """
        return content.log_table(client, self._run_of(client, model), make_table, "worst_reconstructions.json")

    @_in_background
    def log_rung(self, client: "MlflowClient", result: ladder_content.RungResult, *, own: bool = False) -> bool:
        """Record a rung: in the run that has it, with `own` in the injected run, or in a new one.

        The result is whether it was recorded now.
        """
        parent = None if own else parent_run(client, self._experiment, task_name())
        return ladder_content.log_rung(client, result, self._experiment, store.injected_run() if own else None, parent)

    @_in_background
    def name_models(self, client: "MlflowClient", models: Iterable[Path], of_task: str = "") -> None:
        """Name the runs of a Kubeflow pipeline's models in the pipeline's run: they may be of an earlier pipeline.

        `of_task` is the model of this process's task, where each model has a task.
        """
        pipeline = os.environ.get("KFP_RUN_ID")
        if pipeline and (parent := parent_run(client, self._experiment, task_name(of_task))):
            named = {f"{MODEL_PREFIX}{model.name}": self._run_of(client, model) for model in models}
            content.set_tags(client, parent, {"kfp_run": pipeline, **named})

    @_in_background
    def log_report(self, client: "MlflowClient", file: Path) -> bool:
        """Record the page `file`: in the run that has it, an injected run, that of the Kubeflow pipeline, or a new one.

        The Kubeflow pipeline's is then finished: the report is its last task. The result is whether the page was
        recorded now.
        """
        injected = store.injected_run()
        pipeline = None if injected else kubeflow_run(client, self._experiment)
        changed = ladder_content.log_report(client, file, self._experiment, injected or pipeline)
        if pipeline:
            finish_pipeline(client, pipeline)
        return changed

    @_in_background
    def publish_model(self, client: "MlflowClient", model: Path) -> bool:
        """Bring the run of the model in the folder `model` up to date and mark it finished, unless it is complete.

        It is incomplete where MLflow was unreachable during the training, and where an earlier version recorded it. The
        result is whether it was incomplete.
        """
        run_id = store.find_run(client, read_reference(model)["run_id"])
        changed = run_id is None or not _is_complete(client, run_id, model)
        if changed:
            self._publish(client, model)
        return changed

    @_in_background
    def register(
        self, client: "MlflowClient", name: str, model: Path, alias: str, metric: str, higher_is_better: bool
    ) -> bool:
        """Point `alias` of the registered model `name` to the model, unless the one that has it is better by `metric`.

        The result is whether the model has the alias now.
        """
        run_id, description = self._run_of(client, model), read_description(model)
        params, example = content.model_params(description), self._example(description)
        version = registry.log_model(client, run_id, model, description, params, example)
        return registry.point_alias(client, name, alias, version, metric, higher_is_better) == version

    def _run_of(self, client: "MlflowClient", folder: Path) -> str:
        """Return the run of the model in `folder`; one that this store lacks is re-created from the folder."""
        return store.find_run(client, read_reference(folder)["run_id"]) or self._publish(client, folder)

    def _publish(self, client: "MlflowClient", folder: Path) -> str:
        """Bring the run of the model in `folder` up to date, create it where there is none, and return its id."""
        description, reference = read_description(folder), read_reference(folder)
        start, end = content.times(read_history(folder))
        run_id = store.find_run(client, reference["run_id"])
        if run_id is None:
            tags = {**reference.get("tags", {}), store.SOURCE_RUN: reference["run_id"]}
            name = tags.get(RUN_NAME, description["name"])
            run_id = store.create_run(client, self._experiment, name, tags, start=start)
        content.describe(client, run_id, description)
        content.log_training(client, run_id, folder, description, self._example(description))
        if client.get_run(run_id).info.status != "FINISHED":
            client.set_terminated(run_id, "FINISHED", end)
        return run_id

    def _example(self, description: Mapping[str, Any]) -> content.Images | None:
        """Return an image for those who use a model, if this has the data that it was trained on."""
        is_of_model = self._data and self._data.info.content_hash == description["dataset"]["content_hash"]
        return example_of(self._data) if self._data and is_of_model else None


def example_of(data: PreparedData) -> content.Images:
    """Return the first test image as a batch of one, float32 (1, C, H, W) in [0, 1]."""
    return data.split("test").images[:1].astype(np.float32) / np.float32(255)


def _is_complete(client: "MlflowClient", run_id: str, folder: Path) -> bool:
    """Return whether the run of the model in `folder` has ended well and holds what a training logs last."""
    run = client.get_run(run_id)
    return run.info.status == "FINISHED" and content.holds(client, run, read_description(folder))
