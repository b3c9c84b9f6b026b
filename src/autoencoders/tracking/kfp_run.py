"""MLflow's run of a Kubeflow pipeline: found or created, and the failures that its tags hold."""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from autoencoders.tracking import store
from autoencoders.tracking.content import set_tags
from autoencoders.tracking.lineage import run_context

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FAILED_TASK = "kfp_failed_task"  # tag of a pipeline's run: the task that failed, or was stopped
ERROR = "kfp_error"  # tag of a pipeline's run: that task's error
FAILURE_PREFIX = "kfp_failure."
"""Prefix of tags of a pipeline's run, one for each task that failed or was stopped and was not retried: the status, and
the task's error."""


def task_name(model: str = "") -> str:
    """Return the name of this process's task: the stage and, where each model has a task, the model."""
    stage = os.environ.get("KFP_TASK", "")
    return f"{stage} {model}" if model else stage


def kubeflow_run(client: "MlflowClient", experiment: str) -> str | None:
    """Return the run of the Kubeflow pipeline that this process is a task of, or None outside Kubeflow.

    The first task creates it. Where several tasks did so at once, the oldest run stays and the others are deleted.
    """
    if found := store.find_kubeflow_run(client):
        return found
    pipeline = os.environ.get("KFP_RUN_ID")
    if not pipeline:
        return None
    tags = {name: value for name, value in run_context().items() if name != "kfp_task"}
    own = store.create_run(client, experiment, f"kubeflow {pipeline[:8]}", {**tags, store.PIPELINE: pipeline})
    oldest = store.tagged(client, store.PIPELINE, pipeline) or own
    if oldest != own:
        client.delete_run(own)
    return oldest


def left_running(client: "MlflowClient", run_id: str, pipeline: str) -> list["Run"]:
    """Return a pipeline's child runs, by their parent or by their tag, that have not ended."""
    found: dict[str, Run] = {}
    for tag, value in {store.PARENT: run_id, "kfp_run": pipeline}.items():
        where = f"tags.`{tag}` = '{value}' and attributes.status = 'RUNNING'"
        found |= {run.info.run_id: run for run in client.search_runs(store.experiment_ids(client), where)}
    found.pop(run_id, None)
    return list(found.values())


def failures_of(run: "Run") -> dict[str, str]:
    """Return status and error of each task that failed and was not tried again."""
    tags = run.data.tags
    return {
        tag.removeprefix(FAILURE_PREFIX): text for tag, text in sorted(tags.items()) if tag.startswith(FAILURE_PREFIX)
    }


def show_worst(client: "MlflowClient", run: "Run", failures: Mapping[str, str]) -> None:
    """Give a pipeline's run the status and the error of the worst of its failures."""
    status = "FAILED" if any(failure.startswith("FAILED") for failure in failures.values()) else "KILLED"
    worst = [task for task, failure in failures.items() if failure.startswith(status)]
    shown = run.data.tags.get(FAILED_TASK)
    task = shown if shown in worst else worst[0]
    error = failures[task].partition(" ")[2]
    set_tags(client, run.info.run_id, {tag: text for tag, text in {FAILED_TASK: task, ERROR: error}.items() if text})
    if run.info.status != status:
        client.set_terminated(run.info.run_id, status)


def delete_tags(client: "MlflowClient", run: "Run", tags: set[str]) -> None:
    """Delete those of `tags` that the run has."""
    from mlflow.exceptions import MlflowException

    for tag in tags & run.data.tags.keys():
        with suppress(MlflowException):  # another task, which begins at the same time, was faster
            client.delete_tag(run.info.run_id, tag)
