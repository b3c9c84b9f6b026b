"""MLflow's run of a Kubeflow pipeline, and its status: while tasks run, and once the pipeline has ended.

A task that fails, or is stopped, marks the run. Only its own next attempt takes that back: other tasks may go on, and
finish, in a pipeline that has failed. The last task finishes the run. A status from outside the pipeline overrides
those of tasks: Kubeflow knows what no task can report, such as pods that never ran, or were lost.

A run that Kubeflow's own plugin for MLflow made is ended by the plugin.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.runtime.pod import kfp_run
from autoencoders.tracking import store
from autoencoders.tracking.content import set_tags
from autoencoders.tracking.lineage import PIPELINE_RUN, run_context, run_urls
from autoencoders.tracking.recorder import EXIT_TIMEOUT, Recorder, is_failure_of_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FAILED_TASK = "kfp_failed_task"  # tag of a pipeline's run: the task that failed, or was stopped
ERROR = "kfp_error"  # tag of a pipeline's run: that task's error
FAILURE_PREFIX = "kfp_failure."
"""Prefix of tags of a pipeline's run, one for each task that failed or was stopped and was not retried: the status, and
the task's error."""
CLOSED = "kfp_state"  # tag of a pipeline's run: the status with which Kubeflow ended it
MAX_SECONDS_ASKING = 5.0
"""Seconds after which Kubeflow is asked about no further run, so that the task can begin its work."""
FIRST_STAGES = ("download", "prepare")
"""Stages on which all others depend: once another task begins, they have succeeded."""
KFP_SERVER = "http://ml-pipeline.kubeflow:8888"
"""The usual address of Kubeflow Pipelines' server, for pods of other namespaces than its own."""
TOKEN_FILE = "/var/run/secrets/kubeflow/pipelines/token"
REQUEST_TIMEOUT = 2.0  # seconds


def ended_status(pipeline: str) -> str | None:
    """Return MLflow's status for the Kubeflow run `pipeline`; None where it has not ended, or is unknown there.

    Raise `OSError` where the server does not answer.
    """
    import requests

    host, port = (os.environ.get(f"ML_PIPELINE_SERVICE_{what}") for what in ("HOST", "PORT"))
    server = f"http://{host}:{port}" if host and port else KFP_SERVER
    token = Path(os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or TOKEN_FILE)
    headers = {"Authorization": f"Bearer {token.read_text(encoding='utf-8').strip()}"} if token.exists() else {}
    answer = requests.get(f"{server}/apis/v2beta1/runs/{pipeline}", headers=headers, timeout=REQUEST_TIMEOUT)
    run = answer.json() if answer.ok else None
    return status_in(run) if isinstance(run, dict) else None


def status_in(run: Mapping[str, Any]) -> str | None:
    """Return MLflow's status for a Kubeflow run as its server describes it; None for one that has not ended.

    A run that was terminated by hand ends as FAILED there; that it was CANCELING before distinguishes it.
    """
    history = [step.get("state") for step in run.get("state_history") or []]
    state = "CANCELED" if run.get("state") == "FAILED" and "CANCELING" in history else run.get("state")
    return {"SUCCEEDED": "FINISHED", "FAILED": "FAILED", "CANCELED": "KILLED"}.get(str(state))


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


def _left_running(client: "MlflowClient", run_id: str, pipeline: str) -> list["Run"]:
    """Return a pipeline's child runs, by their parent or by their tag, that have not ended."""
    found: dict[str, Run] = {}
    for tag, value in {store.PARENT: run_id, "kfp_run": pipeline}.items():
        where = f"tags.`{tag}` = '{value}' and attributes.status = 'RUNNING'"
        found |= {run.info.run_id: run for run in client.search_runs(store.experiment_ids(client), where)}
    found.pop(run_id, None)
    return list(found.values())


def _failures_of(run: "Run") -> dict[str, str]:
    """Return status and error of each task that failed and was not tried again."""
    tags = run.data.tags
    return {
        tag.removeprefix(FAILURE_PREFIX): text for tag, text in sorted(tags.items()) if tag.startswith(FAILURE_PREFIX)
    }


def _show_worst(client: "MlflowClient", run: "Run", failures: Mapping[str, str]) -> None:
    """Give a pipeline's run the status and the error of the worst of its failures."""
    status = "FAILED" if any(failure.startswith("FAILED") for failure in failures.values()) else "KILLED"
    worst = [task for task, failure in failures.items() if failure.startswith(status)]
    shown = run.data.tags.get(FAILED_TASK)
    task = shown if shown in worst else worst[0]
    error = failures[task].partition(" ")[2]
    set_tags(client, run.info.run_id, {tag: text for tag, text in {FAILED_TASK: task, ERROR: error}.items() if text})
    if run.info.status != status:
        client.set_terminated(run.info.run_id, status)


