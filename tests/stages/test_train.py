import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from fsspec.implementations.memory import MemoryFileSystem

from autoencoders.data.prepared import PreparedData, Split, write_prepared
from autoencoders.errors import Interrupted, UserError
from autoencoders.model_folder import load_trained, read_description
from autoencoders.params import parse_params
from autoencoders.runtime.process import exit_code
from autoencoders.stages import train as module
from autoencoders.stages.train import train
from autoencoders.stages.training_task import TrainingTask
from autoencoders.tracking import ModelRun
from autoencoders.training.distributed import WAITING, World

STEPS = 1200


def sha256(folder: Path) -> str:
    return read_description(folder)["weights_sha256"]


def test_a_network_s_folder_is_complete(params, prepared, tmp_path):
    train(params, model="vae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "vae")
    assert {path.name for path in (tmp_path / "vae").iterdir()} == {
        "weights.safetensors", "model.json", "history.csv", "run.json",
    }  # fmt: skip
    described, run = read_description(tmp_path / "vae"), (tmp_path / "vae" / "run.json").read_text()
    assert run == json.dumps(json.loads(run), indent=2) + "\n"
    history = pd.read_csv(tmp_path / "vae" / "history.csv")
    assert (history["step"].tolist(), history["epoch"].tolist()) == ([0, 1, 2, 3, 4], [0, 1 / 3, 2 / 3, 1, 4 / 3])
    assert history["train/loss"].isna().tolist() == [True, False, False, False, False]
    best = history.loc[history["val/loss"].idxmin()]
    assert described["best_step"] == best["step"]
    assert described["validation"]["val/elbo"] == pytest.approx(best["val/elbo"])
    assert described["parameters"] == sum(value.numel() for value in load_trained(tmp_path / "vae").model.parameters())
    assert not (tmp_path / "state" / "vae").exists()


def test_the_last_line_names_parameters_best_step_and_results(params, prepared, tmp_path, capsys):
    for model, best in (("vae", "best of step 4: val/loss "), ("pca", "val/mse ")):
        train(params, model=model, data=prepared, checkpoints=tmp_path / "state", out=tmp_path / model)
        described = read_description(tmp_path / model)
        values = ", ".join(f"{key} {value:.4g}" for key, value in described["validation"].items())
        line = capsys.readouterr().out.splitlines()[-1]
        assert line.startswith(f"{model}: {described['parameters']:,} parameters, {best}")
        assert line.endswith(f"{values}, stored in {tmp_path / model}")


@pytest.mark.parametrize(("rate", "lines"), [(1.0, 1), (1e-3, 0)])
def test_an_autoencoder_that_no_step_made_better_is_said_to_be_pca_still(
    params, prepared, tmp_path, capsys, rate, lines
):
    raw = params.model_dump()
    raw["models"]["ae"] |= {"loss": "mse", "train": {"learning_rate": rate, "steps": 30}}
    train(parse_params(raw), model="ae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "ae")
    said = "ae is still PCA: no step was better on the validation images than this start. It is not an error."
    assert capsys.readouterr().out.count(said) == lines
    assert (read_description(tmp_path / "ae")["best_step"] == 0) == bool(lines)


@pytest.mark.parametrize(
    ("model", "device", "copies"), [("vae", "cpu", 5), ("vae", "cuda", 1), ("pca", "cpu", 1), ("pca", "cuda", 1)]
)
def test_a_network_on_a_cpu_needs_memory_for_gradients_and_moments_too(params, prepared, model, device, copies):
    numbers = {"vae": (64 * 8 + 8) + (8 * 4 + 4) + (2 * 8 + 8) + (8 * 64 + 64), "pca": 64 + 2 * 64}[model]
    task = TrainingTask(params, model, PreparedData(prepared), torch.device(device), World())
    assert task.least_memory() == 4 * numbers * copies


@pytest.mark.parametrize(("by_dvc", "orphaned"), [(True, True), (True, False), (False, True)])
def test_a_training_ends_where_the_dvc_that_started_it_is_gone(
    params, prepared, tmp_path, monkeypatch, by_dvc, orphaned
):
    if by_dvc:
        monkeypatch.setenv("DVC_STAGE", "train@vae")
    parents = chain([7], repeat(1 if orphaned else 7))
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    folders = {"data": prepared, "checkpoints": tmp_path / "state", "out": tmp_path / "vae"}
    if by_dvc and orphaned:
        with pytest.raises(Interrupted, match=r"^training vae stops after step 0: the `dvc` that started it is gone"):
            train(params, model="vae", **folders)
    else:
        train(params, model="vae", **folders)
    assert (tmp_path / "vae").exists() != (by_dvc and orphaned)


def test_a_batch_larger_than_the_training_split_is_said_once(params, prepared, tmp_path, capsys):
    for size, lines in ((61, 1), (60, 0)):
        larger = params.model_copy(update={"train": params.train.model_copy(update={"batch_size": size})})
        train(larger, model="vae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "vae")
        said = "vae: batch_size 61 is more than there are: each step takes all 60 training images"
        assert capsys.readouterr().err.splitlines().count(said) == lines
        assert pd.read_csv(tmp_path / "vae" / "history.csv")["epoch"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("name", "fields"), [("ae", {}), ("vae", {"likelihood": "logistic"})])
def test_an_mlp_on_large_images_says_that_it_works_on_components(params, tmp_path, capsys, name, fields):
    """A whole training, with fewer images than components; the model is loaded and stands to PCA as it was said."""
    entry = params.models[name].model_copy(update=fields)
    params = params.model_copy(update={"models": {**params.models, name: entry}})
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 3, 20, 19), dtype=np.uint8)
    parts = {"train": pixels[:24], "val": pixels[24:32], "test": pixels[32:]}
    write_prepared(tmp_path / "data", "large", {name: Split(part, None) for name, part in parts.items()}, None)
    folders = {"data": tmp_path / "data", "checkpoints": tmp_path / "state", "out": tmp_path / "out"}
    train(params, model=name, **folders)
    said = f"{name}: the mlp works on the first 256 principal components of the images, which have many pixels (arch"
    assert capsys.readouterr().err.count(said) == 1
    trained = load_trained(tmp_path / "out")
    model, validation = trained.model, trained.description["validation"]
    x = torch.from_numpy(parts["val"]).float() / 255
    with torch.no_grad():
        error = (model(x) - x).square().mean().item()
    assert error == pytest.approx(validation["val/mse"], rel=1e-5)
    assert name == "vae" or validation["val/mse_over_pca"] <= 1 + 1e-6  # a VAE keeps its best −ELBO


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_is_lost_in_a_finaliser_stops_the_training_at_its_next_step(
    params, prepared, tmp_path, monkeypatch, client
):
    seen: list[float] = []

    class Finalised:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    def log_validation(run: ModelRun, row: dict[str, float]) -> None:
        seen.append(row["step"])
        if row["step"] == 2:
            Finalised()

    monkeypatch.setattr(ModelRun, "log_validation", log_validation)
    folders = {"data": prepared, "checkpoints": tmp_path / "state", "out": tmp_path / "vae"}
    assert exit_code(lambda: train(params, model="vae", **folders)) == 130
    assert seen == [0, 1, 2]
    [run] = client.search_runs([client.get_experiment_by_name("autoencoders").experiment_id])
    assert run.info.status == "KILLED"


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


@dataclass(frozen=True)
class AloneOfTwo(World):
    """One of two processes whose other one is not there: it is told `messages`, and what it broadcasts is kept."""

    size: int = 2
    messages: list[Any] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)

    def broadcast(self, value: Any) -> Any:
        if self.messages:
            return self.messages.pop(0)
        self.sent.append(value)
        return value

    def all_reduce_sum(self, value: torch.Tensor) -> torch.Tensor:
        return value

    all_reduce_max = all_reduce_sum

    def wrap(self, model: torch.nn.Module, loss: Any) -> Any:
        return loss


