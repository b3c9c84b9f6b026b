import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from autoencoders import cli, tracking
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import Interrupted, UserError, first_line
from autoencoders.params import Params
from autoencoders.stages.publish import publish
from autoencoders.stages.train import train
from autoencoders.tracking import client as mlflow_client
from autoencoders.tracking import content, launch, model_run
from autoencoders.tracking.store import SOURCE_RUN

Hook = Callable[[tracking.ModelRun, dict[str, float]], None]


@pytest.fixture
def train_model(params: Params, prepared: Path, tmp_path: Path) -> Callable[..., Path]:
    def trained_folder(name: str, params: Params = params) -> Path:
        out = tmp_path / "models" / name
        train(params, model=name, data=prepared, checkpoints=tmp_path / "checkpoints", out=out)
        return out

    return trained_folder


@pytest.fixture
def at_epoch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hook], None]:
    """Have something happen at the end of each epoch, before its metrics are logged."""
    log_epoch = tracking.ModelRun.log_epoch

    def install(hook: Hook) -> None:
        def hooked(run: tracking.ModelRun, row: dict[str, float]) -> None:
            hook(run, row)
            log_epoch(run, row)

        monkeypatch.setattr(tracking.ModelRun, "log_epoch", hooked)

    return install


def in_one(folder: Path) -> dict[str, Path]:
    """What `publish` reads, all of it in one folder."""
    return {**dict.fromkeys(("models", "evaluation", "figures", "ladder"), folder), "report": folder / "index.html"}


