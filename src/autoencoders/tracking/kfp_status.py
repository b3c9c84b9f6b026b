"""MLflow's run of a Kubeflow pipeline, and its status: while tasks come and go, and once the pipeline has ended.

A task that fails, or is stopped, marks the run. Its own next attempt takes that back, and no other task does: others
may go on, and finish, in a pipeline that has failed. The last task finishes the run. Who watches the pipeline from
outside has the last word, since Kubeflow knows of what no task can report: pods that never ran, or were lost.

A run that Kubeflow's own plugin for MLflow made is the plugin's to end.
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

FAILED_TASK = "kfp_failed_task"
"""Tag of a pipeline's run: the task that failed, or was stopped."""
ERROR = "kfp_error"
"""Tag of a pipeline's run: that task's error."""
FAILURE = "kfp_failure."
"""Beginning of tags of a pipeline's run, one for each task that failed or was stopped, and has not begun again since:
the status, and the task's error."""
CLOSED = "kfp_state"
"""Tag of a pipeline's run: the status with which Kubeflow ended it."""
MAX_SECONDS_ASKING = 5.0
"""After which Kubeflow is asked of no further run: a task has other work."""
FIRST_STAGES = ("download", "prepare")
"""Stages on which all others depend: once another task begins, they have succeeded."""
KFP_SERVER = "http://ml-pipeline.kubeflow:8888"
"""The usual address of Kubeflow Pipelines' server, for pods of other namespaces than its own."""
TOKEN_FILE = "/var/run/secrets/kubeflow/pipelines/token"
REQUEST_TIMEOUT = 2.0
"""Seconds that the server has for an answer."""


def task_name(model: str = "") -> str:
    """Return the name of this process's task: the stage and, where each model has a task, the model."""
    stage = os.environ.get("KFP_TASK", "")
    return f"{stage} {model}" if model else stage


def kubeflow_run(client: "MlflowClient", experiment: str) -> str | None:
    """Return the run of the Kubeflow pipeline that this process is a task of, or None where it is of none.

    The task that comes first makes it. Where several come first, the oldest run stays and the others are deleted.
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


def parent_run(client: "MlflowClient", experiment: str, task: str) -> str | None:
    """Return the run below which those of `task` belong: the injected one, or the Kubeflow pipeline's, which then runs.

    That of a new pipeline is made, and the runs of earlier ones that are still running are ended.
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
    """End the runs of pipelines, in the experiment of the run `own`, that still run though Kubeflow's have ended.

    Pods that never ran our code, ran out of memory or over their deadline have marked nothing, and not everybody
    watches from outside. What Kubeflow's server does not know, or does not answer for, stays as it is.
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
            if status := _ask_kubeflow(run.data.tags[store.PIPELINE]):
                _close(client, run, status)
    except Exception as error:
        if not is_failure_of_mlflow(error):  # nor of Kubeflow's server
            raise


def _ask_kubeflow(pipeline: str) -> str | None:
    """Return MLflow's status for the Kubeflow run `pipeline`; None where that has not ended, or the server has no such.

    Raises `OSError` where the server does not answer.
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


def _take_back(client: "MlflowClient", run: "Run", task: str) -> None:
    """Have a pipeline's run go on, of which `task` begins, unless another task has failed for good."""
    run_id, failures = run.info.run_id, _failures(run)
    if store.PIPELINE not in run.data.tags or (run.info.status == "RUNNING" and not failures):
        return
    if CLOSED in run.data.tags:  # Kubeflow had ended all of it, and tries all that had failed again
        left = {}
    else:  # `task`, by beginning, shows that it is tried again itself, or that what it depends on has succeeded
        left = {key: failure for key, failure in failures.items() if key not in (task, _stage(task), *FIRST_STAGES)}
    _delete_tags(client, run, {CLOSED, *(FAILURE + failed for failed in failures.keys() - left.keys())})
    if left:
        _show(client, run, left)
    else:
        _delete_tags(client, run, {FAILED_TASK, ERROR})
        client.update_run(run_id, status="RUNNING")
        run = client.get_run(run_id)
        if since := _failures(run):  # of another task, at this very moment
            _show(client, run, since)


def _stage(task: str) -> str:
    return task.partition(" ")[0]


def _failures(run: "Run") -> dict[str, str]:
    """Return status and error of each task that failed and was not tried again."""
    tags = run.data.tags
    return {tag.removeprefix(FAILURE): text for tag, text in sorted(tags.items()) if tag.startswith(FAILURE)}


def _show(client: "MlflowClient", run: "Run", failures: Mapping[str, str]) -> None:
    """Give a pipeline's run the status and the error of the gravest of its failures."""
    status = "FAILED" if any(failure.startswith("FAILED") for failure in failures.values()) else "KILLED"
    grave = [task for task, failure in failures.items() if failure.startswith(status)]
    shown = run.data.tags.get(FAILED_TASK)
    task = shown if shown in grave else grave[0]
    error = failures[task].partition(" ")[2]
    set_tags(client, run.info.run_id, {tag: text for tag, text in {FAILED_TASK: task, ERROR: error}.items() if text})
    if run.info.status != status:
        client.set_terminated(run.info.run_id, status)


def _delete_tags(client: "MlflowClient", run: "Run", tags: set[str]) -> None:
    from mlflow.exceptions import MlflowException

    for tag in tags & run.data.tags.keys():
        with suppress(MlflowException):  # another task, which begins at the same time, was faster
            client.delete_tag(run.info.run_id, tag)


