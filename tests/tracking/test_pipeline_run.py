"""MLflow's run of a Kubeflow pipeline: it ends as the pipeline ends, and nothing below it is left running."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tracked import everything, run_in

from autoencoders.errors import UserError
from autoencoders.kubeflow.launch import run as run_stage
from autoencoders.params import Params
from autoencoders.tracking import RunPublisher, run_context, store
from autoencoders.tracking.pipeline_run import (
    ERROR,
    FAILED_TASK,
    break_off_pipeline,
    close_pipeline,
    interrupt_pipeline,
    kubeflow_run,
)
from autoencoders.tracking.store import PARENT, create_run

Task = Callable[..., None]


def found(client: MlflowClient, run_id: str) -> tuple[str, dict[str, str]]:
    """A run's status, and what its tags say of a failure."""
    run = client.get_run(run_id)
    return run.info.status, {
        tag: run.data.tags[tag] for tag in ("kfp_failed_task", "kfp_error") if tag in run.data.tags
    }


def pipeline_run(client: MlflowClient) -> str:
    return kubeflow_run(client, "autoencoders")


def fail(end: BaseException, **given: Any) -> None:
    def stage(params: Params, **given: Any) -> None:
        raise end

    stage.__name__ = os.environ["KFP_TASK"]
    with pytest.raises(type(end) if isinstance(end, ZeroDivisionError) else SystemExit):
        run_stage(stage, {}, **given)


