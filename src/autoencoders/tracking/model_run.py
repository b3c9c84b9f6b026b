"""The run of one training, from before its first epoch to its end."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError, first_line, without_password
from autoencoders.params import Params
from autoencoders.runtime.process import drop_lost_outputs, was_stopped
from autoencoders.tracking import content
from autoencoders.tracking.client import tracking_uri
from autoencoders.tracking.kfp_status import run_above, task_name
from autoencoders.tracking.launch import injected_run, is_of_pipeline
from autoencoders.tracking.origin import origin_tags
from autoencoders.tracking.recorder import PATIENCE, Recorder, is_failure_of_mlflow
from autoencoders.tracking.runs import sync
from autoencoders.tracking.store import PARENT, create_run, existing

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
        """Return the runs whose trainings are no more."""


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
        self._tags = origin_tags(description)
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

    def log_epoch(self, row: content.Row) -> None:
        """Log the metrics of one epoch."""
        self.attempt(lambda client: content.log_history(client, self.run_id, [row]))

    def log_trained(self, folder: Path) -> None:
        """Bring the run up to date with the model's `folder`, whatever it lacks, and register the model."""
        self.attempt(lambda client: sync(client, self.run_id, folder), again=True)

    def __enter__(self) -> "ModelRun":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            drop_lost_outputs()  # or the next word to them ends this before its status is told
            self._status = "KILLED" if was_stopped(error) else "FAILED"
        self.attempt(self._close)
        try:
            self.finish(tell=kind is None, timeout=None if kind is None else PATIENCE)
        except (KeyboardInterrupt, SystemExit):  # while the last things are recorded
            self._status = "KILLED"
            self.finish(tell=False, timeout=PATIENCE)
            raise

    def _open(self, experiment: str, description: Mapping[str, Any], data: PreparedData, resume: str | None) -> str:
        try:
            client = self._client.result()
            run_id = self._find_or_create(client, experiment, description["name"], resume)
            self._mark(client, run_id, resume)
            content.describe(client, run_id, description, str(data.root.resolve()))
            self._monitor = _system_monitor(run_id, goes_on=bool(resume))
        except Exception as error:
            self.warns, self.offline = False, True  # the training ends with this error: no work goes on
            if is_failure_of_mlflow(error):
                where = without_password(tracking_uri())
                raise UserError(f"MLflow at {where} cannot open a run: {first_line(error)}") from None
            raise
        return run_id

    def _find_or_create(self, client: "MlflowClient", experiment: str, name: str, resume: str | None) -> str:
        injected = injected_run()
        if injected and existing(client, injected) is None:
            where = without_password(tracking_uri())
            raise UserError(f"MLFLOW_RUN_ID names the run {injected}, which {where} does not have. Unset it.")
        resume = existing(client, resume) if resume else None
        run_id = injected if injected and not is_of_pipeline() else resume
        above = run_above(client, experiment, task_name(name))
        if run_id is None:
            return create_run(client, experiment, name, self._tags, parent=above)
        taken_over = {RESUMED_RUN: resume} if resume and resume != run_id else {}
        below = {PARENT: above} if above and above != run_id else {}
        content.set_tags(client, run_id, {**self._tags, **taken_over, **below})
        if client.get_run(run_id).info.status != "RUNNING":
            client.update_run(run_id, status="RUNNING")
        return run_id

    def _mark(self, client: "MlflowClient", run_id: str, resumed: str | None) -> None:
        """Mark this training's run as running, and end those that a kill has left so."""
        if self._marks is None:
            return
        self._marks.mark(run_id)
        if resumed and resumed != run_id and not existing(client, resumed):
            self._marks.unmark(resumed)  # of another store
        for left in self._marks.abandoned():
            if left != run_id and existing(client, left):
                if client.get_run(left).info.status == "RUNNING":
                    client.set_terminated(left, "KILLED")
                self._marks.unmark(left)

    def _close(self, client: "MlflowClient") -> None:
        if self._monitor:
            self._monitor.finish()
            if self._status == "FINISHED" and self._monitor.mlflow_logger.previous_training_timestamp is None:
                _sample(self._monitor)
        client.set_terminated(self.run_id, self._status)
        if self._marks:
            self._marks.unmark(self.run_id)


def _system_monitor(run_id: str, goes_on: bool) -> Any:
    import psutil
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    psutil.cpu_percent()  # it measures since its last call: without this one, a short training would use 0 %
    monitor = SystemMetricsMonitor(run_id, sampling_interval=5, resume_logging=goes_on)
    monitor.start()
    return monitor


def _sample(monitor: Any) -> None:
    """Log one sample for a training that was shorter than the interval of the samples."""
    monitor.collect_metrics()
    monitor.publish_metrics(monitor.aggregate_metrics())
    monitor.mlflow_logger.flush()
