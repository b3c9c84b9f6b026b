import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from fsspec.implementations.memory import MemoryFileSystem

from autoencoders.errors import UserError
from autoencoders.model_folder import load_trained, read_description
from autoencoders.params import parse_params
from autoencoders.stages.train import train

EPOCHS = 120


def sha256(folder: Path) -> str:
    return read_description(folder)["weights_sha256"]


def test_a_network_s_folder_is_complete(params, prepared, tmp_path):
    train(params, model="vae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "vae")
    assert {path.name for path in (tmp_path / "vae").iterdir()} == {
        "weights.safetensors", "model.json", "history.csv", "run.json",
    }  # fmt: skip
    described = read_description(tmp_path / "vae")
    history = pd.read_csv(tmp_path / "vae" / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    best = history.loc[history["val/loss"].idxmin()]
    assert described["best_epoch"] == best["epoch"]
    assert described["validation"]["val/elbo"] == pytest.approx(best["val/elbo"])
    assert described["parameters"] == sum(value.numel() for value in load_trained(tmp_path / "vae").model.parameters())
    assert not (tmp_path / "state" / "vae").exists()


def test_equal_seeds_train_equal_weights(params, prepared, tmp_path):
    for name in ("first", "second"):
        train(params, model="ae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / name)
    other = params.model_copy(update={"train": params.train.model_copy(update={"seed": 1})})
    train(other, model="ae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "other")
    assert sha256(tmp_path / "first") == sha256(tmp_path / "second") != sha256(tmp_path / "other")


def test_a_model_larger_than_the_memory_is_refused_before_it_is_built(params, prepared, tmp_path):
    huge = params.models["ae"].model_copy(update={"hidden": [65_536] * 8})
    with pytest.raises(
        UserError, match=r"^models.ae: training it needs 1,20\d GB of memory, there are .* GB\. Choose smaller `hidden`"
    ):
        train(
            params.model_copy(update={"models": {"ae": huge}}),
            model="ae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "ae",
        )  # fmt: skip
    assert not (tmp_path / "ae").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total of 79 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_a_training_that_runs_out_of_memory_ends_in_a_line_with_the_cure(
    params, prepared, tmp_path, monkeypatch, client, error
):
    def fit(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("autoencoders.training.fitting.fit", fit)
    with pytest.raises(
        UserError, match=r"^not enough memory: models.ae: training it needs 1 MB or more\. Choose small"
    ):
        train(params, model="ae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "ae")
    [run] = client.search_runs([client.get_experiment_by_name("autoencoders").experiment_id])
    assert run.info.status == "FAILED"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_training_larger_than_a_gpu_ends_in_a_line(params, prepared, tmp_path):
    torch.cuda.set_per_process_memory_fraction(0.01)
    wide = params.models["ae"].model_copy(update={"hidden": [16_384, 16_384]})
    try:
        with pytest.raises(UserError, match=r"^not enough memory: models.ae: training it needs 2.2 GB or more"):
            train(
                params.model_copy(update={"device": "cuda", "models": {"ae": wide}}),
                model="ae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "ae",
            )  # fmt: skip
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_an_object_store_changes_no_weight_and_is_left_empty(params, prepared, tmp_path):
    for name, checkpoints in (("local", tmp_path / "state"), ("stored", "memory://bucket/prefix")):
        train(params, model="vae", data=prepared, checkpoints=checkpoints, out=tmp_path / name)
    train(params, model="pca", data=prepared, checkpoints="memory://bucket/prefix", out=tmp_path / "pca")
    assert sha256(tmp_path / "local") == sha256(tmp_path / "stored")
    assert MemoryFileSystem.store == {}


def test_a_training_begins_only_where_its_checkpoints_can_go(params, prepared, tmp_path):
    with pytest.raises(UserError, match=r"^s3:// is not in an object store"):
        train(params, model="vae", data=prepared, checkpoints="s3://", out=tmp_path / "vae")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_code_larger_than_the_image_leaves_nothing_behind(prepared, tmp_path, store):
    params = parse_params({"models": {"big": {"kind": "pca", "latent": 100}}})
    with pytest.raises(UserError, match=r"latent: 100 is larger than the data \(64 values"):
        train(params, model="big", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "big")
    assert not (tmp_path / "big").exists()


@pytest.fixture
def start(prepared, tmp_path, store) -> Callable[[str], "subprocess.Popen[str]"]:
    """Start `autoencoders train` of a long training in a process of its own."""
    params = {
        "train": {"epochs": EPOCHS, "batch_size": 5},
        "models": {"vae": {"kind": "vae", "latent": 2, "hidden": [8]}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))

    def starting(name: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "autoencoders", "train", "--model", "vae", "--data", str(prepared)]
        command += ["--checkpoints", name, "--out", f"{name}/model"]
        environment = {**os.environ, "MLFLOW_TRACKING_URI": store}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)

    return starting


def test_a_training_interrupted_thrice_ends_with_the_same_weights(start, tmp_path):
    whole = start("whole")
    assert whole.wait() == 0

    def saved() -> list[int]:
        return [path.stat().st_mtime_ns for path in (tmp_path / "broken" / "vae").glob("*.pt")]

    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        before = saved()
        broken = start("broken")
        while broken.poll() is None and saved() == before:
            time.sleep(0.01)
        broken.send_signal(number)
        assert broken.wait() == code
        assert len(saved()) == 1
        assert not (tmp_path / "broken" / "model").exists()
    assert start("broken").wait() == 0
    assert sha256(tmp_path / "broken" / "model") == sha256(tmp_path / "whole" / "model")
    assert len(pd.read_csv(tmp_path / "broken" / "model" / "history.csv")) == EPOCHS
