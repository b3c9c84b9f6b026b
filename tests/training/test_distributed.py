"""Several processes train what one trains: `torchrun` with gloo, on this machine's CPU."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoencoders.model_folder import load_trained, read_description
from autoencoders.params import Params
from autoencoders.stages.train import train
from autoencoders.training.distributed import SINGLE_PROCESS, World


def test_one_process_has_all():
    batch = torch.arange(5)
    assert SINGLE_PROCESS.shard(batch) is batch
    assert (SINGLE_PROCESS.count(5), SINGLE_PROCESS.weight(5), SINGLE_PROCESS.is_main) == (5, 1.0, True)


@given(st.integers(1, 200), st.integers(1, 17))
def test_shards_partition_a_batch_and_weigh_every_image_the_same(images, processes):
    batch = torch.arange(1.0, images + 1)
    worlds = [World(rank, processes) for rank in range(processes)]
    counts = [world.count(images) for world in worlds]
    assert sum(counts) == images
    shards = [world.shard(batch)[:count] for world, count in zip(worlds, counts, strict=True)]
    assert torch.equal(torch.cat(shards).sort().values, batch)
    # a process without images computes on one of another's, at weight 0
    assert all(len(world.shard(batch)) == max(1, count) for world, count in zip(worlds, counts, strict=True))
    mean = sum(world.shard(batch).mean().item() * world.weight(images) for world in worlds) / processes
    assert mean == pytest.approx(batch.mean().item())


def torchrun(folder: Path, params: Params, model: str, prepared: Path) -> "subprocess.Popen[str]":
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    folders = ["--data", str(prepared), "--checkpoints", "checkpoints", "--out", f"models/{model}"]
    command = [*launcher, "-m", "autoencoders", "train", "--model", model, *folders]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: "subprocess.Popen[str]") -> str:
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


@pytest.mark.cluster
def test_two_processes_train_the_weights_of_one_also_across_a_kill(params, prepared, tmp_path):
    """The weights of one process within floating-point tolerance, and their own bit for bit."""
    # 60 images in batches of 7: unequal worlds, and a smaller last batch
    settings = params.train.model_copy(update={"epochs": 20, "batch_size": 7, "grad_clip": 5.0})
    params = params.model_copy(update={"train": settings})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    output = finish(torchrun(whole, params, "vae", prepared))
    assert output.count("stored in models") == 1  # the first process alone reports

    train(params, model="vae", data=prepared, checkpoints=tmp_path / "c", out=tmp_path / "one")
    one, two = load_trained(tmp_path / "one"), load_trained(whole / "models" / "vae")
    assert two.description["hardware"].startswith("2 × cpu")
    assert two.description["best_epoch"] == one.description["best_epoch"]
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(two.model.state_dict()[name], value, atol=1e-4, rtol=1e-3, msg=name)
    histories = [pd.read_csv(folder / "history.csv") for folder in (tmp_path / "one", whole / "models" / "vae")]
    columns = [name for name in histories[0] if name.startswith(("train/", "val/"))]
    assert len(columns) >= 4
    pd.testing.assert_frame_equal(histories[0][columns], histories[1][columns], rtol=1e-4)

    process, kept = torchrun(killed, params, "vae", prepared), killed / "checkpoints" / "vae"
    while not (found := list(kept.glob("*.pt"))):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    [checkpoint] = found
    os.kill(int((kept / "lock").read_text()), signal.SIGKILL)
    process.communicate()
    assert process.returncode != 0
    assert torch.load(checkpoint, weights_only=True)["progress"]["epoch"] < settings.epochs
    finish(torchrun(killed, params, "vae", prepared))
    assert not checkpoint.exists()
    assert two.description["weights_sha256"] == read_description(killed / "models" / "vae")["weights_sha256"]
