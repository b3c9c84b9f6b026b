"""The run in MLflow of a model that is being trained."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError, first_line, without_password
from autoencoders.model_folder import read_description
from autoencoders.params import Params
from autoencoders.runtime.process import drop_lost_outputs, was_stopped
from autoencoders.tracking import content, store
from autoencoders.tracking.client import tracking_uri
from autoencoders.tracking.kfp_run import task_name
from autoencoders.tracking.kfp_status import parent_run
from autoencoders.tracking.lineage import model_tags
from autoencoders.tracking.recorder import EXIT_TIMEOUT, Recorder, is_failure_of_mlflow
from autoencoders.training.handover import RunMarks

if TYPE_CHECKING:
    from mlflow import MlflowClient

RESUMED_RUN = "autoencoders.resumed_run_id"
"""Tag of a run that took over an interrupted training: the id of the run that recorded its beginning."""


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

    def log_epoch(self, row: content.EpochMetrics) -> None:
        """Log the metrics of one epoch."""
        self.attempt(lambda client: content.log_history(client, self.run_id, [row]))

    def log_trained(self, folder: Path) -> None:
        """Log everything in the model's `folder` that the run lacks, and register the model."""
        self.attempt(
            lambda client: content.log_training(client, self.run_id, folder, read_description(folder)), again=True
        )

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
        self._marks.unmark(self.run_id)