def _delete_tags(client: "MlflowClient", run: "Run", tags: set[str]) -> None:
    """Delete those of `tags` that the run has."""
    from mlflow.exceptions import MlflowException

    for tag in tags & run.data.tags.keys():
        with suppress(MlflowException):  # another task, which begins at the same time, was faster
            client.delete_tag(run.info.run_id, tag)


def parent_run(client: "MlflowClient", experiment: str, task: str) -> str | None:
    """Return the parent of the runs of `task`: the injected run, or the pipeline's, which is marked as running.

    For a new pipeline, create its run, and end the runs of earlier pipelines that are still marked as running.
    """
    if injected := store.injected_run():
        return injected
    if known := store.find_kubeflow_run(client):
        _take_back(client, client.get_run(known), task)
        return known
    if made := kubeflow_run(client, experiment):
        _end_abandoned(client, made)
    return made


def _end_abandoned(client: "MlflowClient", own: str) -> None:
    """End the runs of pipelines, in the experiment of the run `own`, that are marked as running but have ended.

    Pods that never ran our code, ran out of memory or exceeded their deadline have marked nothing. Runs that Kubeflow's
    server does not know, or does not answer for, stay as they are.
    """
    if kfp_run() is None:
        return
    until = time.monotonic() + MAX_SECONDS_ASKING
    running = f"attributes.status = 'RUNNING' and tags.`{store.PIPELINE}` LIKE '%'"
    try:
        experiment = client.get_run(own).info.experiment_id
        for run in client.search_runs([experiment], running, order_by=["attributes.start_time DESC"]):
            if run.info.run_id == own or time.monotonic() > until:
                continue
            if status := ended_status(run.data.tags[store.PIPELINE]):
                _close(client, run, status)
    except Exception as error:
        if not is_failure_of_mlflow(error):  # nor of Kubeflow's server
            raise


def _take_back(client: "MlflowClient", run: "Run", task: str) -> None:
    """Mark a pipeline's run as running again, now that `task` begins, unless another task has failed for good."""
    run_id, failures = run.info.run_id, _failures_of(run)
    if store.PIPELINE not in run.data.tags or (run.info.status == "RUNNING" and not failures):
        return
    if CLOSED in run.data.tags:  # Kubeflow had ended the pipeline, and retries all that had failed
        left = {}
    else:  # that `task` begins shows that it is retried, or that what it depends on has succeeded
        over = (task, task.partition(" ")[0], *FIRST_STAGES)
        left = {failed: failure for failed, failure in failures.items() if failed not in over}
    _delete_tags(client, run, {CLOSED, *(FAILURE_PREFIX + failed for failed in failures.keys() - left.keys())})
    if left:
        _show_worst(client, run, left)
    else:
        _delete_tags(client, run, {FAILED_TASK, ERROR})
        client.update_run(run_id, status="RUNNING")
        run = client.get_run(run_id)
        if since := _failures_of(run):  # of another task, which failed at the same time
            _show_worst(client, run, since)


def break_off_pipeline(experiment: str, task: str, status: str, error: str) -> None:
    """Mark this pipeline's run as failed in `task`, this process's, and end the runs that the task left running.

    Kubeflow may retry the task. Where MLflow does not answer, nothing is printed: the process has its own error.
    """

    def action(client: "MlflowClient", run_id: str) -> None:
        for run in _left_running(client, run_id, os.environ["KFP_RUN_ID"]):
            tags = run.data.tags  # of a process that was killed: the others end their runs themselves
            if task == f"{tags.get('kfp_task')} {tags.get('model')}":
                client.set_terminated(run.info.run_id, status)
        set_tags(client, run_id, {FAILURE_PREFIX + task: f"{status} {error}"})
        run = client.get_run(run_id)
        _show_worst(client, run, _failures_of(run))

    _with_pipeline(experiment, action, warns=False)


def finish_pipeline(client: "MlflowClient", run_id: str) -> None:
    """Mark a pipeline's run as finished, even if tasks failed and were retried, and its running children as killed."""
    run = client.get_run(run_id)
    if store.PIPELINE in run.data.tags:
        _end(client, run, "FINISHED")


