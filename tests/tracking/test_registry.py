"""A model in MLflow: its upload, its aliases; named by its URI in Python and on the command line, and served."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
from mlflow import MlflowClient
from PIL import Image
from servers import free_port, running
from tracked import contents, in_one, reference

from autoencoders import tracking
from autoencoders.commands.encode import encode
from autoencoders.errors import UserError
from autoencoders.inference import load_model
from autoencoders.stages.publish import publish
from autoencoders.tracking.registry import log_model, point_alias

URI = "models:/tiny-autoencoders@best-vae"
IMAGES = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_an_upload_that_was_broken_off_is_taken_up(trained, params, client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifacts", lambda *arguments: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(UserError, match=r"MLflow failed \(full\)"):
            publish(params, **in_one(trained))
    publish(params, **in_one(trained))
    after = contents(client)
    assert [len(run["outputs"]) for run in after["runs"].values()] == [1, 1, 1]
    assert {status for _, status in after["models"]} == {"READY"}
    assert len(after["models"]) == 3


def test_aliases_point_to_the_best_models_by_the_validation_split(trained, params, client):
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


def test_an_experiment_that_came_out_worse_takes_no_alias_away(trained, params, client, capsys):
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


@pytest.fixture
def registered(trained, store) -> Path:
    """The folder of the VAE that `URI` names."""
    with tracking.RunPublisher("autoencoders") as runs:
        runs.register("tiny-autoencoders", trained / "vae", "best-vae", "val/elbo", higher_is_better=True).result()
    return trained / "vae"


def test_a_uri_gives_the_model_that_was_logged(registered, client, tmp_path):
    version = client.get_model_version_by_alias("tiny-autoencoders", "best-vae")
    expected = load_model(registered)
    for uri in (URI, f"models:/tiny-autoencoders/{version.version}", f"runs:/{version.run_id}/vae"):
        found = load_model(uri)
        assert found.description == expected.description
        assert torch.equal(found.encode(IMAGES), expected.encode(IMAGES))
        assert found.thresholds == expected.thresholds

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "black.png")
    for out, model in (("a.npz", URI), ("b.npz", str(registered))):
        encode([tmp_path / "black.png"], model=model, out=tmp_path / out)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_nothing_is_left_of_a_download(registered, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    load_model(URI)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("uri", ["models:/tiny-autoencoders@none", "models:/none/1", f"runs:/{'0' * 32}/model"])
def test_a_uri_of_nothing_is_named(registered, uri):
    with pytest.raises(UserError, match=rf"^{uri} cannot be downloaded from MLflow at sqlite:") as caught:
        load_model(uri)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/model", "mlflow-artifacts:/none", "file:///none", "abc:/x"])
def test_an_address_that_mlflow_cannot_read_is_named(store, uri):
    with pytest.raises(
        UserError, match=rf"^{uri} cannot be downloaded from MLflow .* Name a folder, models:/"
    ) as caught:
        load_model(uri)
    assert "\n" not in str(caught.value)
    assert "unpack" not in str(caught.value)


def test_a_package_that_an_address_needs_is_named(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UserError, match=r"^s3://bucket/model needs the Python package boto3\. Install it, or"):
        load_model("s3://bucket/model")


def test_files_of_another_kind_are_named(client, tmp_path):
    run = client.create_run(client.create_experiment("other", artifact_location=(tmp_path / "artifacts").as_uri()))
    (tmp_path / "notes.txt").write_text("no model")
    client.log_artifact(run.info.run_id, str(tmp_path / "notes.txt"), "model")
    with pytest.raises(UserError, match=r"is no model that this package logged \(it holds 0 files model.json\)"):
        load_model(f"runs:/{run.info.run_id}/model")


def test_without_a_store_none_is_made(tmp_path):
    with pytest.raises(UserError, match=r"MLflow's database .*mlflow.db does not exist. Run from the repository root"):
        load_model(URI)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.fixture
def server(registered, store, tmp_path) -> Iterator[str]:
    """`mlflow models serve` of `URI` at a free port."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", URI, "-h", "127.0.0.1", "-p", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    url = f"http://127.0.0.1:{port}"
    with running([*command, "--env-manager", "local"], f"{url}/ping", tmp_path / "log", PATH=path):
        yield url


def test_a_server_answers_with_reconstructions_and_with_codes(registered, server):
    model = load_model(registered)

    def ask(images: torch.Tensor, **more: Any) -> requests.Response:
        return requests.post(f"{server}/invocations", json={"inputs": images.tolist(), **more}, timeout=60)

    def ask_text(text: str) -> requests.Response:
        headers = {"Content-Type": "application/json"}
        return requests.post(f"{server}/invocations", data=text, headers=headers, timeout=60)

    for more, expected in (
        ({}, model.reconstruct(IMAGES)),
        ({"params": {"output": "reconstructions"}}, model.reconstruct(IMAGES)),
        ({"params": {"output": "codes"}}, model.encode(IMAGES)),
        ({"params": {"output": "codes", "temperature": 2}}, model.encode(IMAGES)),  # MLflow drops what it does not know
    ):
        answer = ask(IMAGES, **more)
        assert answer.status_code == 200, answer.text
        torch.testing.assert_close(torch.tensor(answer.json()["predictions"]), expected, rtol=0, atol=1e-5)

    for wrong, told in (
        (ask(IMAGES, params={"output": "labels"}), "params.output must be one of reconstructions, codes"),
        (ask(IMAGES[..., 1:]), "(-1, 1, 8, 8)"),
        (ask(IMAGES * 255), "images must be floats in [0, 1], found values from "),
        (ask(IMAGES - 0.5, params={"output": "codes"}), "images must be floats in [0, 1], found values from "),
        (ask_text(json.dumps({"inputs": [[[[float("nan")] * 8] * 8]]})), "found values from nan to nan"),
        (ask_text(json.dumps({"inputs": [[[[float("inf")] * 8] * 8]]})), "found values from inf to inf"),
    ):
        assert wrong.status_code == 400
        assert told in wrong.json()["message"].splitlines()[-1]  # MLflow's copy of the input is before it
        assert "stack_trace" not in wrong.json()


