"""Experiments and runs in MLflow's store, found and refused."""

from typing import Any

import pytest
from json_server import json_server

from autoencoders import tracking
from autoencoders.errors import UserError
from autoencoders.stages.check import check


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
