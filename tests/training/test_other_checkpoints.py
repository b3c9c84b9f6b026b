"""Checkpoints of other parameters: each has its own file, is reported, used again, and cleaned up."""

import io
import json
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from autoencoders.training import other_checkpoints
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.checkpoint_store import Unreachable
from autoencoders.training.handover import Handover

MODEL = {"kind": "vae", "latent": 2, "beta": 1.0, "train": None}
TRAIN = {"steps": 4000, "batch_size": 16}
DATA = {"name": "folder", "content_hash": "0123456789abcdef"}


def identity(torch_version: str = "2.14.1", **changes: Any) -> str:
    """What `train` hashes."""
    relevant: dict[str, Any] = {
        "model": MODEL, "shape": [1, 16, 16], "dataset": DATA, "train": TRAIN, "hardware": "cpu, 2 threads",
    }  # fmt: skip
    return json.dumps([{**relevant, **changes}, torch_version, "linux"], sort_keys=True)


def stopped(where: Path | str, of: str, step: int) -> Checkpoint:
    """The checkpoint of a training that was stopped after `step`."""
    checkpoint = Checkpoint(where, of)
    with checkpoint.acquire():
        checkpoint.save({"progress": {"step": step}})
    return checkpoint


def begun(where: Path | str, of: str) -> tuple[int, list[str]]:
    """The step from which a training goes on, and what it said."""
    checkpoint, said = Checkpoint(where, of), list[str]()
    checkpoint.warn = said.append
    with checkpoint.acquire():
        loaded = checkpoint.load()
    return (loaded["progress"]["step"] if loaded else 0), said


CHANGES = {
    "steps": ({"train": {**TRAIN, "steps": 4001}}, "train.steps (4000, now 4001)"),
    "beta": ({"model": {**MODEL, "beta": 4.0}}, "models.vae.beta (1.0, now 4.0)"),
    "new key": ({"model": {**MODEL, "hidden": [8]}}, "models.vae.hidden (none, now [8])"),
    "hardware": ({"hardware": "NVIDIA H100"}, "hardware (cpu, 2 threads, now NVIDIA H100)"),
    "processes": ({"hardware": "2 × cpu, 2 threads"}, "hardware (cpu, 2 threads, now 2 × cpu, 2 threads)"),
    "torch": ({"torch_version": "2.15.0"}, "torch (2.14.1, now 2.15.0)"),
    "data": ({"dataset": {**DATA, "content_hash": "f" * 64}}, "the images' hash (0123456789ab, now ffffffffffff)"),
    "size": ({"shape": [3, 16, 16]}, "the images' shape ([1, 16, 16], now [3, 16, 16])"),
    "two": (
        {"train": {**TRAIN, "steps": 9}, "hardware": "cuda"},
        "train.steps (4000, now 9), hardware (cpu, 2 threads, now cuda)",
    ),
}


@pytest.mark.parametrize(("changes", "told"), CHANGES.values(), ids=CHANGES)
def test_a_checkpoint_of_other_parameters_is_reported_kept_and_used_again_with_those_parameters(where, changes, told):
    first = stopped(where, identity(), 812)
    assert begun(where, identity(**changes)) == (
        0,
        [
            f"a checkpoint at step 812 is there ({first}), which differs in {told}, and is not used. "
            "It is kept: set these values again to resume from it."
        ],
    )
    stopped(where, identity(**changes), 5)
    assert begun(where, identity()) == (812, [])
    assert begun(where, identity(**changes)) == (5, [])


def test_a_damaged_checkpoint_of_other_parameters_stops_nothing(where):
    other = stopped(where, identity(hardware="cuda"), 3)
    other.store.write(b"damaged", other.name)
    assert begun(where, identity()) == (0, [f"{other} is damaged. It is of other parameters, and not used."])


def test_once_a_training_is_complete_the_newest_others_stay_and_removals_are_reported(where, monkeypatch):
    now, day = 2e9, 86400
    ages = {"a": 31, "b": 30, "c": 3, "d": 2, "e": 1}
    others = {}
    for name, days in ages.items():
        monkeypatch.setattr(time, "time", lambda days=days: now - days * day)
        others[name] = stopped(where, identity(hardware=name), 1)
    monkeypatch.setattr(time, "time", lambda: now)
    complete, said = stopped(where, identity(), 9), list[str]()
    complete.warn = said.append
    with complete.acquire():
        complete.finish(Path())
    assert {name for name in complete.store.names() if name != "lock"} == {others[name].name for name in "cde"}
    assert sorted(said) == sorted(
        [
            f"removed {others['a']}, a checkpoint of other parameters: it is older than 30 days",
            f"removed {others['b']}, a checkpoint of other parameters: the newest 3 are kept",
        ]
    )


def test_a_checkpoint_whose_age_is_unknown_is_not_too_old(where):
    other = stopped(where, identity(hardware="cuda"), 1)
    content = io.BytesIO()
    torch.save({"progress": {"step": 1}, "fingerprint": other.fingerprint}, content)
    other.store.write(content.getvalue(), other.name)
    complete = stopped(where, identity(), 9)
    with complete.acquire():
        complete.finish(Path())
    assert other.name in complete.store.names()


def test_a_checkpoint_that_cannot_be_read_now_hides_no_other(memory, monkeypatch):
    others = sorted((stopped(f"{memory}/vae", identity(hardware=name), 1) for name in ("a", "b")), key=lambda x: x.name)
    own, said = Checkpoint(f"{memory}/vae", identity()), list[str]()
    own.warn = said.append
    opened = own.store.open

    def away_for_the_first(name: str, limit: int | None = None) -> BinaryIO | None:
        if name == others[0].name:
            raise Unreachable("away.")
        return opened(name, limit)

    monkeypatch.setattr(own.store, "open", away_for_the_first)
    assert own.load() is None
    [line] = said
    assert f"({others[1]})" in line


def test_in_a_cluster_nothing_stays_but_what_another_training_waits_to_go_on_from(where):
    gone, awaited = (stopped(where, identity(hardware=name), 1) for name in ("cuda", "cpu"))
    Handover(awaited.store, awaited.fingerprint, "b").announce()
    complete = Checkpoint(where, identity(), owner="a")
    complete.warn = lambda message: None
    complete.save({"progress": {"step": 9}})
    complete.finish(Path())
    assert gone.name not in complete.store.names()
    assert awaited.name in complete.store.names()


def test_many_differences_are_reported_in_one_line():
    for count, rest in ((5, ""), (6, ", 1 more"), (9, ", 4 more")):
        more = {f"key{number}": number for number in range(count)}
        told = other_checkpoints._differences(identity(), identity(train={**TRAIN, **more}), "vae")
        assert told == "differs in " + ", ".join(f"train.key{n} (none, now {n})" for n in range(5)) + rest