@pytest.fixture
def version(client) -> Callable[..., str]:
    """Register a version of the model `tiny` whose run has a validation result, a hash of its data and a likelihood."""
    client.create_registered_model("tiny")

    def registered(value: float, metric: str = "val/elbo", data: str = "a", likelihood: str = "bernoulli") -> str:
        run_id = client.create_run("0", tags={"data_hash": data}).info.run_id
        client.log_metric(run_id, f"best/{metric}", value)
        client.log_param(run_id, "model.likelihood", likelihood)
        return client.create_model_version("tiny", "s3://bucket/model", run_id).version

    return registered


@pytest.mark.parametrize(
    ("metric", "holder", "following", "stays"),
    [
        ("val/elbo", {"value": -90}, {"value": -100}, True),
        ("val/elbo", {"value": -100}, {"value": -90}, False),
        ("val/elbo", {"value": -90}, {"value": -90}, False),
        ("val/mse", {"value": 0.1}, {"value": 0.2}, True),
        ("val/mse", {"value": 0.2}, {"value": 0.1}, False),
        ("val/mse", {"value": 0.1}, {"value": 0.1}, False),
        ("val/elbo", {"value": -90}, {"value": -100, "data": "b"}, False),
        ("val/elbo", {"value": 2000, "likelihood": "gaussian"}, {"value": -100}, False),
        ("val/elbo", {"value": 2000, "likelihood": "gaussian"}, {"value": -900, "likelihood": "logistic"}, False),
        ("val/elbo", {"value": -900, "likelihood": "logistic"}, {"value": -950, "likelihood": "logistic"}, True),
        ("val/mse", {"value": 0.1, "likelihood": "gaussian"}, {"value": 0.2}, True),
        ("val/mse", {"value": 0.1, "data": "b"}, {"value": 0.2}, False),
    ],
)
def test_an_alias_stays_with_the_better_of_two_models_that_compare(client, version, metric, holder, following, stays):
    first, second = version(metric=metric, **holder), version(metric=metric, **following)
    assert point_alias(client, "tiny", "best", first, metric, metric == "val/elbo") == first
    has_it = point_alias(client, "tiny", "best", second, metric, metric == "val/elbo")
    assert has_it == (first if stays else second)
    assert client.get_model_version_by_alias("tiny", "best").version == has_it
    selected = {found.version: found.tags.get("selected_by") for found in client.search_model_versions("name = 'tiny'")}
    assert selected == {first: None, second: None} | {has_it: metric}


def test_an_alias_stays_with_no_model_that_lacks_the_metric(client, version):
    first, second = version(0.1, "val/mse"), version(-100)
    point_alias(client, "tiny", "best", first, "val/mse", higher_is_better=False)
    assert point_alias(client, "tiny", "best", second, "val/elbo", higher_is_better=True) == second
    assert point_alias(client, "tiny", "best", first, "val/elbo", higher_is_better=True) == first


@pytest.mark.parametrize("gone", ["a deleted run", "no run"])
def test_an_alias_stays_with_no_model_whose_run_is_gone(client, version, gone):
    """However good it was: nobody can look it up."""
    best = version(-1)
    if gone == "no run":
        best = client.create_model_version("tiny", "s3://bucket/model").version
    client.set_registered_model_alias("tiny", "best", best)
    if gone == "a deleted run":
        client.delete_run(client.get_model_version("tiny", best).run_id)
    worse = version(-100)
    assert point_alias(client, "tiny", "best", worse, "val/elbo", higher_is_better=True) == worse
    assert client.get_model_version_by_alias("tiny", "best").version == worse


def test_a_version_is_known_by_its_source_alone(trained, client):
    """One that somebody else registered."""
    tracking.connect()  # MLflow looks a model up in the store of its process
    description, name = json.loads((trained / "ae" / "model.json").read_text()), "tiny-autoencoders"
    run_id = client.create_run("0").info.run_id
    log_model(client, run_id, trained / "ae", description, {})
    [first] = client.search_model_versions(f"name = '{name}'")
    client.delete_model_version(name, first.version)
    second = client.create_model_version(name, first.source, run_id)
    assert log_model(client, run_id, trained / "ae", description, {}) == second.version
    assert len(client.search_model_versions(f"name = '{name}'")) == 1