def break_off_pipeline(experiment: str, task: str, status: str, error: str) -> None:
    """Mark the run of the pipeline that this process is the failing `task` of, and what that left running.

    The task may be tried again. Where MLflow does not answer, nothing is printed: the process has its own error.
    """

    def action(client: "MlflowClient", run_id: str) -> None:
        for run in _left_running(client, run_id, os.environ["KFP_RUN_ID"]):
            tags = run.data.tags  # of a process that was killed: the others end their runs themselves
            if task == f"{tags.get('kfp_task')} {tags.get('model')}":
                client.set_terminated(run.info.run_id, status)
        set_tags(client, run_id, {FAILURE + task: f"{status} {error}"})
        run = client.get_run(run_id)
        _show(client, run, _failures(run))

    _with_pipeline(experiment, action, warns=False)


def finish_pipeline(client: "MlflowClient", run_id: str) -> None:
    """Mark a pipeline's run as finished, whatever its tasks went through, and as lost what is left running below it."""
    run = client.get_run(run_id)
    if store.PIPELINE in run.data.tags:
        _end(client, run, "FINISHED")


def fail_pipeline(experiment: str, task: str, error: str) -> None:
    """End the run of this pipeline, whose `task` failed; an error that the task has reported itself stays."""

    def action(client: "MlflowClient", run_id: str) -> None:
        left = [run.data.tags for run in _left_running(client, run_id, os.environ["KFP_RUN_ID"])]
        models = {tags.get("model", "") for tags in left if tags.get("kfp_task") == task}
        name = f"{task} {models.pop()}" if len(models) == 1 else task
        _close(client, client.get_run(run_id), "FAILED", name, error)

    _with_pipeline(experiment, action, warns=True)


def interrupt_pipeline(experiment: str) -> None:
    """End the run of this pipeline, which was interrupted from outside its tasks, and what these left running."""

    def action(client: "MlflowClient", run_id: str) -> None:
        left = _left_running(client, run_id, os.environ["KFP_RUN_ID"])
        run = client.get_run(run_id)
        tasks = ", ".join(sorted({below.data.tags.get("kfp_task", "") for below in left}))
        if run.info.status == "RUNNING":
            _end(client, run, "KILLED", tasks, "interrupted")
        else:
            _end_runs(client, left, "KILLED")

    _with_pipeline(experiment, action, warns=True)


def close_pipeline(pipeline: str, status: str, task: str = "", error: str = "") -> str | None:
    """Mark MLflow's run of the Kubeflow run `pipeline`, which has ended, as `status`, and return its page.

    For who watches a pipeline from outside; `task` failed with `error`. Doing so again changes nothing. Where MLflow
    does not answer, nothing happens; where it has no such run, or no page, None is returned.
    """

    def action(client: "MlflowClient") -> None:
        if run_id := store.tagged(client, store.PIPELINE, pipeline):
            _close(client, client.get_run(run_id), status, task, error)

    _record(action, warns=False)
    return run_urls({}, pipeline).get(PIPELINE_RUN)


def _close(client: "MlflowClient", run: "Run", status: str, task: str = "", error: str = "") -> None:
    """End a pipeline's run, and what is left running below it, as Kubeflow reports that it ended.

    That goes before what tasks have reported, with one exception: what a task has marked as failed is not "killed". A
    run that the last task has finished is failed after all, where Kubeflow could not keep what that task made.
    """
    if run.info.status == "FAILED" and status == "KILLED":
        status = "FAILED"
    if run.info.status != "FAILED" and status == "FAILED" and task:
        shown = run.data.tags.get(FAILED_TASK, "")
        if _stage(shown) != _stage(task):  # that was stopped, and tried again: another task is the reason
            _delete_tags(client, run, {FAILED_TASK, ERROR})
            run = client.get_run(run.info.run_id)
    _end(client, run, status, task, error)
    if run.data.tags.get(CLOSED) != status:
        client.set_tag(run.info.run_id, CLOSED, status)


def _end(client: "MlflowClient", run: "Run", status: str, task: str = "", error: str = "") -> None:
    """End a pipeline's run and what is left running below it; a failure that its tags already name stays."""
    run_id, tags = run.info.run_id, run.data.tags
    _end_runs(client, _left_running(client, run_id, tags[store.PIPELINE]), "FAILED" if status == "FAILED" else "KILLED")
    if status == "FINISHED":
        _delete_tags(client, run, {FAILED_TASK, ERROR, *(FAILURE + failed for failed in _failures(run))})
    else:
        failure = {FAILED_TASK: task, ERROR: error}
        set_tags(client, run_id, {tag: text for tag, text in failure.items() if text and tag not in tags})
    if run.info.status != status:
        client.set_terminated(run_id, status)


def _end_runs(client: "MlflowClient", runs: list["Run"], status: str) -> None:
    for run in runs:
        client.set_terminated(run.info.run_id, status)


def _left_running(client: "MlflowClient", run_id: str, pipeline: str) -> list["Run"]:
    """Return the runs that belong to a pipeline's, by their place below it or by their tag, and have not ended."""
    everywhere, found = store.experiment_ids(client), {}
    for tag, value in {store.PARENT: run_id, "kfp_run": pipeline}.items():
        for run in client.search_runs(everywhere, f"tags.`{tag}` = '{value}' and attributes.status = 'RUNNING'"):
            found[run.info.run_id] = run
    found.pop(run_id, None)
    return list(found.values())


def _with_pipeline(experiment: str, action: Callable[["MlflowClient", str], None], warns: bool) -> None:
    """Call `action` with the run of the Kubeflow pipeline that this process is a task of, where that is ours to end."""
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
