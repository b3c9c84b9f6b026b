"""What started this process: by itself, `mlflow run`, DVC, or Kubeflow Pipelines, and the run that it made for it."""

import os
from typing import TYPE_CHECKING

from autoencoders.tracking.origin import circumstances
from autoencoders.tracking.store import create_run, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

PIPELINE = "kfp_pipeline"
"""Tag of the run of a whole Kubeflow pipeline: the pipeline run's id, as `kfp_run` is of each of its tasks' runs."""


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


def run_above(client: "MlflowClient", experiment: str) -> str | None:
    """Return the run below which that of a training belongs, which then runs: the injected or the Kubeflow pipeline's.

    A task that failed marks the latter's as failed, and may be tried again.
    """
    if injected := injected_run():
        return injected
    above = kubeflow_run(client, experiment)
    if above and client.get_run(above).info.status != "RUNNING":
        client.update_run(above, status="RUNNING")
    return above


def _oldest(client: "MlflowClient", experiment: str, pipeline: str) -> str | None:
    found = client.search_runs([experiment_id(client, experiment)], f"tags.`{PIPELINE}` = '{pipeline}'")
    oldest = min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)
    return oldest.info.run_id if oldest else None
