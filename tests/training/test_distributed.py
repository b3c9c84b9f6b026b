"""Several processes train what one trains: `torchrun` with gloo, on this machine's CPU."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoencoders.model_folder import load_trained, read_description
from autoencoders.params import Params
from autoencoders.stages.train import train
from autoencoders.training.distributed import SINGLE_PROCESS, World, process_group


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


@pytest.fixture
def asked(monkeypatch) -> list[tuple[Any, ...]]:
    """What torch.distributed is asked; each answer is as if the main process had sent 7, or another one had 5."""
    calls: list[tuple[Any, ...]] = []

    def broadcast(holder: list[Any], src: int) -> None:
        calls.append(("broadcast", src))
        holder[0] = 7

    def all_reduce(value: torch.Tensor, op: Any = torch.distributed.ReduceOp.SUM) -> None:
        calls.append(("all_reduce", op))
        value.copy_(value + 5 if op == torch.distributed.ReduceOp.SUM else value.clamp(min=5))

    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *arguments, name=name: calls.append((name, *arguments)))
    monkeypatch.setattr(torch.distributed, "broadcast_object_list", broadcast)
    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: calls.append(("set_device", device)))
    for variable in ("WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    return calls


def test_several_processes_agree_by_torch_and_one_by_itself(asked):
    def losses(*arguments: Any) -> dict[str, torch.Tensor]:
        return {}

    assert SINGLE_PROCESS.broadcast(3) == 3
    assert [SINGLE_PROCESS.all_reduce_sum(torch.tensor(3)), SINGLE_PROCESS.all_reduce_max(torch.tensor(3))] == [3, 3]
    assert SINGLE_PROCESS.wrap(torch.nn.Linear(1, 1), losses) is losses
    assert asked == []
    world = World(1, 2)
    assert not world.is_main
    assert (world.broadcast(None), world.wait_for_main()) == (7, 7)
    assert [world.all_reduce_sum(torch.tensor(3)), world.all_reduce_max(torch.tensor(3))] == [8, 5]
    assert asked == [
        ("broadcast", 0), ("broadcast", 0),
        ("all_reduce", torch.distributed.ReduceOp.SUM), ("all_reduce", torch.distributed.ReduceOp.MAX),
    ]  # fmt: skip


def test_a_process_that_torchrun_started_joins_the_others_until_its_work_ends(asked, monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda:1")
    with process_group(cpu) as alone:
        assert alone == (SINGLE_PROCESS, cpu)
    assert asked == []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with process_group(cpu) as (world, device):
        assert (world, device, asked) == (World(1, 2), cpu, [("init_process_group", "gloo")])
    assert asked[1:] == [("destroy_process_group",)]
    asked.clear()
    with process_group(torch.device("cuda")) as (world, device):
        assert (world, device) == (World(1, 2), gpu)
        assert asked == [("set_device", gpu), ("init_process_group", "nccl")]


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


def step_of(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, weights_only=True)["progress"]["step"])


@pytest.mark.cluster
def test_two_processes_train_the_weights_of_one_also_across_a_kill(params, prepared, tmp_path):
    """The weights of one process within floating-point tolerance, and their own bit for bit."""
    # 60 images in batches of 7: unequal worlds, a smaller last batch, and validations in the middle of epochs
    settings = params.train.model_copy(update={"steps": 200, "batch_size": 7, "grad_clip": 5.0})
    params = params.model_copy(update={"train": settings})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    output = finish(torchrun(whole, params, "vae", prepared))
    assert output.count("stored in models") == 1  # the first process alone reports

    train(params, model="vae", data=prepared, checkpoints=tmp_path / "c", out=tmp_path / "one")
    single, distributed = load_trained(tmp_path / "one"), load_trained(whole / "models" / "vae")
    assert distributed.description["hardware"].startswith("2 × cpu")
    assert distributed.description["best_step"] == single.description["best_step"]
    for name, value in single.model.state_dict().items():
        torch.testing.assert_close(distributed.model.state_dict()[name], value, atol=1e-4, rtol=1e-3, msg=name)
    histories = [pd.read_csv(folder / "history.csv") for folder in (tmp_path / "one", whole / "models" / "vae")]
    columns = [name for name in histories[0] if name.startswith(("train/", "val/"))]
    assert len(columns) >= 4
    pd.testing.assert_frame_equal(histories[0][columns], histories[1][columns], rtol=1e-4)

    process, kept = torchrun(killed, params, "vae", prepared), killed / "checkpoints" / "vae"
    while not (found := list(kept.glob("*.pt"))) or not step_of(found[0]):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    [checkpoint] = found
    os.kill(int((kept / "lock").read_text()), signal.SIGKILL)
    process.communicate()
    assert process.returncode != 0
    assert 0 < step_of(checkpoint) < settings.steps
    finish(torchrun(killed, params, "vae", prepared))
    assert not checkpoint.exists()
    assert distributed.description["weights_sha256"] == read_description(killed / "models" / "vae")["weights_sha256"]
