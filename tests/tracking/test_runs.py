"""Runs of models: how a training's ends, who started it, and publishing anew from folders."""

import re
import signal
import subprocess
import time

import pandas as pd
import pytest
from processes import training_command, wait_for_checkpoint
from tracked import contents, everything, histories, in_one, reference, run_in

from autoencoders import tracking
from autoencoders.errors import Interrupted, UserError
from autoencoders.stages.publish import publish
from autoencoders.tracking.runs import RESUMED_RUN
from autoencoders.tracking.store import PARENT, SOURCE_RUN
from autoencoders.training.checkpoint import open_store
from autoencoders.training.handover import RunMarks

# How a run ends


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED"), (UserError, "FAILED"), (Interrupted, "KILLED")],
)
def test_a_run_that_is_broken_off_says_so_and_goes_on_when_resumed(train_model, broken_off, client, error, status):
    first = broken_off(error)
    with pytest.raises(error):
        train_model("vae")
    assert client.get_run(first[0]).info.status == status
    folder = train_model("vae")
    assert reference(folder)["run_id"] == first[0]
    assert run_in(client, folder).info.status == "FINISHED"
    histories(client, first[0], folder)


def test_ctrl_c_ends_the_command_within_seconds_and_without_noise(store, prepared, tmp_path, client):
    command = training_command(tmp_path, prepared, steps=1_000_000, batch_size=60)
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for_checkpoint(tmp_path, lambda: process.poll() is None)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    told = [line for line in re.split(r"[\r\n]+", err) if line.strip() and not line.startswith("ae:")]
    assert told == ["interrupted: run the same command again to go on"]
    assert out == ""
    [run] = everything(client)
    assert run.info.status == "KILLED"


# Runs that were started by others


@pytest.mark.parametrize("in_kubeflow", [False, True])
def test_an_injected_run_is_the_models_where_the_stage_runs_alone(train_model, client, injected, request, in_kubeflow):
    if in_kubeflow:
        request.getfixturevalue("task")
    folder = train_model("ae")
    assert reference(folder)["run_id"] == injected
    histories(client, injected, folder)
    tags = client.get_run(injected).data.tags
    assert (tags["model"], tags.get("kfp_run")) == ("ae", "c0ffee00-1" if in_kubeflow else None)
    assert [run.info.run_id for run in everything(client)] == [injected]


def test_an_injected_run_takes_over_an_interrupted_training_whole(
    train_model, broken_off, client, injected, monkeypatch
):
    monkeypatch.delenv("MLFLOW_RUN_ID")
    first = broken_off()
    with pytest.raises(KeyboardInterrupt):
        train_model("ae")
    monkeypatch.setenv("MLFLOW_RUN_ID", injected)
    folder = train_model("ae")
    assert reference(folder)["run_id"] == injected
    assert client.get_run(injected).data.tags[RESUMED_RUN] == first[0]
    histories(client, injected, folder)


