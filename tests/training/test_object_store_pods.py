"""Checkpoints in a real S3 store, as trainings on nodes that go away keep them."""

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from s3fs import S3FileSystem
from servers import BUCKET, SECRET, s3_client, s3_store

from autoencoders.model_folder import read_description
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.checkpoint_store import Unreachable

pytestmark = pytest.mark.cluster
STEPS = 540
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


class Pod:
    """`autoencoders train` with a folder of its own, all of which is lost with it."""

    def __init__(self, folder: Path, prepared: Path, database: Path, checkpoints: str, *launcher: str) -> None:
        folder.mkdir()
        shutil.copy(database, folder / "mlflow.db")
        vae = {"kind": "vae", "latent": 2, "hidden": [8]}
        params = {"train": {"steps": STEPS, "batch_size": 7, "precision": "fp32"}, "models": {"vae": vae}}
        (folder / "params.yaml").write_text(yaml.safe_dump({"device": "cpu", **params}))
        command = [sys.executable, *launcher, "-m", "autoencoders", "train", "--model", "vae", "--out", "vae"]
        self.folder = folder
        self.process = subprocess.Popen(
            [*command, "--data", str(prepared), "--checkpoints", checkpoints],
            cwd=folder,
            env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def weights(self) -> str:
        """The SHA-256 of what it trained, once it has ended well."""
        output = self.output(0)
        assert output.count("stored in vae") == 1
        return str(read_description(self.folder / "vae")["weights_sha256"])

    def output(self, code: int) -> str:
        output = self.process.communicate(timeout=300)[0]
        assert self.process.returncode == code, output
        return str(output)

    def lose(self) -> None:
        """SIGKILL for every process, and nothing is left of the folder."""
        assert self.process.poll() is None, self.process.communicate()[0]
        pod = psutil.Process(self.process.pid)
        for process in (*pod.children(recursive=True), pod):
            process.kill()
        self.process.communicate()
        shutil.rmtree(self.folder)


def step_in(address: str, prefix: str) -> int:
    """The step of the checkpoint beneath `prefix`; 0 where there is none."""
    client = s3_client(address)
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/vae").get("Contents", [])
    key = next((entry["Key"] for entry in listed if entry["Key"].endswith(".pt")), None)
    if key is None:
        return 0
    content = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return int(torch.load(io.BytesIO(content), weights_only=True)["progress"]["step"])


def wait_for_checkpoint(pod: Pod, address: str, prefix: str) -> None:
    while not step_in(address, prefix):
        assert pod.process.poll() is None, pod.process.communicate()[0]
        time.sleep(0.01)


@pytest.fixture
def start(prepared, migrated, tmp_path) -> Iterator[Callable[..., Pod]]:
    """Start a pod by its name, with where its checkpoints go and what launches it."""
    with ExitStack() as stack:

        def starting(name: str, checkpoints: str, *launcher: str) -> Pod:
            pod = Pod(tmp_path / name, prepared, migrated, checkpoints, *launcher)
            stack.callback(lambda: pod.process.poll() is not None or pod.lose())
            return pod

        yield starting


@pytest.fixture
def keys(monkeypatch) -> None:
    for name, value in SECRET.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def whole(prepared, migrated, tmp_path_factory) -> Callable[..., str]:
    """Return the SHA-256 of the weights of a training that nothing interrupts, given what launches it."""

    @cache
    def trained(*launcher: str) -> str:
        return Pod(tmp_path_factory.mktemp("whole") / "pod", prepared, migrated, "checkpoints", *launcher).weights()

    return trained


@pytest.mark.parametrize(
    ("launcher", "variable"),
    [((), "MLFLOW_S3_ENDPOINT_URL"), (TORCHRUN, "AWS_ENDPOINT_URL")],
    ids=["one process", "two processes"],
)
def test_a_training_whose_pod_is_lost_goes_on_in_another_to_the_same_weights(
    s3, keys, start, whole, tmp_path, monkeypatch, launcher, variable
):
    monkeypatch.setenv(variable, s3)
    prefix = tmp_path.name
    lost = start("lost", f"s3://{BUCKET}/{prefix}", *launcher)
    wait_for_checkpoint(lost, s3, prefix)
    lost.lose()
    assert 0 < step_in(s3, prefix) < STEPS

    following = start("following", f"s3://{BUCKET}/{prefix}", *launcher)
    assert following.weights() == whole(*launcher)
    assert not (following.folder / "checkpoints").exists()
    assert "Contents" not in s3_client(s3).list_objects_v2(Bucket=BUCKET, Prefix=prefix)


def test_a_training_whose_store_is_lost_ends_with_the_same_weights(keys, start, whole, tmp_path, monkeypatch):
    (tmp_path / "s3").mkdir()
    with s3_store(tmp_path / "s3") as address:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", address)
        pod = start("pod", f"s3://{BUCKET}/x")
        wait_for_checkpoint(pod, address, "x")
    output = pod.output(0)
    assert output.count("warning: no checkpoint: s3://artifacts/x/vae: ") == 1
    assert output.count("warning: the checkpoint is left, though no longer needed: s3://artifacts/x/vae: ") == 1
    assert read_description(pod.folder / "vae")["weights_sha256"] == whole()

    refused = start("next", f"s3://{BUCKET}/x").output(2)
    assert refused.startswith("error: s3://artifacts/x/vae: Could not connect to the endpoint URL")
    assert refused.count("\n") == 1


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_store_that_refuses_is_reported_before_the_training_and_without_keys(s3, keys, monkeypatch, wrong):
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", s3)
    monkeypatch.setenv(wrong, "hidden-hidden")
    S3FileSystem.clear_instance_cache()  # a client keeps the keys that it began with
    with pytest.raises(Unreachable) as caught, Checkpoint(f"s3://{BUCKET}/x", "x").acquire():
        pass
    S3FileSystem.clear_instance_cache()
    said = str(caught.value)
    assert said.startswith("s3://artifacts/x: The ")
    assert "See that the store answers, and lets objects be read, written and deleted there; for S3, MLFLOW_S3" in said
    assert "\n" not in said
    assert "hidden" not in said
