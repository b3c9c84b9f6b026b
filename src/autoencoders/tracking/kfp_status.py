"""How MLflow's run of a Kubeflow pipeline ends: by its last stage, by a task that fails, or by what ran it.

A run that Kubeflow's own plugin for MLflow injected, and what that made above it, are the plugin's to end.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from autoencoders.tracking.content import set_tags
from autoencoders.tracking.launch import PIPELINE, injected_run, kubeflow_run
from autoencoders.tracking.recorder import PATIENCE, Recorder
from autoencoders.tracking.store import PARENT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FAILED_TASK = "kfp_failed_task"
"""Tag of a pipeline's run: the task that failed, or was stopped."""
ERROR = "kfp_error"
"""Tag of a pipeline's run: what that task said of it."""


def end_pipeline(client: "MlflowClient", run_id: str, status: str, task: str = "", error: str = "") -> None:
    """Mark a pipeline's run as ended; a success takes back what an earlier attempt of a task left of its failure."""
    if status == "FINISHED":
        for tag in {FAILED_TASK, ERROR} & client.get_run(run_id).data.tags.keys():
            client.delete_tag(run_id, tag)
    else:
        set_tags(client, run_id, {tag: text for tag, text in {FAILED_TASK: task, ERROR: error}.items() if text})
    client.set_terminated(run_id, status)


def break_off_pipeline(experiment: str, status: str, error: str) -> None:
    """Mark the run of the pipeline that this process is a failing task of.

    The task may be tried again. Where MLflow does not answer, nothing is said: the process has its own error to tell.
    """

    def action(client: "MlflowClient", run_id: str) -> None:
        end_pipeline(client, run_id, status, os.environ.get("KFP_TASK", ""), error)

    _with_pipeline(experiment, action, warns=False)


def interrupt_pipeline(experiment: str) -> None:
    """End the run of this pipeline, which was interrupted from outside its tasks, and what these left running."""

    def action(client: "MlflowClient", run_id: str) -> None:
        left = _left_running(client, run_id)
        for run in left:
            client.set_terminated(run.info.run_id, "KILLED")
        if client.get_run(run_id).info.status == "RUNNING":
            tasks = sorted({run.data.tags.get("kfp_task", "") for run in left})
            end_pipeline(client, run_id, "KILLED", ", ".join(tasks), "interrupted")

    _with_pipeline(experiment, action, warns=True)


def close_pipeline(pipeline: str, experiment: str, status: str, task: str = "", error: str = "") -> str | None:
    """Mark MLflow's run of the Kubeflow run `pipeline`, which has ended, as `status`, and return its page.

    For who watches a pipeline from outside; `task` failed, and said `error`. A run that has ended already keeps its
    status. Where MLflow does not answer, nothing happens; where it has no such run, or no page, None is returned.
    """
    from autoencoders.tracking.links import ABOVE, pages
    from autoencoders.tracking.store import tagged

    def attempt(client: "MlflowClient") -> None:
        run_id = tagged(client, PIPELINE, pipeline)
        if run_id and client.get_run(run_id).info.status == "RUNNING":
            end_pipeline(client, run_id, status, task, error)

    recorder = Recorder()
    recorder.warns = False
    recorder.attempt(attempt)
    recorder.finish(tell=False, timeout=PATIENCE)
    return pages({}, pipeline).get(ABOVE)


def _with_pipeline(experiment: str, action: Callable[["MlflowClient", str], None], warns: bool) -> None:
    """Call `action` with the run of the Kubeflow pipeline that this process is a task of, where there is one."""
    if injected_run() or not os.environ.get("KFP_RUN_ID") or not os.environ.get("MLFLOW_TRACKING_URI"):
        return

    def attempt(client: "MlflowClient") -> None:
        if run_id := kubeflow_run(client, experiment):
            action(client, run_id)

    recorder = Recorder()
    recorder.warns = warns
    recorder.attempt(attempt)
    recorder.finish(tell=warns, timeout=None if warns else PATIENCE)


def _left_running(client: "MlflowClient", pipeline: str) -> list["Run"]:
    """Return the runs that belong to a pipeline's, by their place below it or by their tag, and have not ended."""
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    found = {}
    for tag, value in {PARENT: pipeline, "kfp_run": os.environ["KFP_RUN_ID"]}.items():
        for run in client.search_runs(everywhere, f"tags.`{tag}` = '{value}' and attributes.status = 'RUNNING'"):
            found[run.info.run_id] = run
    found.pop(pipeline, None)
    return list(found.values())