def test_a_training_that_is_resumed_below_another_pipeline_moves_below_it(
    train_model, broken_off, client, injected, monkeypatch
):
    first = broken_off()
    monkeypatch.setenv("DVC_STAGE", "train@ae")
    with pytest.raises(KeyboardInterrupt):
        train_model("ae")
    second = client.create_run(client.get_run(injected).info.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", second)
    run = run_in(client, train_model("ae"))
    assert run.info.run_id == first[0]
    assert run.data.tags["mlflow.parentRunId"] == second


def test_an_injected_run_is_the_parent_where_dvc_runs_the_stage_and_is_not_ended(
    train_model, client, injected, monkeypatch
):
    monkeypatch.setenv("DVC_STAGE", "train@ae")
    folder = train_model("ae")
    run = run_in(client, folder)
    assert run.info.run_id != injected
    assert run.data.tags["mlflow.parentRunId"] == injected
    assert run.info.experiment_id == client.get_run(injected).info.experiment_id
    with tracking.RunPublisher("autoencoders") as models:
        models.log_evaluation(folder, {"mse": 0.5}, [])
    assert client.get_run(run.info.run_id).data.metrics["test/mse"] == 0.5
    parent = client.get_run(injected)
    assert (parent.info.status, parent.data.metrics) == ("RUNNING", {})


def test_an_evaluation_that_is_launched_alone_logs_to_the_models_run_and_to_its_own(train_model, client, monkeypatch):
    folder = train_model("ae")
    own = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    with tracking.RunPublisher("autoencoders") as models:
        models.log_evaluation(folder, {"mse": 0.5}, [folder / "model.json"], own=tracking.injected_run())
    assert client.get_run(own).data.metrics == {"test/mse": 0.5}
    assert run_in(client, folder).data.metrics["test/mse"] == 0.5
    files = [file.path for file in client.list_artifacts(reference(folder)["run_id"])]
    assert files == ["images", "model.json"]  # the former of the training


def test_publishing_leaves_a_launchers_run_without_the_models_metrics(trained, params, client, injected):
    (trained / "ae" / "metrics.json").write_text('{"mse": 0.25}')
    publish(params, **in_one(trained))
    assert client.get_run(injected).data.metrics == {}
    [run] = [run for run in contents(client)["runs"].values() if "test/mse" in run["metrics"]]
    assert run["params and tags"][1]["model"] == "ae"


# Publishing


def test_models_that_arrive_without_their_runs_get_them_re_created_once(trained, params, client, tmp_path):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    (tmp_path / "evaluation" / "ae" / "codes").mkdir(parents=True)
    (tmp_path / "evaluation" / "ae" / "metrics.json").write_text('{"mse": 0.25, "psnr": NaN}')
    (tmp_path / "figures").mkdir()
    for name in ("loss", "prediction--ae", "prediction--vae"):
        (tmp_path / "figures" / f"{name}.png").write_bytes(b"")
    places = {"models": trained, "evaluation": tmp_path / "evaluation", "figures": tmp_path / "figures"}
    folders = {**in_one(tmp_path), **places}

    publish(params, **folders)
    once = contents(client)
    publish(params, **folders)
    assert contents(client) == once
    assert {path: path.read_bytes() for path in before} == before
    assert (len(once["runs"]), len(once["models"]), len(once["versions"])) == (3, 3, 3)

    by_name = {run.info.run_name: run for run in everything(client)}
    for name, run in by_name.items():
        assert run.data.tags[SOURCE_RUN] == reference(trained / name)["run_id"] != run.info.run_id
        assert run.data.tags.items() >= reference(trained / name)["tags"].items()
        assert run.info.status == "FINISHED"
    run = by_name["ae"]
    histories(client, run.info.run_id, trained / "ae")
    assert run.info.end_time == int(pd.read_csv(trained / "ae" / "history.csv")["timestamp"].max() * 1000)
    assert run.info.start_time < run.info.end_time
    assert run.data.metrics["test/mse"] == 0.25
    files = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert files == ["loss.png", "prediction.png"]  # at the root, where MLflow compares them


def test_a_model_without_a_run_of_record_is_known_by_its_weights(trained, params, client):
    (trained / "ae" / "run.json").unlink()
    for _ in range(2):
        publish(params, **in_one(trained))
    assert len(contents(client)["runs"]) == 3


# Runs that a kill has left behind: with a mark, and still running


def test_a_run_that_is_gone_from_the_store_is_not_resumed(train_model, broken_off, at_validation, client, tmp_path):
    first = broken_off()
    with pytest.raises(KeyboardInterrupt):
        train_model("ae")
    client.delete_run(first[0])
    marks, marked = RunMarks(open_store(tmp_path / "checkpoints" / "ae"), "same", alone=True), []
    marks.mark(first[0])
    at_validation(lambda run, row: marked.append(marks.abandoned()))
    folder = train_model("ae")
    run = run_in(client, folder)
    assert run.info.run_id != first[0]
    assert (run.info.status, run.data.tags.get(RESUMED_RUN)) == ("FINISHED", None)
    assert marked == [[run.info.run_id]] * 4  # its own alone, at each validation that was left


def test_an_interrupted_run_that_another_takes_over_is_ended_and_its_mark_removed(
    train_model, broken_off, at_validation, client, injected, monkeypatch, tmp_path
):
    monkeypatch.delenv("MLFLOW_RUN_ID")
    first = broken_off()
    with pytest.raises(KeyboardInterrupt):
        train_model("ae")
    client.update_run(first[0], status="RUNNING")
    marks, marked = RunMarks(open_store(tmp_path / "checkpoints" / "ae"), "same", alone=True), []
    for run_id in (first[0], "f" * 32):
        marks.mark(run_id)
    at_validation(lambda run, row: marked.append(sorted(marks.abandoned())))
    monkeypatch.setenv("MLFLOW_RUN_ID", injected)
    train_model("ae")
    assert client.get_run(first[0]).info.status == "KILLED"
    assert PARENT not in client.get_run(injected).data.tags
    assert marked == [sorted([injected, "f" * 32])] * 4  # a mark of another store's run is left
