"""Experiments and runs in MLflow's store, found and refused."""

from typing import Any

import pytest
from json_server import json_server
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from autoencoders import tracking
from autoencoders.errors import UserError
from autoencoders.stages.check import check
from autoencoders.tracking.store import PARENT, SOURCE_RUN, create_run, existing, experiment_id, find_run


@pytest.mark.parametrize("name", ["autoencoders", "autoencoders-ladder"])
def test_a_deleted_experiment_is_refused_with_the_cure_before_the_work(params, train_model, client, tmp_path, name):
    number = client.create_experiment(name, artifact_location=(tmp_path / "mlartifacts").as_uri())
    client.delete_experiment(number)
    for begin in (lambda: check(params), lambda: train_model("ae")):
        with pytest.raises(
            UserError, match=rf"'{name}' is deleted\. Restore it with `mlflow experiments restore -x {number}`"
        ):
            begin()
    assert not (tmp_path / "models").exists()
    client.restore_experiment(number)
    check(params)


def test_a_server_s_deleted_experiment_is_refused_before_the_work_the_ladder_s_too(monkeypatch):
    def answer(method: str, path: str, *request: Any) -> tuple[int, Any]:
        if path == "/api/2.0/mlflow/experiments/get-by-name?experiment_name=a+b-ladder":
            return 200, {"experiment": {"experiment_id": "7", "lifecycle_stage": "deleted"}}
        return 200, {"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}}

    with json_server(answer, with_query=True) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        tracking.require_store("others")
        with pytest.raises(
            UserError, match=r"'a b-ladder' is deleted\. Restore it with `mlflow experiments restore -x 7`"
        ):
            tracking.require_store("a b")


def test_the_ladder_s_experiment_matters_only_where_its_runs_go_there(client, tmp_path, monkeypatch):
    client.delete_experiment(client.create_experiment("x-ladder", artifact_location=tmp_path.as_uri()))
    with pytest.raises(UserError, match="'x-ladder' is deleted"):
        tracking.require_store("x")
    tracking.require_store("y")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "x")
    with pytest.raises(UserError, match="'x-ladder' is deleted"):
        tracking.require_store("y")
    monkeypatch.setenv("KFP_RUN_ID", "a-run")  # all are below the pipeline's run
    tracking.require_store("y")


def test_a_run_id_that_the_store_lacks_is_named(train_model, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(UserError, match=r"MLFLOW_RUN_ID names the run 0+, which .* does not have"):
        train_model("ae")


def test_a_run_exists_until_it_is_deleted_and_what_replaces_it_is_found(client):
    first, second = (
        client.create_run("0", start_time=start, tags={SOURCE_RUN: "a" * 32}).info.run_id for start in (2, 1)
    )
    assert (existing(client, first), existing(client, "a" * 32), existing(client, "no run's id")) == (first, None, None)
    assert (find_run(client, first), find_run(client, "a" * 32)) == (first, second)  # the oldest of two
    client.delete_run(second)
    assert (existing(client, second), find_run(client, "a" * 32), find_run(client, "b" * 32)) == (None, first, None)


def test_another_failure_than_a_missing_run_is_raised(client, monkeypatch):
    def broken(*arguments: object) -> None:
        raise MlflowException("the disk is full")

    monkeypatch.setattr(MlflowClient, "get_run", broken)
    with pytest.raises(MlflowException, match="the disk is full"):
        existing(client, "a" * 32)


def test_an_experiment_that_another_process_has_just_created_is_taken(client, monkeypatch):
    number = client.create_experiment("x", artifact_location="s3://bucket")
    by_name = MlflowClient.get_experiment_by_name
    answers = iter([lambda *arguments: None, by_name])
    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", lambda *arguments: next(answers)(*arguments))
    assert experiment_id(client, "x") == number


def test_a_run_below_another_is_in_its_experiment_and_others_in_that_of_their_kind(client):
    parent = client.create_run(client.create_experiment("launched", artifact_location="s3://bucket")).info.run_id
    names = {}
    for name, options in (("below", {"parent": parent}), ("model", {}), ("rung", {"ladder": True})):
        run = client.get_run(create_run(client, "pictures", name, {"a": "b"}, start=5, **options))
        assert (run.info.run_name, run.info.start_time, run.data.tags["a"]) == (name, 5, "b")
        assert run.data.tags.get(PARENT) == options.get("parent")
        names[name] = client.get_experiment(run.info.experiment_id).name
    assert names == {"below": "launched", "model": "pictures", "rung": "pictures-ladder"}