def report(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>Report</h1>")
    with RunPublisher("autoencoders") as runs:
        runs.log_report(tmp_path / "index.html")


FAILURES = [
    (UserError("no images at http://me:secret@host"), "FAILED", "no images at http://host"),
    (ZeroDivisionError("division by zero"), "FAILED", "division by zero"),
    (SystemExit(3), "FAILED", "exit code 3"),  # of torchrun
    (SystemExit(128 + signal.SIGTERM), "KILLED", "exit code 143"),
    (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
]


def test_the_tasks_of_a_kubeflow_pipeline_share_a_parent_and_are_tagged_with_run_task_and_image(
    train_model, client, task
):
    runs_of = [run_in(client, train_model(name)) for name in ("pca", "ae")]
    for run in runs_of:
        assert (run.data.tags["kfp_run"], run.data.tags["kfp_task"]) == ("c0ffee00-1", "train")
        assert run.data.tags["image"] == "a@sha256:1"
    [parent] = {run.data.tags["mlflow.parentRunId"] for run in runs_of}
    above = client.get_run(parent)
    assert (above.info.run_name, above.data.tags["kfp_pipeline"]) == ("kubeflow c0ffee00", "c0ffee00-1")
    assert "kfp_task" not in above.data.tags
    assert len(everything(client)) == 3


def test_of_two_parents_made_at_once_the_oldest_stays(client, task, monkeypatch):
    make = store.create_run
    faster = {}

    def make_after_another(client: MlflowClient, experiment: str, name: str, tags: dict[str, str]) -> str:
        faster["run"] = make(client, experiment, name, tags, start=1)
        return make(client, experiment, name, tags)

    monkeypatch.setattr(store, "create_run", make_after_another)
    assert kubeflow_run(client, "autoencoders") == faster["run"]
    assert [run.info.run_id for run in everything(client)] == [faster["run"]]
    assert kubeflow_run(client, "autoencoders") == faster["run"]


@pytest.mark.parametrize(("end", "status", "said"), FAILURES, ids=lambda value: str(value)[:20])
def test_a_task_that_fails_says_so_in_the_run_of_its_pipeline(client, task, end, status, said):
    fail(end)
    above = pipeline_run(client)
    assert found(client, above) == (status, {FAILED_TASK: "train", ERROR: said})
    interrupt_pipeline("autoencoders")
    assert found(client, above) == (status, {FAILED_TASK: "train", ERROR: said})


def test_a_task_that_succeeds_leaves_the_run_of_its_pipeline_alone(client, task):
    run_stage(lambda params: None, {})
    assert client.get_experiment_by_name("autoencoders") is None


def test_what_a_further_attempt_puts_right_is_forgotten(client, task, train_model, tmp_path):
    fail(UserError("no connection"))
    above = pipeline_run(client)
    train_model("pca")
    assert found(client, above)[0] == "RUNNING"
    task("report")
    report(tmp_path)
    assert found(client, above) == ("FINISHED", {})


def test_a_pipeline_that_came_to_its_end_stays_finished(client, task, tmp_path):
    report(tmp_path)
    interrupt_pipeline("autoencoders")
    assert found(client, pipeline_run(client)) == ("FINISHED", {})


def test_what_tasks_leave_running_ends_with_their_interruption(client, task):
    above = pipeline_run(client)
    tags = run_context()
    lost = create_run(client, "autoencoders", "vae", tags, parent=above)
    elsewhere = create_run(client, "autoencoders", "ae", tags, ladder=True)
    rung = create_run(client, "autoencoders", "ladder: beta", {"kfp_run": "earlier", "kfp_task": "beta"}, parent=above)
    done = create_run(client, "autoencoders", "pca", tags, parent=above)
    client.set_terminated(done, "FINISHED")
    of_others = create_run(client, "autoencoders", "vae", {"kfp_run": "other"})
    interrupt_pipeline("autoencoders")
    assert found(client, above) == ("KILLED", {FAILED_TASK: "beta, train", ERROR: "interrupted"})
    ended = [found(client, run)[0] for run in (lost, elsewhere, rung, done, of_others)]
    assert ended == ["KILLED", "KILLED", "KILLED", "FINISHED", "RUNNING"]


def test_a_pipeline_that_was_interrupted_before_mlflow_knew_of_it_has_a_run(client, task):
    interrupt_pipeline("autoencoders")
    assert found(client, pipeline_run(client)) == ("KILLED", {ERROR: "interrupted"})


def test_a_run_that_kubeflow_s_plugin_made_is_the_plugin_s_to_end(client, task, monkeypatch):
    above = create_run(client, "autoencoders", "of the plugin", {})
    injected = create_run(client, "autoencoders", "of the plugin's task", {}, parent=above)
    monkeypatch.setenv("MLFLOW_RUN_ID", injected)
    fail(UserError("no images"))
    interrupt_pipeline("autoencoders")
    assert [found(client, run) for run in (above, injected)] == [("RUNNING", {})] * 2
    assert len(everything(client)) == 2


def test_without_mlflow_a_task_has_its_own_error_alone(monkeypatch, task, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    fail(UserError("no images"))
    assert capsys.readouterr().err == "error: no images\n"
    interrupt_pipeline("autoencoders")
    assert capsys.readouterr().err.startswith("warning: MLflow does not record any more")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    interrupt_pipeline("autoencoders")
    assert capsys.readouterr().err == ""


def test_a_training_that_the_next_pipeline_goes_on_with_belongs_to_that(client, task, train_model, broken_off):
    broken_off()
    with pytest.raises(KeyboardInterrupt):
        train_model("vae")
    before = pipeline_run(client)
    task("train", "c0ffee00-2")
    run = run_in(client, train_model("vae"))
    assert run.info.status == "FINISHED"
    assert (run.data.tags["kfp_run"], run.data.tags[PARENT]) == ("c0ffee00-2", pipeline_run(client))
    assert pipeline_run(client) != before


# Several tasks


@pytest.fixture
def begin(task, train_model) -> Task:
    """Train a model as its task in the pipeline, from the beginning to the end."""

    def training(model: str = "pca") -> None:
        task("train")
        train_model(model)

    return training


def test_a_task_that_failed_for_good_is_not_forgotten_when_another_begins_and_finishes(client, begin):
    fail(SystemExit(3), model="vae")
    begin("pca")
    above = pipeline_run(client)
    assert found(client, above) == ("FAILED", {FAILED_TASK: "train vae", ERROR: "exit code 3"})
    [below] = [run for run in everything(client) if run.data.tags.get("model") == "pca"]
    assert (below.info.status, below.data.tags[PARENT]) == ("FINISHED", above)


def test_its_own_next_attempt_takes_a_failure_back_and_that_of_another_stays(client, begin, task):
    fail(SystemExit(3), model="pca")
    fail(SystemExit(4), model="vae")
    above = pipeline_run(client)
    assert found(client, above) == ("FAILED", {FAILED_TASK: "train pca", ERROR: "exit code 3"})
    begin("pca")
    assert found(client, above) == ("FAILED", {FAILED_TASK: "train vae", ERROR: "exit code 4"})
    begin("vae")
    assert found(client, above) == ("RUNNING", {})


def test_what_was_stopped_is_less_grave_than_what_failed(client, begin):
    fail(SystemExit(143), model="ae")
    above = pipeline_run(client)
    assert found(client, above) == ("KILLED", {FAILED_TASK: "train ae", ERROR: "exit code 143"})
    fail(SystemExit(3), model="vae")
    fail(SystemExit(143), model="pca")
    assert found(client, above) == ("FAILED", {FAILED_TASK: "train vae", ERROR: "exit code 3"})
    begin("vae")
    assert found(client, above) == ("KILLED", {FAILED_TASK: "train ae", ERROR: "exit code 143"})


def test_a_task_that_others_depend_on_has_succeeded_once_they_begin(client, begin, task, tmp_path):
    task("features")
    fail(UserError("no memory"))
    task("prepare")
    fail(UserError("no connection"))
    begin("pca")
    above = pipeline_run(client)
    assert found(client, above) == ("FAILED", {FAILED_TASK: "features", ERROR: "no memory"})
    task("report")
    report(tmp_path)
    assert found(client, above) == ("FINISHED", {})


def test_a_failure_at_the_moment_at_which_another_is_taken_back_stays(client, begin, task, monkeypatch):
    fail(SystemExit(3), model="pca")
    update = MlflowClient.update_run

    def fail_meanwhile(client: MlflowClient, run_id: str, status: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "update_run", update)
            break_off_pipeline("autoencoders", "train vae", "FAILED", "exit code 4")
        update(client, run_id, status)

    monkeypatch.setattr(MlflowClient, "update_run", fail_meanwhile)
    begin("pca")
    assert found(client, pipeline_run(client)) == ("FAILED", {FAILED_TASK: "train vae", ERROR: "exit code 4"})


def test_a_task_whose_process_was_killed_ends_its_run_and_no_other(client, task):
    """`torchrun` tells of a process that ran out of memory; that itself could tell nobody."""
    above = pipeline_run(client)
    runs = {
        name: create_run(client, "autoencoders", name, {**run_context(), "model": name}, parent=above)
        for name in ("vae", "ae")
    }
    fail(SystemExit(1), model="vae")
    assert {name: found(client, run)[0] for name, run in runs.items()} == {"vae": "FAILED", "ae": "RUNNING"}


def test_an_attempt_that_was_lost_ends_with_its_pipeline(client, task, tmp_path):
    above = pipeline_run(client)
    lost = create_run(client, "autoencoders", "vae", run_context(), parent=above)
    task("report")
    report(tmp_path)
    assert (found(client, above)[0], found(client, lost)[0]) == ("FINISHED", "KILLED")


# Who watches from outside


CLOSINGS = [
    # what tasks did, what Kubeflow says, what becomes of the run and of what was left running below it
    ("nothing", ("FAILED", "train", "OOMKilled"), ("FAILED", "train", "OOMKilled"), "FAILED"),
    ("nothing", ("KILLED", "", ""), ("KILLED", None, None), "KILLED"),
    ("nothing", ("FINISHED", "", ""), ("FINISHED", None, None), "KILLED"),
    ("failed", ("FAILED", "train", "Error (exit code 1)"), ("FAILED", "train vae", "exit code 3"), "FAILED"),
    ("failed", ("KILLED", "", ""), ("FAILED", "train vae", "exit code 3"), "FAILED"),
    ("failed", ("FINISHED", "", ""), ("FINISHED", None, None), "KILLED"),
    ("stopped", ("FAILED", "train", "pod deleted"), ("FAILED", "train vae", "exit code 143"), "FAILED"),
    ("stopped", ("FAILED", "plots", "OOMKilled"), ("FAILED", "plots", "OOMKilled"), "FAILED"),
    ("stopped", ("KILLED", "", ""), ("KILLED", "train vae", "exit code 143"), "KILLED"),
    ("finished", ("FINISHED", "", ""), ("FINISHED", None, None), "KILLED"),
    ("finished", ("FAILED", "report", "no upload"), ("FAILED", "report", "no upload"), "FAILED"),
]


@pytest.mark.parametrize(("before", "says", "after", "below"), CLOSINGS)
def test_kubeflow_s_word_ends_a_pipeline_s_run_and_what_is_left_running_below(
    client, task, tmp_path, before, says, after, below
):
    above = pipeline_run(client)
    if before in ("failed", "stopped"):
        fail(SystemExit(3 if before == "failed" else 143), model="vae")
    elif before == "finished":
        report(tmp_path)
    lost = create_run(client, "autoencoders", "ae", run_context(), parent=above)
    status, failed, error = says
    ends = set()
    for _ in range(2):
        assert close_pipeline("c0ffee00-1", status, failed, error) is None  # a database has no pages
        run = client.get_run(above)
        tags = run.data.tags
        assert (run.info.status, tags.get(FAILED_TASK), tags.get(ERROR)) == after
        assert found(client, lost)[0] == below
        ends.add((run.info.end_time, client.get_run(lost).info.end_time))
    assert len(ends) == 1


def test_a_pipeline_that_nobody_recorded_is_not_closed(client, task):
    assert close_pipeline("unknown", "FAILED", "train", "no image") is None
    assert everything(client) == []


def test_a_pipeline_that_kubeflow_ended_and_tries_again_goes_on_with_any_task(client, begin):
    fail(SystemExit(3), model="vae")
    close_pipeline("c0ffee00-1", "FAILED", "train", "Error (exit code 3)")
    begin("pca")
    above = pipeline_run(client)
    assert found(client, above) == ("RUNNING", {})
    assert not [tag for tag in client.get_run(above).data.tags if tag.startswith(("kfp_failure", "kfp_state"))]


# Kubeflow's plugin for MLflow, where it injects no variables of MLflow's


@pytest.mark.parametrize("key", ["ParentRunID", "parentRunId", "parentRunID"])
def test_a_run_that_the_plugin_made_is_the_pipeline_s_and_the_plugin_s_to_end(
    client, begin, task, tmp_path, monkeypatch, key
):
    # a bare client of MLflow's would keep its files in mlruns, where the tests were started
    experiment = client.create_experiment("of-the-plugin", artifact_location=(tmp_path / "artifacts").as_uri())
    plugins = client.create_run(experiment).info.run_id
    settings = {"Endpoint": "http://mlflow", key: plugins, "ExperimentID": experiment}
    monkeypatch.setenv("KFP_MLFLOW_CONFIG", json.dumps(settings))
    fail(SystemExit(3), model="vae")
    begin("pca")
    task("report")
    report(tmp_path)
    interrupt_pipeline("autoencoders")
    runs = {run.info.run_id: run for run in everything(client)}
    [model] = [run for run in runs.values() if "model" in run.data.tags]
    assert runs.keys() == {plugins, model.info.run_id}
    assert (model.info.experiment_id, model.data.tags[PARENT]) == (experiment, plugins)
    assert (runs[plugins].info.status, found(client, plugins)[1]) == ("RUNNING", {})
    assert [file.path for file in client.list_artifacts(plugins, "report")] == ["report/index.html"]


@pytest.mark.parametrize("settings", ["{}", "no JSON", "[]", '{"parentRunId": 7}', f'{{"parentRunId": "{"a" * 32}"}}'])
def test_a_plugin_that_records_elsewhere_leaves_the_pipeline_a_run_of_its_own(client, begin, monkeypatch, settings):
    monkeypatch.setenv("KFP_MLFLOW_CONFIG", settings)
    begin("pca")
    [above] = [run for run in everything(client) if "model" not in run.data.tags]
    assert (above.data.tags["kfp_pipeline"], above.info.status) == ("c0ffee00-1", "RUNNING")
