"""Tracking at a real `mlflow server` with a database, artifacts in a real S3 store, as the tasks on a cluster do it."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from mlflow import MlflowClient
from servers import BUCKET, SECRET, free_port, running, s3_client

from autoencoders import load_model
from autoencoders.stages.train import train
from autoencoders.tracking.lineage import origins

pytestmark = pytest.mark.cluster


@pytest.fixture(params=["passed on by the server", "written to S3 by the task"])
def server(request, s3, migrated, tmp_path, monkeypatch) -> str:
    """The address of a tracking server with a database of its own; artifacts go to S3 in two ways."""
    shutil.copy(migrated, tmp_path / "server.db")
    port, place = free_port(), f"s3://{BUCKET}/{tmp_path.name}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}",
    ]  # fmt: skip
    secret = {**SECRET, "MLFLOW_S3_ENDPOINT_URL": s3}
    if request.param.startswith("passed"):
        command += ["--artifacts-destination", place]
        # An address that the server alone reaches, as in a cluster: through a proxy, which is the store itself.
        secret |= {"MLFLOW_S3_ENDPOINT_URL": "http://store.invalid", "HTTP_PROXY": s3}
    else:
        command += ["--default-artifact-root", place, "--no-serve-artifacts"]
        for name, value in secret.items():
            monkeypatch.setenv(name, value)
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    stack = request.getfixturevalue("servers")
    stack.enter_context(running(command, f"{address}/health", tmp_path / "server.log", **secret))
    return address


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_task_s_model_is_recorded_stored_registered_and_found_again(
    server, s3, params, prepared, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)  # `params` brings a store of its own
    for name, value in {"KFP_RUN_ID": "5e11-a", "KFP_TASK": "train", "AUTOENCODERS_IMAGE": "image@sha256:1"}.items():
        monkeypatch.setenv(name, value)
    train(params, model="vae", data=prepared, checkpoints=tmp_path / "checkpoints", out=tmp_path / "vae")
    run_id = json.loads((tmp_path / "vae" / "run.json").read_text())["run_id"]
    weights = (tmp_path / "vae" / "weights.safetensors").read_bytes()

    client = MlflowClient(server)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["kfp_run"] == "5e11-a"
    assert client.get_run(run.data.tags["mlflow.parentRunId"]).data.tags["kfp_pipeline"] == "5e11-a"
    assert [point.step for point in client.get_metric_history(run_id, "val/loss")] == [0, 1, 2, 3, 4]

    store = s3_client(s3)
    listed = store.list_objects_v2(Bucket=BUCKET, Prefix=tmp_path.name)["Contents"]
    [stored] = [entry["Key"] for entry in listed if entry["Key"].endswith("weights.safetensors")]
    assert store.get_object(Bucket=BUCKET, Key=stored)["Body"].read() == weights

    assert load_model("models:/tiny-autoencoders/1").name == "vae"
    [origin] = origins("5e11-a")
    assert origin["MLflow page"] == f"{server}/#/experiments/{run.info.experiment_id}/runs/{run_id}"
    assert origin["image"] == "image@sha256:1"
