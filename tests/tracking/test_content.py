"""What a run holds: a training's, and a rung's with its times, its curves and its experiment."""

import json
import math
import time
from itertools import count
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from tracked import histories, run_in

from autoencoders.data.prepared import PreparedData
from autoencoders.ladder.record import Result, read_rung, save_rung
from autoencoders.stages.recording import rung_result
from autoencoders.tracking import RunPublisher, content
from autoencoders.tracking.ladder_content import log_report

SERIES = [
    {"target": "flower", "weights": 10, "step": step, "mse": mse, "psnr": psnr}
    for step, mse, psnr in ((0, 0.1, 10.0), (1, 0.01, 20.0), (2, 0.001, 30.0))
]


def test_a_run_holds_all_of_a_training(train_model, prepared, client):
    folder = train_model("vae")
    run = run_in(client, folder)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "vae")
    assert client.get_experiment(run.info.experiment_id).name == "autoencoders"
    assert run.data.params["model.latent"] == "2"
    assert run.data.params["train.learning_rate"] == "0.01"
    histories(client, run.info.run_id, folder)
    description = json.loads((folder / "model.json").read_text())
    assert run.data.metrics["val/best/elbo"] == description["validation"]["val/elbo"]
    assert next(iter(run.data.metrics)) == "val/mse", "MLflow's Compare opens with the first one"
    assert not [key for key in run.data.metrics if key.startswith("system/")]

    content_hash = PreparedData(prepared).info.content_hash
    [used] = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("tiny", content_hash[:36])
    assert json.loads(used.dataset.profile)["content_hash"] == content_hash
    [logged] = run.outputs.model_outputs
    [version] = client.search_model_versions("name = 'tiny-autoencoders'")
    assert (version.run_id, version.source) == (run.info.run_id, f"models:/{logged.model_id}")