def reference(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def run_in(client: MlflowClient, folder: Path) -> Run:
    return client.get_run(reference(folder)["run_id"])


def histories(client: MlflowClient, run_id: str, model: Path) -> None:
    """Assert that each of the history's metrics is in the run once an epoch, at its time."""
    table = pd.read_csv(model / "history.csv")
    for column in set(table) - {"epoch", "timestamp"}:
        logged = client.get_metric_history(run_id, column if "/" in column else f"train/{column}")
        expected = zip(table["epoch"], table[column], (table["timestamp"] * 1000).astype(int), strict=True)
        assert sorted((m.step, m.value, m.timestamp) for m in logged) == sorted(expected), column


def contents(client: MlflowClient) -> dict[str, Any]:
    """Everything that publishing twice must not change."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    found = {}
    for run in client.search_runs(experiments):
        run_id = run.info.run_id
        metrics = {key: client.get_metric_history(run_id, key) for key in run.data.metrics}
        found[run_id] = {
            "info": (run.info.status, run.info.start_time, run.info.end_time),
            "metrics": {
                key: sorted((m.step, repr(m.value), m.timestamp) for m in all_) for key, all_ in metrics.items()
            },
            "params and tags": (run.data.params, run.data.tags),
            "data sets": [(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs],
            "outputs": [output.model_id for output in run.outputs.model_outputs],
        }
    models = {(model.model_id, str(model.status)) for model in client.search_logged_models(experiments)}
    versions = {(v.name, v.version, v.run_id, tuple(v.aliases)) for v in client.search_model_versions()}
    return {"runs": found, "models": models, "versions": versions}


# What a run holds


def test_a_run_holds_all_of_a_training(train_model: Callable[..., Path], prepared: Path, client: MlflowClient) -> None:
    folder = train_model("vae")
    run = run_in(client, folder)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "vae")
    assert client.get_experiment(run.info.experiment_id).name == "autoencoders"
    assert run.data.params["model.latent"] == "2"
    assert run.data.params["train.learning_rate"] == "0.01"
    histories(client, run.info.run_id, folder)
    description = json.loads((folder / "model.json").read_text())
    assert run.data.metrics["best/val/elbo"] == description["validation"]["val/elbo"]
    assert run.data.metrics["system/cpu_utilization_percentage"] > 0

    content_hash = PreparedData(prepared).info.content_hash
    [used] = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("tiny", content_hash[:36])
    assert json.loads(used.dataset.profile)["content_hash"] == content_hash
    [logged] = run.outputs.model_outputs
    [version] = client.search_model_versions("name = 'tiny-autoencoders'")
    assert (version.run_id, version.source) == (run.info.run_id, f"models:/{logged.model_id}")


def test_tags_tie_a_run_to_the_commit_the_stage_and_the_inputs(
    train_model: Callable[..., Path], prepared: Path, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@ae")
    monkeypatch.setenv("KFP_RUN_ID", "kfp-1")
    folder = train_model("ae")
    tags = run_in(client, folder).data.tags
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert tags["git_commit"] == tags["mlflow.source.git.commit"] == head
    assert tags["git_dirty"] in ("true", "false")
    assert (tags["dvc_stage"], tags["kfp_run"]) == ("train@ae", "kfp-1")
    assert tags["data_hash"] == PreparedData(prepared).info.content_hash
    assert tags.items() >= reference(folder)["tags"].items()


def test_git_dirty_tells_changed_code_but_not_what_the_pipeline_itself_rewrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoencoders.tracking.origin import _commit

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert _commit() == ("", "false")
    monkeypatch.setenv("GIT_COMMIT", "abc")  # as an image without git says it
    assert _commit() == ("abc", "false")
    (tmp_path / "sub").mkdir()
    (tmp_path / "evaluation" / "vae").mkdir(parents=True)
    for name in ("dvc.lock", "evaluation/vae/metrics.json", "code.py"):
        (tmp_path / name).write_text("1")
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "1"]):
        subprocess.run(["git", *command], check=True)
    for name in ("dvc.lock", "evaluation/vae/metrics.json"):
        (tmp_path / name).write_text("2")
    monkeypatch.chdir(tmp_path / "sub")
    assert _commit()[1] == "false"
    (tmp_path / "code.py").write_text("2")
    assert _commit()[1] == "true"


def test_the_params_hash_is_of_this_model_and_its_training_alone() -> None:
    from autoencoders.tracking.origin import params_hash

    one = {"model": {"latent": 2}, "train": {"epochs": 1}, "hardware": "cpu"}
    assert params_hash(one) == params_hash({**one, "hardware": "cuda"})
    assert params_hash(one) != params_hash({**one, "train": {"epochs": 2}})


def test_nothing_in_the_local_store_depends_on_the_current_folder(
    train_model: Callable[..., Path], client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = run_in(client, train_model("ae"))
    assert run.info.artifact_uri.startswith((tmp_path / "mlartifacts").as_uri())
    [location] = {
        e.artifact_location.removeprefix("file://") for e in client.search_experiments() if e.name != "Default"
    }
    assert location == str(tmp_path / "mlartifacts")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert tracking.tracking_uri() == f"sqlite:///{tmp_path / 'elsewhere' / 'mlflow.db'}"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # as in an experiment in a copy of the repository
    assert tracking.tracking_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"


# How a run ends


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED"), (UserError, "FAILED"), (Interrupted, "KILLED")],
)
def test_a_run_that_is_broken_off_says_so_and_goes_on_when_resumed(
    train_model: Callable[..., Path],
    at_epoch: Callable[[Hook], None],
    client: MlflowClient,
    tmp_path: Path,
    error: type[BaseException],
    status: str,
) -> None:
    seen: list[str] = []

    def break_off(run: tracking.ModelRun, row: dict[str, float]) -> None:
        if not seen:
            seen.append(run.run_id)
            raise error("stop")

    at_epoch(break_off)
    with pytest.raises(error):
        train_model("vae")
    assert client.get_run(seen[0]).info.status == status
    folder = train_model("vae")
    assert reference(folder)["run_id"] == seen[0]
    assert run_in(client, folder).info.status == "FINISHED"
    histories(client, seen[0], folder)


def test_a_mistake_in_recording_lets_the_training_finish_and_is_then_raised(
    train_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*arguments: object) -> None:
        raise TypeError("a mistake")

    monkeypatch.setattr(content, "log_history", mistaken)
    with pytest.raises(TypeError, match="a mistake"):
        train_model("ae")
    assert (tmp_path / "models" / "ae" / "run.json").exists()


def test_a_server_that_hangs_keeps_an_interrupted_program_only_so_long(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder, hanging = tracking.Recorder(), threading.Event()
    recorder.attempt(lambda client: hanging.wait())
    last = recorder.attempt(lambda client: 1)
    recorder.finish(timeout=0.05)
    assert capsys.readouterr().err == "warning: MLflow did not answer in time and is left behind\n"
    hanging.set()
    assert last.result(timeout=5) == 1


def test_a_deleted_experiment_and_a_strange_run_id_are_told_by_name(
    train_model: Callable[..., Path], client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(UserError, match=r"MLFLOW_RUN_ID names the run 0+, which .* does not have"):
        train_model("ae")
    monkeypatch.delenv("MLFLOW_RUN_ID")
    client.delete_experiment(client.create_experiment("autoencoders"))
    with pytest.raises(UserError, match="mlflow experiments restore"):
        train_model("ae")


def test_ctrl_c_ends_the_command_within_seconds_and_without_noise(
    store: str, prepared: Path, tmp_path: Path, client: MlflowClient
) -> None:
    (tmp_path / "params.yaml").write_text(
        "train: {epochs: 100000, batch_size: 60}\nmodels: {ae: {kind: autoencoder, arch: mlp, hidden: [8], latent: 2}}"
    )
    folders = ["--data", prepared, "--checkpoints", "checkpoints", "--out", "ae"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from autoencoders.cli import main; main()", "train", "--model", "ae", *folders],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while not list((tmp_path / "checkpoints" / "ae").glob("*.pt")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    told = [line for line in re.split(r"[\r\n]+", err) if line.strip() and not line.startswith("ae:")]
    assert told == ["interrupted: run the same command again to go on"]
    assert out == ""
    [experiment] = [found for found in client.search_experiments() if found.name == "autoencoders"]
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "KILLED"


def test_importing_mlflow_beside_torch_and_scipy_does_not_deadlock(store: str) -> None:
    program = (
        "from autoencoders.tracking import Recorder; r = Recorder();"
        "import torch._dynamo, sklearn.mixture;"
        "f = r.attempt(lambda client: len(client.search_experiments())); r.finish(); print(f.result())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


# Runs that were started by others


def break_off_once(at_epoch: Callable[[Hook], None]) -> list[str]:
    """Have the next training interrupted at the end of its first epoch; returns where its run's id will be."""
    broken_off: list[str] = []

    def break_off(run: tracking.ModelRun, row: dict[str, float]) -> None:
        if not broken_off:
            broken_off.append(run.run_id)
            raise KeyboardInterrupt

    at_epoch(break_off)
    return broken_off


@pytest.fixture
def injected(client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run such as `mlflow run` starts, in another experiment than the parameters name."""
    # a bare client of MLflow's would keep its files in mlruns, where the tests were started
    experiment = client.create_experiment("launched", artifact_location=(tmp_path / "artifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


def test_an_injected_run_is_the_models_where_the_stage_runs_alone(
    train_model: Callable[..., Path], client: MlflowClient, injected: str
) -> None:
    folder = train_model("ae")
    assert reference(folder)["run_id"] == injected
    histories(client, injected, folder)
    assert client.get_run(injected).data.tags["model"] == "ae"
    assert [len(client.search_runs([e.experiment_id])) for e in client.search_experiments()] == [1, 0]


def test_an_injected_run_takes_over_an_interrupted_training_whole(
    train_model: Callable[..., Path],
    at_epoch: Callable[[Hook], None],
    client: MlflowClient,
    injected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID")
    first = break_off_once(at_epoch)
    with pytest.raises(KeyboardInterrupt):
        train_model("ae")
    monkeypatch.setenv("MLFLOW_RUN_ID", injected)
    folder = train_model("ae")
    assert reference(folder)["run_id"] == injected
    assert client.get_run(injected).data.tags[model_run.RESUMED_RUN] == first[0]
    histories(client, injected, folder)


def test_a_training_that_is_resumed_below_another_pipeline_moves_below_it(
    train_model: Callable[..., Path],
    at_epoch: Callable[[Hook], None],
    client: MlflowClient,
    injected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = break_off_once(at_epoch)
    monkeypatch.setenv("DVC_STAGE", "train@ae")
    with pytest.raises(KeyboardInterrupt):
        train_model("ae")
    second = client.create_run(client.get_run(injected).info.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", second)
    run = run_in(client, train_model("ae"))
    assert run.info.run_id == first[0]
    assert run.data.tags["mlflow.parentRunId"] == second


def test_an_injected_run_is_the_parent_where_dvc_runs_the_stage_and_is_not_ended(
    train_model: Callable[..., Path], client: MlflowClient, injected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@ae")
    folder = train_model("ae")
    run = run_in(client, folder)
    assert run.info.run_id != injected
    assert run.data.tags["mlflow.parentRunId"] == injected
    assert run.info.experiment_id == client.get_run(injected).info.experiment_id
    with tracking.RunPublisher("autoencoders") as models:
        models.log_evaluation(folder, {"mse": 0.5})
    assert client.get_run(run.info.run_id).data.metrics["test/mse"] == 0.5
    parent = client.get_run(injected)
    assert (parent.info.status, parent.data.metrics) == ("RUNNING", {})


def test_an_evaluation_that_is_launched_alone_logs_to_the_models_run_and_to_its_own(
    train_model: Callable[..., Path], client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train_model("ae")
    own = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    with tracking.RunPublisher("autoencoders") as models:
        models.log_evaluation(folder, {"mse": 0.5}, [folder / "model.json"], own=tracking.injected_run())
    assert client.get_run(own).data.metrics == {"test/mse": 0.5}
    assert run_in(client, folder).data.metrics["test/mse"] == 0.5
    assert [file.path for file in client.list_artifacts(reference(folder)["run_id"])] == ["evaluation"]


def test_publishing_leaves_a_launchers_run_without_the_models_metrics(
    trained: Path, params: Params, client: MlflowClient, injected: str
) -> None:
    (trained / "ae" / "metrics.json").write_text('{"mse": 0.25}')
    publish(params, **in_one(trained))
    assert client.get_run(injected).data.metrics == {}
    [run] = [run for run in contents(client)["runs"].values() if "test/mse" in run["metrics"]]
    assert run["params and tags"][1]["model"] == "ae"


# Kubeflow Pipelines


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"KFP_RUN_ID": "c0ffee00-1", "KFP_TASK": "train", "AUTOENCODERS_IMAGE": "a@sha256:1"}.items():
        monkeypatch.setenv(name, value)


def test_the_tasks_of_a_kubeflow_pipeline_share_a_parent_and_are_tagged_with_run_task_and_image(
    train_model: Callable[..., Path], client: MlflowClient, kubeflow: None
) -> None:
    runs_of = [run_in(client, train_model(name)) for name in ("pca", "ae")]
    for run in runs_of:
        assert (run.data.tags["kfp_run"], run.data.tags["kfp_task"]) == ("c0ffee00-1", "train")
        assert run.data.tags["image"] == "a@sha256:1"
    [parent] = {run.data.tags["mlflow.parentRunId"] for run in runs_of}
    found = client.get_run(parent)
    assert (found.info.run_name, found.data.tags["kfp_pipeline"]) == ("kubeflow c0ffee00", "c0ffee00-1")
    assert "kfp_task" not in found.data.tags
    assert len(client.search_runs([found.info.experiment_id])) == 3


def test_of_two_parents_made_at_once_the_oldest_stays(
    client: MlflowClient, kubeflow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = launch.create_run
    faster = {}

    def make_after_another(client: MlflowClient, experiment: str, name: str, tags: dict[str, str]) -> str:
        faster["run"] = make(client, experiment, name, tags, start=1)
        return make(client, experiment, name, tags)

    monkeypatch.setattr(launch, "create_run", make_after_another)
    assert launch.kubeflow_run(client, "autoencoders") == faster["run"]
    experiment = client.get_experiment_by_name("autoencoders")
    assert experiment is not None
    assert [run.info.run_id for run in client.search_runs([experiment.experiment_id])] == [faster["run"]]
    assert launch.kubeflow_run(client, "autoencoders") == faster["run"]


def test_a_run_injected_by_kubeflow_s_plugin_is_joined_and_no_parent_is_made(
    train_model: Callable[..., Path], client: MlflowClient, injected: str, kubeflow: None
) -> None:
    assert reference(train_model("ae"))["run_id"] == injected
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [run.info.run_id for run in client.search_runs(everywhere)] == [injected]
    assert client.get_run(injected).data.tags["kfp_run"] == "c0ffee00-1"


# Publishing


def test_models_that_arrive_without_their_runs_get_them_re_created_once(
    trained: Path, params: Params, client: MlflowClient, tmp_path: Path
) -> None:
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

    [experiment] = [found for found in client.search_experiments() if found.name == "autoencoders"]
    by_name = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    for name, run in by_name.items():
        assert run.data.tags[SOURCE_RUN] == reference(trained / name)["run_id"] != run.info.run_id
        assert run.data.tags.items() >= reference(trained / name)["tags"].items()
        assert run.info.status == "FINISHED"
    run = by_name["ae"]
    histories(client, run.info.run_id, trained / "ae")
    assert run.info.end_time == int(pd.read_csv(trained / "ae" / "history.csv")["timestamp"].max() * 1000)
    assert run.info.start_time < run.info.end_time
    assert run.data.metrics["test/mse"] == 0.25
    figures = [file.path for file in client.list_artifacts(run.info.run_id, "figures")]
    assert figures == ["figures/loss.png", "figures/prediction.png"]


def test_an_upload_that_was_broken_off_is_taken_up(
    trained: Path, params: Params, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", lambda *arguments: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(UserError, match=r"MLflow failed \(full\)"):
            publish(params, **in_one(trained))
    publish(params, **in_one(trained))
    after = contents(client)
    assert [len(run["outputs"]) for run in after["runs"].values()] == [1, 1, 1]
    assert {status for _, status in after["models"]} == {"READY"}
    assert len(after["models"]) == 3


def test_aliases_point_to_the_best_models_by_the_validation_split(
    trained: Path, params: Params, client: MlflowClient
) -> None:
    """A second VAE that is better, then worse: the alias follows, and no version is added."""
    both = params.model_copy(update={"models": {**params.models, "vae-b": params.models["vae"]}})
    second = trained / "vae-b"
    second.mkdir()
    description = json.loads((trained / "vae" / "model.json").read_text())
    elbo = description["validation"]["val/elbo"]
    for file in ("weights.safetensors", "history.csv"):
        (second / file).write_bytes((trained / "vae" / file).read_bytes())
    (second / "run.json").write_text(json.dumps({"run_id": "1" * 32}))
    for offset, best in ((1.0, "vae-b"), (-1.0, "vae")):
        changed = {
            **description,
            "name": "vae-b",
            "validation": {**description["validation"], "val/elbo": elbo + offset},
        }
        (second / "model.json").write_text(json.dumps(changed))
        publish(both, **in_one(trained))
        for alias, name, metric in (("best-vae", best, "val/elbo"), ("best-autoencoder", "ae", "val/mse")):
            version = client.get_model_version_by_alias("tiny-autoencoders", alias)
            assert version.tags["model"] == client.get_run(version.run_id).info.run_name == name
            assert version.tags["selected_by"] == metric
    assert len(client.search_model_versions()) == 4
    tagged = [v.tags["model"] for v in client.search_model_versions() if "selected_by" in v.tags]
    assert sorted(tagged) == ["ae", "vae"]


def test_an_experiment_that_came_out_worse_takes_no_alias_away(
    trained: Path, params: Params, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(params, **in_one(trained))
    first = client.get_model_version_by_alias("tiny-autoencoders", "best-vae")
    description = json.loads((trained / "vae" / "model.json").read_text())
    elbo = description["validation"]["val/elbo"]

    def train_again(run_id: str, **changes: Any) -> None:
        changed = {**description, **changes, "validation": {**description["validation"], "val/elbo": elbo - 1}}
        (trained / "vae" / "model.json").write_text(json.dumps(changed))
        tags = {**reference(trained / "vae")["tags"], "data_hash": changed["dataset"]["content_hash"]}
        (trained / "vae" / "run.json").write_text(json.dumps({"run_id": run_id, "tags": tags}))
        publish(params, **in_one(trained))

    train_again("2" * 32)
    assert client.get_model_version_by_alias("tiny-autoencoders", "best-vae").version == first.version
    assert "@best-vae stays where it is: that model is better than vae, by val/elbo" in capsys.readouterr().out
    other = {**description["dataset"], "content_hash": "0" * 64}
    train_again("3" * 32, dataset=other)  # the ELBOs of two data sets do not compare
    last = client.get_model_version_by_alias("tiny-autoencoders", "best-vae")
    assert int(last.version) > int(first.version)

    client.delete_run(last.run_id)
    train_again("4" * 32, dataset=other)
    assert client.get_model_version_by_alias("tiny-autoencoders", "best-vae").run_id != last.run_id


def test_a_model_without_a_run_of_record_is_known_by_its_weights(
    trained: Path, params: Params, client: MlflowClient
) -> None:
    (trained / "ae" / "run.json").unlink()
    for _ in range(2):
        publish(params, **in_one(trained))
    assert len(contents(client)["runs"]) == 3


# Servers


class Proxy:
    """Forwards a port of this machine to a server, until told to be down."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.port}"

    def down(self) -> None:
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open = []

    def up(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def server_port(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    (folder / "mlflow.db").write_bytes(migrated.read_bytes())
    options = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options, *where],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.2)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # a loaded machine
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def proxy(server_port: int, params: Params, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    proxy = Proxy(server_port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    yield proxy
    proxy.down()


def test_a_server_that_goes_away_costs_nothing_that_publishing_does_not_bring_back(
    train_model: Callable[..., Path],
    at_epoch: Callable[[Hook], None],
    proxy: Proxy,
    params: Params,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def go_down(run: tracking.ModelRun, row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            assert all(attempt.result() is None for attempt in run._attempts)  # the first epoch is recorded
            proxy.down()

    at_epoch(go_down)
    longer = params.model_copy(update={"train": params.train.model_copy(update={"epochs": 4})})
    folder = train_model("ae", longer)
    told = capfd.readouterr()
    [warning] = [line for line in told.err.splitlines() if line.startswith("warning:")]
    assert "`autoencoders publish` records it once MLflow answers" in warning
    assert "secret" not in told.err + told.out
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "model.json", "history.csv", "run.json"}

    proxy.up()
    client = MlflowClient(proxy.uri)
    run_id = reference(folder)["run_id"]
    assert [m.step for m in client.get_metric_history(run_id, "val/loss")] == [1]
    folders = {**in_one(tmp_path), "models": folder.parent}
    publish(longer, **folders)
    publish(longer, **folders)
    assert len(client.search_model_versions()) == 1
    assert client.get_run(run_id).info.status == "FINISHED"
    histories(client, run_id, folder)
    told = capfd.readouterr()
    assert told.out.splitlines() == ["ae: published"] * 2
    assert told.err == ""

    import mlflow.pyfunc
    import numpy as np

    mlflow.set_tracking_uri(proxy.uri)
    images = np.zeros((3, 1, 8, 8), np.float32)
    assert mlflow.pyfunc.load_model(f"runs:/{run_id}/model").predict(images).shape == images.shape


def test_what_an_outage_left_of_a_training_is_completed_by_the_last_task_of_its_pipeline(
    train_model: Callable[..., Path], at_epoch: Callable[[Hook], None], proxy: Proxy, tmp_path: Path, kubeflow: None
) -> None:
    def go_down(run: tracking.ModelRun, row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            assert all(attempt.result() is None for attempt in run._attempts)  # the first epoch is recorded
            proxy.down()

    at_epoch(go_down)
    folder = train_model("vae")
    proxy.up()
    client = MlflowClient(proxy.uri)
    assert run_in(client, folder).info.status == "RUNNING"
    assert [m.step for m in client.get_metric_history(reference(folder)["run_id"], "val/loss")] == [1]
    (tmp_path / "index.html").write_text("<h1>Report</h1>")
    with tracking.RunPublisher("autoencoders") as runs:
        runs.complete_model(folder)
        runs.log_report(tmp_path / "index.html")
    run = run_in(client, folder)
    assert run.info.status == "FINISHED"
    histories(client, run.info.run_id, folder)
    assert "best/val/elbo" in run.data.metrics
    assert client.get_run(run.data.tags["mlflow.parentRunId"]).info.status == "FINISHED"


def test_a_server_that_comes_back_before_the_end_has_the_whole_run(
    train_model: Callable[..., Path],
    at_epoch: Callable[[Hook], None],
    proxy: Proxy,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def go_down_and_up(run: tracking.ModelRun, row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            proxy.down()
        else:
            run._attempts[-1].result()
            proxy.up()

    at_epoch(go_down_and_up)
    folder = train_model("vae")
    client = MlflowClient(proxy.uri)
    run = run_in(client, folder)
    assert run.info.status == "FINISHED"
    histories(client, run.info.run_id, folder)
    assert "MLflow answers again, and its run is complete" in capfd.readouterr().err


def test_an_unreachable_server_is_noticed_at_the_start(
    params: Params, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text("models: {ae: {kind: autoencoder, latent: 2, arch: mlp, hidden: [8]}}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{free_port()}")
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    began = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "--model", "ae", "--data", str(prepared), "--checkpoints", "c", "--out", "o"])
    assert time.monotonic() - began < 6
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.match(r"error: the MLflow server at http://127\.0\.0\.1:\d+ does not answer \(ConnectionError\)", line)
    assert "secret" not in line


def test_a_server_that_accepts_and_says_nothing_is_noticed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_client, "HEALTH_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(UserError, match=r"does not answer \(ReadTimeout\)"):
            tracking.require_server()


class Answering(BaseHTTPRequestHandler):
    """Answers the paths of `known` with HTTP 200 and all others with 404."""

    known: tuple[str, ...] = ()

    def do_GET(self) -> None:
        self.send_response(200 if self.path.startswith(self.known) else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("known", [(), ("/api/2.0/mlflow/",), ("/health",)])
def test_a_web_server_without_mlflow_is_told_from_one_that_has_just_its_api(
    known: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "known", known)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        try:
            if known:
                tracking.require_server()
            else:
                with pytest.raises(UserError, match=r"there is no MLflow at http://127\.0\.0\.1:\d+: HTTP 404"):
                    tracking.require_server()
        finally:
            server.shutdown()


def test_no_message_holds_a_password() -> None:
    error = OSError("API request to https://me:p%40ss@host/api failed\nTraceback: https://me:p%40ss@host")
    assert first_line(error) == "API request to https://host/api failed"
