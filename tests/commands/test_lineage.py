"""The three-way link between a model's folder, its MLflow run and the Kubeflow run."""

import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from autoencoders.commands.lineage import lineage
from autoencoders.errors import UserError
from autoencoders.stages.train import train
from autoencoders.tracking import RunPublisher
from autoencoders.tracking.store import tagged

ENVIRONMENT = {
    "KFP_RUN_ID": "5e11-a",
    "KFP_TASK": "train",
    "AUTOENCODERS_IMAGE": "registry.example/autoencoders@sha256:12",
    "GIT_COMMIT": "c0ffee",
}


@pytest.fixture
def models(params, prepared, tmp_path, monkeypatch, client) -> Path:
    """`pca` and `ae`, trained as by a Kubeflow run, where there is no git."""
    monkeypatch.setattr("autoencoders.tracking.lineage.run_git", lambda *arguments: "")
    with monkeypatch.context() as pod:
        for name, value in ENVIRONMENT.items():
            pod.setenv(name, value)
        for name in ("pca", "ae"):
            folders = {"checkpoints": tmp_path / "checkpoints", "out": tmp_path / "models" / name}
            train(params, model=name, data=prepared, **folders)
    return tmp_path / "models"


@pytest.fixture
def printed(capsys) -> Callable[[str], list[dict[str, str]]]:
    def call(what: str) -> list[dict[str, str]]:
        capsys.readouterr()
        lineage(what)
        blocks = capsys.readouterr().out.strip("\n").split("\n\n")
        pairs = [[line.partition("  ")[::2] for line in block.splitlines()] for block in blocks]
        return [{key: value.strip() for key, value in block} for block in pairs]

    return call


def test_folder_and_runs_lead_to_the_same_origin(models, printed, client):
    described = json.loads((models / "ae" / "model.json").read_text())
    reference = json.loads((models / "ae" / "run.json").read_text())
    [by_folder] = printed(str(models / "ae"))
    expected = {
        "model": "ae",
        "weights": described["weights_sha256"],
        "commit": "c0ffee",
        "data": described["dataset"]["content_hash"],
        "parameters": reference["tags"]["params_hash"],
        "image": ENVIRONMENT["AUTOENCODERS_IMAGE"],
        "Kubeflow run": "5e11-a",
        "Kubeflow task": "train",
        "hardware": described["hardware"],
        "Python": platform.python_version(),
        "torch": version("torch"),
        "MLflow run": reference["run_id"],
    }
    values = by_folder.pop("parameter values")
    assert by_folder == expected
    assert values.startswith("kind autoencoder, latent ")
    assert "steps 4" in values.split(", ")

    [by_run] = printed(reference["run_id"])
    assert set(by_run["parameter values"].split(", ")) == set(values.split(", "))
    assert {key: value for key, value in by_run.items() if key != "parameter values"} == expected

    by_kubeflow = printed("5e11-a")
    assert [origin["model"] for origin in by_kubeflow] == ["pca", "ae"]
    assert by_kubeflow[1] == by_run
    parent = client.get_run(reference["run_id"]).data.tags["mlflow.parentRunId"]
    assert printed(parent) == by_kubeflow


def test_a_kubeflow_run_leads_to_models_that_an_earlier_one_trained(models, printed, client, monkeypatch):
    """Its trainings were not run again: Kubeflow reused their results."""
    monkeypatch.setenv("KFP_RUN_ID", "5e11-b")
    with RunPublisher("autoencoders") as runs:
        runs.name_models([models / "pca", models / "ae"])
    found = printed("5e11-b")
    assert found == printed("5e11-a")
    assert [(origin["model"], origin["Kubeflow run"]) for origin in found] == [("pca", "5e11-a"), ("ae", "5e11-a")]
    above = tagged(client, "kfp_pipeline", "5e11-b")
    assert printed(above) == found


def test_a_folder_whose_run_is_elsewhere_says_so(trained, store, printed):
    [origin] = printed(str(trained / "vae"))
    run_id = json.loads((trained / "vae" / "run.json").read_text())["run_id"]
    assert origin["MLflow run"] == f"{run_id} (not in this store: `autoencoders publish` makes it again)"
    assert "Kubeflow run" not in origin


@pytest.mark.parametrize("what", ["f" * 32, "no-such-run", "models/nothing", "a' or '1"])
def test_a_name_of_nothing_is_refused(store, what):
    with pytest.raises(UserError, match="is no folder of a trained model, and sqlite:"):
        lineage(what)


def test_looking_up_makes_no_database(trained, printed, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    [origin] = printed(str(trained / "vae"))
    assert origin["model"] == "vae"
    assert "not in this store" in origin["MLflow run"]
    with pytest.raises(UserError, match=r"^no-such-run: MLflow's database .*mlflow.db does not exist\. Run from"):
        lineage("no-such-run")
    assert set(tmp_path.iterdir()) == before


def test_the_origin_as_json(trained, store, capsys):
    described = json.loads((trained / "vae" / "model.json").read_text())
    lineage(str(trained / "vae"), json=True)
    [origin] = json.loads(capsys.readouterr().out)
    assert (origin["model"], origin["weights"]) == ("vae", described["weights_sha256"])
    values = origin["parameter values"]
    assert (values["kind"], values["latent"]) == ("vae", str(described["model"]["latent"]))
    assert "train" not in values


def test_what_a_launcher_logs_is_no_parameter_of_the_model(models, printed, client):
    """`mlflow run -e train -P model=pca` logs the parameter `model` in the model's run."""
    run_id = json.loads((models / "pca" / "run.json").read_text())["run_id"]
    [before] = printed(run_id)
    client.log_param(run_id, "model", "pca")
    assert printed(run_id) == [before]
    assert before["parameter values"].startswith("kind pca, ")