def test_system_metrics_are_logged_where_mlflow_s_switch_is_on(train_model, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    run = run_in(client, train_model("vae"))
    assert run.data.metrics["system/disk_usage_percentage"] > 0


@pytest.fixture
def folder(prepared, rungs) -> Path:
    """The rung `one-image` with a series of three steps."""
    facts = read_rung(rungs / "one-image")["facts"]
    result = Result("", {"steps": 2}, {"flower/psnr": 41.5}, facts, SERIES)
    info = PreparedData(prepared).info
    save_rung(rungs / "one-image", "one-image", result, data=info, hardware="cpu", seconds=12.5, tags={})
    return rungs / "one-image"


def figure(folder: Path) -> Path:
    (folder.parent / "drawn.png").write_bytes(b"a chart")
    return folder.parent / "drawn.png"


def logged(folder: Path, client: MlflowClient, experiment: str = "pictures-ladder") -> str:
    """Log the rung twice; return the id of its only run."""
    for _ in range(2):
        with RunPublisher("pictures") as runs:
            runs.log_rung(rung_result(folder, figure(folder)))
    found = client.get_experiment_by_name(experiment)
    [run] = client.search_runs([found.experiment_id])
    return run.info.run_id


def test_a_rung_has_its_own_times_and_data_set_its_figure_its_story_and_its_curves(folder, client):
    run = client.get_run(logged(folder, client))
    assert run.info.end_time == int(1000 * read_rung(folder)["ended"])
    assert run.info.end_time - run.info.start_time == 12_500
    assert (run.data.metrics["seconds"], run.data.metrics["flower/psnr"]) == (12.5, 41.5)
    [data] = run.inputs.dataset_inputs
    assert data.dataset.name == "tiny"
    assert client.get_experiment_by_name("pictures") is None
    names = [file.path for file in client.list_artifacts(run.info.run_id, "ladder")]
    assert names == ["ladder/figure.png", "ladder/rung.json", "ladder/series.csv", "ladder/story.md"]
    story = Path(client.download_artifacts(run.info.run_id, "ladder/story.md")).read_text(encoding="utf-8")
    assert story.startswith("# One image in the weights\n\n*A network is a data structure")
    history = client.get_metric_history(run.info.run_id, "by_step/flower/10 weights/psnr")
    assert [(point.step, point.value) for point in history] == [(0, 10), (1, 20), (2, 30)]


def test_rungs_and_reports_of_experiments_have_their_names(folder, rungs, prepared, client, tmp_path):
    result, info = Result("", {}, {"flower/psnr": 41.5}, read_rung(folder)["facts"]), PreparedData(prepared).info
    tags = {"dvc_experiment": "beta-4"}
    save_rung(rungs / "one-image", "one-image", result, data=info, hardware="cpu", seconds=1.0, tags=tags)
    assert client.get_run(logged(folder, client)).info.run_name == "ladder: one-image (beta-4)"
    page = tmp_path / "index.html"
    page.write_text(f'<script type="application/json" id="origin">{json.dumps(tags)}</script>')
    log_report(client, page, "autoencoders", None)
    ladder = client.get_experiment_by_name("autoencoders-ladder").experiment_id
    assert client.search_runs([ladder])[0].info.run_name == "report (beta-4)"


def test_an_epoch_is_a_step_and_gaps_are_left_out(folder, client):
    pd.DataFrame({"epoch": [1, 2], "random/mse": [0.2, None]}).to_csv(folder / "series.csv", index=False)
    history = client.get_metric_history(logged(folder, client), "by_epoch/random/mse")
    assert [(point.step, point.value) for point in history] == [(1, 0.2)]


def test_a_series_without_steps_has_no_curves(folder, client):
    pd.DataFrame({"beta": [1, 2], "kl": [0.2, 0.1]}).to_csv(folder / "series.csv", index=False)
    assert set(client.get_run(logged(folder, client)).data.metrics) == {"flower/psnr", "seconds"}


@pytest.mark.parametrize("by", ["MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"])
def test_the_ladder_stands_beside_the_experiment_that_a_launcher_names(folder, client, monkeypatch, by):
    monkeypatch.setenv(by, {"MLFLOW_EXPERIMENT_ID": client.create_experiment("named")}.get(by, "named"))
    logged(folder, client, "named-ladder")


def test_the_parameters_of_a_run_are_the_model_s_its_training_s_and_the_data_s(trained, client):
    run_id, description = client.create_run("0").info.run_id, json.loads((trained / "ae" / "model.json").read_text())
    content.describe(client, run_id, description, "here")
    run, training = client.get_run(run_id), description["train"]
    assert run.data.params == {
        **{f"model.{key}": str(value) for key, value in description["model"].items() if key != "train"},
        **{f"train.{key}": str(value) for key, value in training.items()},
        "data.name": "tiny",
        "data.shape": "[1, 8, 8]",
    }
    assert len(run.data.params) == len(description["model"]) - 1 + len(training) + 2
    [used] = run.inputs.dataset_inputs
    assert json.loads(used.dataset.source) == {"uri": "here"}


def test_metrics_are_logged_by_the_thousand_and_none_is_lost(client, monkeypatch):
    """MLflow takes a thousand at once."""
    run_id, log_batch, sizes = client.create_run("0").info.run_id, MlflowClient.log_batch, []

    def counted(client: MlflowClient, run_id: str, metrics: list[Metric]) -> None:
        sizes.append(len(metrics))
        log_batch(client, run_id, metrics)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    content.log_all(client, run_id, [Metric("loss", float(step), 1, step) for step in range(2001)])
    assert sizes == [1000, 1000, 1]
    history = client.get_metric_history(run_id, "loss")
    assert sorted((point.step, point.value) for point in history) == [(step, step) for step in range(2001)]


def test_a_metric_is_logged_again_only_with_another_value(client, monkeypatch):
    run_id = client.create_run("0").info.run_id
    seconds = count(1_000_000)
    monkeypatch.setattr(time, "time", lambda: next(seconds))  # MLflow keeps equal values of one time once
    for value in (math.nan, math.nan, 0.5, 0.5, 0.25, 0.75, math.nan):
        content.log_metrics(client, run_id, {"psnr": value})
    history = client.get_metric_history(run_id, "psnr")
    assert [str(point.value) for point in history] == ["nan", "0.5", "0.25", "0.75", "nan"]
    assert {point.timestamp % 1000 for point in history} == {0}  # milliseconds: whole seconds went by
    assert min(point.timestamp for point in history) >= 1_000_000_000


def test_a_training_lasted_from_before_its_first_validation_to_the_end_of_its_last():
    rows = [{"timestamp": 100.0, "seconds": 2.5}, {"timestamp": 103.5, "seconds": 3.5}]
    assert content.times(rows) == (97_500, 103_500)
    assert content.times([{"timestamp": 100.0}]) == (100_000, 100_000)
    assert content.times([]) == (None, None)