@pytest.fixture
def join(monkeypatch) -> Callable[[AloneOfTwo], AloneOfTwo]:
    """Have the next training be a process of `world`."""

    def joining(world: AloneOfTwo) -> AloneOfTwo:
        @contextmanager
        def process_group(device: torch.device) -> Iterator[tuple[World, torch.device]]:
            yield world, device

        monkeypatch.setattr(module, "process_group", process_group)
        return world

    return joining


def test_the_main_process_of_two_tells_the_other_that_they_train_and_writes(params, prepared, tmp_path, join, capsys):
    world = join(AloneOfTwo(rank=0))
    train(params, model="vae", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "vae")
    train_them, resume, *validations = world.sent
    assert (train_them, resume) == (True, None)
    history = pd.read_csv(tmp_path / "vae" / "history.csv")
    assert [row["val/loss"] for row in validations] == history["val/loss"].tolist()
    assert read_description(tmp_path / "vae")["hardware"].startswith("2 × cpu")
    assert "vae: step 4/4, val loss" in capsys.readouterr().err


def test_a_model_in_closed_form_is_the_main_process_s_alone(params, prepared, tmp_path, join):
    """The others have ended: it tells them nothing."""
    world = join(AloneOfTwo(rank=0))
    train(params, model="pca", data=prepared, checkpoints=tmp_path / "state", out=tmp_path / "pca")
    assert world.sent == []
    assert {path.name for path in (tmp_path / "pca").iterdir()} == {"weights.safetensors", "model.json", "run.json"}
    assert read_description(tmp_path / "pca")["train"] is None


@pytest.mark.parametrize(("model", "told", "sent"), [("vae", True, 6), ("vae", False, 0), ("pca", True, 0)])
def test_the_second_process_trains_a_network_once_told_so_and_writes_nothing(
    params, prepared, tmp_path, join, monkeypatch, capsys, model, told, sent
):
    """Where the main one has taken over a model, or computes it in closed form, there is nothing to do."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")  # nothing there: only the main process asks it
    messages = [WAITING, WAITING, told]
    world = join(AloneOfTwo(rank=1, messages=messages))
    train(params, model=model, data=prepared, checkpoints=tmp_path / "state", out=tmp_path / model)
    assert len(world.sent) == sent  # the checkpoint to resume, and a validation before and after each of four steps
    assert len(messages) == (3 if model == "pca" else 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def start(prepared, tmp_path, store) -> Callable[[str], "subprocess.Popen[str]"]:
    """Start `autoencoders train` of a long training in a process of its own."""
    params = {
        "train": {"steps": STEPS, "batch_size": 5},
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
    assert len(pd.read_csv(tmp_path / "broken" / "model" / "history.csv")) == 21
