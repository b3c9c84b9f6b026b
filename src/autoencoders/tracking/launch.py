"""What started this process: by itself, `mlflow run`, DVC, or Kubeflow Pipelines, and the run that it made for it."""

import os
from typing import TYPE_CHECKING

from autoencoders.tracking.origin import circumstances
from autoencoders.tracking.recorder import PATIENCE, Recorder
from autoencoders.tracking.store import create_run, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

PIPELINE = "kfp_pipeline"
"""Tag of the run of a whole Kubeflow pipeline: the pipeline run's id, as `kfp_run` is of each of its tasks' runs."""

BROKEN_OFF = "kfp_failed_task"
"""Tag of the run of a whole Kubeflow pipeline: the task that failed last, or was stopped."""


def injected_run() -> str | None:
    """Return the run that a launcher (`mlflow run`, Kubeflow Pipelines) made for this process to join."""
    return os.environ.get("MLFLOW_RUN_ID") or None


def is_of_pipeline() -> bool:
    """Tell whether an injected run is that of the pipeline as a whole: DVC, which runs this stage, inherited it."""
    return "DVC_STAGE" in os.environ


def launched_alone() -> bool:
    """Tell whether a launcher made a run for just this stage."""
    return injected_run() is not None and not is_of_pipeline()


def kubeflow_run(client: "MlflowClient", experiment: str) -> str | None:
    """Return the run of the Kubeflow pipeline that this process is a task of, or None where it is of none.

    The task that comes first makes it. Where several come first, the oldest run stays and the others are deleted.
    """
    pipeline = os.environ.get("KFP_RUN_ID")
    if not pipeline:
        return None
    if found := _oldest(client, experiment, pipeline):
        return found
    tags = {name: value for name, value in circumstances().items() if name != "kfp_task"}
    own = create_run(client, experiment, f"kubeflow {pipeline[:8]}", {**tags, PIPELINE: pipeline})
    oldest = _oldest(client, experiment, pipeline) or own
    if oldest != own:
        client.delete_run(own)
    return oldest


def end_pipeline(client: "MlflowClient", run_id: str, status: str, task: str | None = None) -> None:
    """Mark the run of a Kubeflow pipeline as ended, by `task` where that failed or was stopped."""
    if task:
        client.set_tag(run_id, BROKEN_OFF, task)
    elif BROKEN_OFF in client.get_run(run_id).data.tags:  # it was tried again, and then succeeded
        client.delete_tag(run_id, BROKEN_OFF)
    client.set_terminated(run_id, status)


def break_off_pipeline(status: str, experiment: str) -> None:
    """Mark the run of the Kubeflow pipeline that this process is a failing task of; a later success takes it back.

    A run that a launcher injected is the launcher's to end. Where MLflow does not answer, nothing is said: the process
    has its own error to tell.
    """
    if injected_run() or not os.environ.get("KFP_RUN_ID") or not os.environ.get("MLFLOW_TRACKING_URI"):
        return

    def action(client: "MlflowClient") -> None:
        if run_id := kubeflow_run(client, experiment):
            end_pipeline(client, run_id, status, os.environ.get("KFP_TASK", "?"))

    recorder = Recorder()
    recorder.warns = False
    recorder.attempt(action)
    recorder.finish(tell=False, timeout=PATIENCE)


def _oldest(client: "MlflowClient", experiment: str, pipeline: str) -> str | None:
    found = client.search_runs([experiment_id(client, experiment)], f"tags.`{PIPELINE}` = '{pipeline}'")
    oldest = min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)
    return oldest.info.run_id if oldest else None