def fail_pipeline(experiment: str, task: str, error: str) -> None:
    """End the run of this pipeline, whose `task` failed; keep an error that the task has reported itself."""

    def action(client: "MlflowClient", run_id: str) -> None:
        left = [run.data.tags for run in _left_running(client, run_id, os.environ["KFP_RUN_ID"])]
        models = {tags.get("model", "") for tags in left if tags.get("kfp_task") == task}
        name = f"{task} {models.pop()}" if len(models) == 1 else task
        _close(client, client.get_run(run_id), "FAILED", name, error)

    _with_pipeline(experiment, action, warns=True)


def interrupt_pipeline(experiment: str) -> None:
    """End the run of this pipeline, which was interrupted from outside, and the runs that its tasks left running."""

    def action(client: "MlflowClient", run_id: str) -> None:
        left, run = _left_running(client, run_id, os.environ["KFP_RUN_ID"]), client.get_run(run_id)
        if run.info.status == "RUNNING":
            tasks = ", ".join(sorted({below.data.tags.get("kfp_task", "") for below in left}))
            _end(client, run, "KILLED", tasks, "interrupted")
        else:
            for below in left:
                client.set_terminated(below.info.run_id, "KILLED")

    _with_pipeline(experiment, action, warns=True)


def close_pipeline(pipeline: str, status: str, task: str = "", error: str = "") -> str | None:
    """Mark MLflow's run of the Kubeflow run `pipeline`, which has ended, as `status`, and return its URL.

    For callers outside the pipeline; `task` failed with `error`. Repeating it changes nothing. Where MLflow does not
    answer, do nothing. Return None where it has no such run, or no page for it.
    """

    def action(client: "MlflowClient") -> None:
        if run_id := store.tagged(client, store.PIPELINE, pipeline):
            _close(client, client.get_run(run_id), status, task, error)

    _record(action, warns=False)
    return run_urls({}, pipeline).get(PIPELINE_RUN)


def _close(client: "MlflowClient", run: "Run", status: str, task: str = "", error: str = "") -> None:
    """End a pipeline's run, and its children that are still running, with the status that Kubeflow reports.

    It overrides what tasks have reported, except that a run marked as failed is never marked as killed. A run that the
    last task has finished still fails where Kubeflow could not store that task's outputs.
    """
    if run.info.status == "FAILED" and status == "KILLED":
        status = "FAILED"
    if run.info.status != "FAILED" and status == "FAILED" and task:
        shown = run.data.tags.get(FAILED_TASK, "")
        if shown.partition(" ")[0] != task.partition(" ")[0]:  # that task was stopped and retried: it is not the reason
            _delete_tags(client, run, {FAILED_TASK, ERROR})
            run = client.get_run(run.info.run_id)
    _end(client, run, status, task, error)
    if run.data.tags.get(CLOSED) != status:
        client.set_tag(run.info.run_id, CLOSED, status)


def _end(client: "MlflowClient", run: "Run", status: str, task: str = "", error: str = "") -> None:
    """End a pipeline's run and its children that are still running; keep a failure that its tags already name."""
    run_id, tags = run.info.run_id, run.data.tags
    for below in _left_running(client, run_id, tags[store.PIPELINE]):
        client.set_terminated(below.info.run_id, "FAILED" if status == "FAILED" else "KILLED")
    if status == "FINISHED":
        _delete_tags(client, run, {FAILED_TASK, ERROR, *(FAILURE_PREFIX + failed for failed in _failures_of(run))})
    else:
        failure = {FAILED_TASK: task, ERROR: error}
        set_tags(client, run_id, {tag: text for tag, text in failure.items() if text and tag not in tags})
    if run.info.status != status:
        client.set_terminated(run_id, status)


def _with_pipeline(experiment: str, action: Callable[["MlflowClient", str], None], warns: bool) -> None:
    """Call `action` with the run of this process's Kubeflow pipeline, unless the run was made by something else."""
    if store.injected_run() or not os.environ.get("KFP_RUN_ID") or not os.environ.get("MLFLOW_TRACKING_URI"):
        return

    def with_run(client: "MlflowClient") -> None:
        run_id = kubeflow_run(client, experiment)
        if run_id and store.PIPELINE in client.get_run(run_id).data.tags:
            action(client, run_id)

    _record(with_run, warns)


def _record(action: Callable[["MlflowClient"], None], warns: bool) -> None:
    recorder = Recorder()
    recorder.warns = warns
    recorder.attempt(action)
    recorder.finish(raises=warns, timeout=None if warns else EXIT_TIMEOUT)
