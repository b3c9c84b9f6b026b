"""MLflow's run of a Kubeflow pipeline: it ends as the pipeline ends, and nothing below it is left running."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from autoencoders import kubeflow
from autoencoders.errors import UserError
from autoencoders.params import Params
from autoencoders.stages.train import train
from autoencoders.tracking import FolderRuns, ModelRun, launch
from autoencoders.tracking.kfp_status import ERROR, FAILED_TASK
from autoencoders.tracking.store import PARENT, create_run

Task = Callable[..., None]


@pytest.fixture
def task(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Be another task of a pipeline."""

    def become(name: str = "train", pipeline: str = "c0ffee00-1") -> None:
        for variable, value in {"KFP_RUN_ID": pipeline, "KFP_TASK": name, "AUTOENCODERS_IMAGE": "a@sha256:1"}.items():
            monkeypatch.setenv(variable, value)

    become()
    return become


def found(client: MlflowClient, run_id: str) -> tuple[str, dict[str, str]]:
    """A run's status, and what its tags say of a failure."""
    run = client.get_run(run_id)
    return run.info.status, {
        tag: run.data.tags[tag] for tag in ("kfp_failed_task", "kfp_error") if tag in run.data.tags
    }


def pipeline_run(client: MlflowClient) -> str:
    run_id = launch.kubeflow_run(client, "autoencoders")
    assert run_id
    return run_id


def fail(end: BaseException) -> None:
    def stage(params: Params) -> None:
        raise end

    with pytest.raises(type(end) if isinstance(end, ZeroDivisionError) else SystemExit):
        kubeflow.run(stage, {})


def report(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>Report</h1>")
    with FolderRuns("autoencoders") as runs:
        runs.log_report(tmp_path / "index.html")


FAILURES = [
    (UserError("no images at http://me:secret@host"), "FAILED", "no images at http://host"),
    (ZeroDivisionError("division by zero"), "FAILED", "division by zero"),
    (SystemExit(3), "FAILED", "exit code 3"),  # of torchrun
    (SystemExit(128 + signal.SIGTERM), "KILLED", "exit code 143"),
    (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
]


@pytest.mark.parametrize(("end", "status", "said"), FAILURES, ids=lambda value: str(value)[:20])
def test_a_task_that_fails_says_so_in_the_run_of_its_pipeline(
    client: MlflowClient, task: Task, end: BaseException, status: str, said: str
) -> None:
    fail(end)
    above = pipeline_run(client)
    assert found(client, above) == (status, {FAILED_TASK: "train", ERROR: said})
    kubeflow.interrupted()
    assert found(client, above) == (status, {FAILED_TASK: "train", ERROR: said})


def test_a_task_that_succeeds_leaves_the_run_of_its_pipeline_alone(client: MlflowClient, task: Task) -> None:
    kubeflow.run(lambda params: None, {})
    assert client.get_experiment_by_name("autoencoders") is None


def test_what_a_further_attempt_puts_right_is_forgotten(
    client: MlflowClient, task: Task, params: Params, prepared: Path, tmp_path: Path
) -> None:
    fail(UserError("no connection"))
    above = pipeline_run(client)
    train(params, model="pca", data=prepared, checkpoints=tmp_path / "checkpoints", out=tmp_path / "pca")
    assert found(client, above)[0] == "RUNNING"
    task("report")
    report(tmp_path)
    assert found(client, above) == ("FINISHED", {})


def test_a_pipeline_that_came_to_its_end_stays_finished(client: MlflowClient, task: Task, tmp_path: Path) -> None:
    report(tmp_path)
    kubeflow.interrupted()
    assert found(client, pipeline_run(client)) == ("FINISHED", {})


def test_what_tasks_leave_running_ends_with_their_interruption(client: MlflowClient, task: Task) -> None:
    above = pipeline_run(client)
    tags = launch.circumstances()
    lost = create_run(client, "autoencoders", "vae", tags, parent=above)
    elsewhere = create_run(client, "autoencoders", "ae", tags, ladder=True)
    rung = create_run(client, "autoencoders", "ladder: beta", {"kfp_run": "earlier", "kfp_task": "beta"}, parent=above)
    done = create_run(client, "autoencoders", "pca", tags, parent=above)
    client.set_terminated(done, "FINISHED")
    of_others = create_run(client, "autoencoders", "vae", {"kfp_run": "other"})
    kubeflow.interrupted()
    assert found(client, above) == ("KILLED", {FAILED_TASK: "beta, train", ERROR: "interrupted"})
    ended = [found(client, run)[0] for run in (lost, elsewhere, rung, done, of_others)]
    assert ended == ["KILLED", "KILLED", "KILLED", "FINISHED", "RUNNING"]


def test_a_pipeline_that_was_interrupted_before_mlflow_knew_of_it_has_a_run(client: MlflowClient, task: Task) -> None:
    kubeflow.interrupted()
    assert found(client, pipeline_run(client)) == ("KILLED", {ERROR: "interrupted"})


def test_a_run_that_kubeflow_s_plugin_made_is_the_plugin_s_to_end(
    client: MlflowClient, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = create_run(client, "autoencoders", "of the plugin", {})
    injected = create_run(client, "autoencoders", "of the plugin's task", {}, parent=above)
    monkeypatch.setenv("MLFLOW_RUN_ID", injected)
    fail(UserError("no images"))
    kubeflow.interrupted()
    assert [found(client, run) for run in (above, injected)] == [("RUNNING", {})] * 2
    assert len(client.search_runs([client.get_run(above).info.experiment_id])) == 2


def test_without_mlflow_a_task_has_its_own_error_alone(
    monkeypatch: pytest.MonkeyPatch, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    fail(UserError("no images"))
    assert capsys.readouterr().err == "error: no images\n"
    kubeflow.interrupted()
    assert capsys.readouterr().err.startswith("warning: MLflow does not record any more")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    kubeflow.interrupted()
    assert capsys.readouterr().err == ""


def test_a_training_that_the_next_pipeline_goes_on_with_belongs_to_that(
    client: MlflowClient,
    task: Task,
    params: Params,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def log_epoch(run: ModelRun, row: dict[str, float]) -> None:
        if row["epoch"] == 1 and os.environ["KFP_RUN_ID"] == "c0ffee00-1":
            raise KeyboardInterrupt

    monkeypatch.setattr(ModelRun, "log_epoch", log_epoch)
    folders = {"data": prepared, "checkpoints": tmp_path / "checkpoints", "out": tmp_path / "vae"}
    with pytest.raises(KeyboardInterrupt):
        train(params, model="vae", **folders)
    before = pipeline_run(client)
    task("train", "c0ffee00-2")
    train(params, model="vae", **folders)
    run: Run = client.get_run(json.loads((tmp_path / "vae" / "run.json").read_text())["run_id"])
    assert run.info.status == "FINISHED"
    assert (run.data.tags["kfp_run"], run.data.tags[PARENT]) == ("c0ffee00-2", pipeline_run(client))
    assert pipeline_run(client) != before
