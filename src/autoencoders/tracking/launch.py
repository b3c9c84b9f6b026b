"""What started this process: by itself, `mlflow run`, DVC, or Kubeflow Pipelines, and the run that it made for it."""

import json
import os
from typing import TYPE_CHECKING

from autoencoders.tracking.origin import run_context
from autoencoders.tracking.store import create_run, existing, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

PIPELINE = "kfp_pipeline"
"""Tag of the run of a whole Kubeflow pipeline: the pipeline run's id, as `kfp_run` is of each of its tasks' runs."""

PLUGIN = "KFP_MLFLOW_CONFIG"
"""Environment variable: JSON, what Kubeflow's plugin for MLflow knows, in all pods of a run for which it is on."""


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
    if found := find_kubeflow_run(client, experiment):
        return found
    tags = {name: value for name, value in run_context().items() if name != "kfp_task"}
    own = create_run(client, experiment, f"kubeflow {pipeline[:8]}", {**tags, PIPELINE: pipeline})
    oldest = _oldest(client, experiment, pipeline) or own
    if oldest != own:
        client.delete_run(own)
    return oldest


def find_kubeflow_run(client: "MlflowClient", experiment: str) -> str | None:
    """Return that run where there is one: the one that Kubeflow's plugin made, or that a task of the pipeline made."""
    pipeline = os.environ.get("KFP_RUN_ID")
    return plugin_run(client) or _oldest(client, experiment, pipeline) if pipeline else None


def plugin_run(client: "MlflowClient") -> str | None:
    """Return the run that Kubeflow's plugin for MLflow made for this pipeline, if the plugin records where we do.

    It tells each pod of it, though it injects no variables of MLflow's there unless it is told to.
    """
    try:
        settings = json.loads(os.environ.get(PLUGIN) or "{}")
    except ValueError:
        return None
    values = {key.lower(): value for key, value in settings.items()} if isinstance(settings, dict) else {}
    run_id = values.get("parentrunid")
    return existing(client, run_id) if isinstance(run_id, str) and run_id else None


def _oldest(client: "MlflowClient", experiment: str, pipeline: str) -> str | None:
    found = client.search_runs([experiment_id(client, experiment)], f"tags.`{PIPELINE}` = '{pipeline}'")
    oldest = min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)
    return oldest.info.run_id if oldest else None
