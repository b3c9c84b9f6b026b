import errno
import hashlib
import io
import os
import pickle
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import run_python

from autoencoders.errors import UserError
from autoencoders.training import checkpoint as module
from autoencoders.training.checkpoint import Checkpoint, identity_of, size_limit
from autoencoders.training.checkpoint_store import Unreachable
from autoencoders.training.handover import Handover


def state(step: int, **more: Any) -> dict[str, Any]:
    return {"progress": {"step": step}, **more}


def step(loaded: dict[str, Any] | None) -> int | None:
    return loaded["progress"]["step"] if loaded else None


def as_bytes(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


DAMAGED = {
    "empty": b"",
    "cut": as_bytes(state(1))[:100],
    "random": bytes(random.Random(0).randrange(256) for _ in range(999)),
    "text": b"not a checkpoint\n",
    "a list": as_bytes([1]),
    "without a fingerprint": as_bytes(state(1)),
    "without progress": as_bytes({"fingerprint": "x"}),
    "a strange step": as_bytes({"fingerprint": "x", "progress": {"step": "many"}}),
    "a step before the first": as_bytes({"fingerprint": "x", "progress": {"step": -1}}),
    "of a version that counted epochs": as_bytes({"fingerprint": "x", "progress": {"epoch": 3}}),
    "a program": pickle.dumps(print),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_checkpoint_is_one_line_that_names_it(where, content):
    checkpoint = Checkpoint(where, "x")
    with checkpoint.acquire():
        checkpoint.store.write(content, checkpoint.name)
        with pytest.raises(UserError) as caught:
            checkpoint.load()
    said = str(caught.value)
    assert said.startswith(f"{where}/{checkpoint.name} is damaged")
    assert said.endswith(". Delete it to train from the start.")
    assert "\n" not in said
    assert "weights_only" not in said


def test_a_checkpoint_that_is_a_folder_or_a_pipe_is_reported_and_not_waited_for(tmp_path):
    checkpoint = Checkpoint(tmp_path, "x")
    (tmp_path / checkpoint.name).mkdir()
    with pytest.raises(UserError, match=r"\.pt is damaged \(it is a folder\)\. Delete it"):
        checkpoint.load()
    (tmp_path / checkpoint.name).rmdir()
    os.mkfifo(tmp_path / checkpoint.name)
    with pytest.raises(UserError, match=r"\.pt is damaged \(it is no file\)\. Delete it"):
        checkpoint.load()


def test_a_checkpoint_that_is_far_too_large_is_not_read(where):
    checkpoint = Checkpoint(where, "x", limit=1_000_000)
    with checkpoint.acquire():
        checkpoint.store.write(bytes(2_000_000), checkpoint.name)
        with pytest.raises(UserError, match=r"\.pt is too large \(it has 2 MB, where 1 MB are the most\)\. Delete it"):
            checkpoint.load()


def test_a_checkpoint_may_have_as_many_bytes_as_its_limit(where):
    checkpoint = Checkpoint(where, "x")
    with checkpoint.acquire():
        checkpoint.save(state(1))
        size = len(checkpoint.store.open(checkpoint.name).read())
    assert step(Checkpoint(where, "x", limit=size).load()) == 1
    with pytest.raises(UserError, match="is too large"):
        Checkpoint(where, "x", limit=size - 1).load()


def test_the_limit_of_a_checkpoint_is_eight_times_its_model_and_a_gibibyte():
    model = torch.nn.Linear(9, 1)
    model.register_buffer("steps", torch.zeros(2, dtype=torch.float64))
    assert size_limit(model) == 8 * (4 * 10 + 8 * 2) + 1024**3


def test_a_checkpoint_and_what_lies_beside_it_are_named_so_that_later_versions_find_them(where, tmp_path):
    mark, owner = (hashlib.sha256(text).hexdigest()[:16] for text in (b"x", b"a-run"))
    checkpoint = Checkpoint(where, "x", "a-run")
    (tmp_path / "model").mkdir()
    with checkpoint.acquire():
        lock = set(checkpoint.store.names())
        checkpoint.save(state(1))
        checkpoint.runs.mark("abc")
        handover = Handover(checkpoint.store, checkpoint.fingerprint, "a-run")
        handover.announce()
        handover.leave(tmp_path / "model")
        assert set(checkpoint.store.names()) - lock == {
            f"{mark}.pt", f"{mark}.abc.run", f"{mark}.{owner}.waiting", f"{mark}.zip",
        }  # fmt: skip


def test_an_identity_does_not_depend_on_the_order_in_which_it_is_described():
    described = {
        "model": {"kind": "pca", "latent": 2},
        "shape": [1, 8, 8],
        "dataset": {},
        "train": None,
        "hardware": "cpu",
    }
    other = {**described, "model": {"latent": 2, "kind": "pca"}}
    assert identity_of(described) == identity_of(other) == identity_of({**described, "name": "other"})
    for key in described:
        assert identity_of({**described, key: "changed"}) != identity_of(described)


def test_a_file_where_checkpoints_should_go_is_one_line(tmp_path):
    (tmp_path / "vae").touch()
    with (
        pytest.raises(UserError, match=r"vae is in the way\. Remove it\."),
        Checkpoint(tmp_path / "vae", "x").acquire(),
    ):
        pass
    (tmp_path / "ae" / "lock").mkdir(parents=True)
    with (
        pytest.raises(UserError, match=r"lock is in the way\. Remove it\."),
        Checkpoint(tmp_path / "ae", "x").acquire(),
    ):
        pass


def test_a_checkpoint_comes_back_bit_for_bit_until_it_is_discarded(where):
    checkpoint = Checkpoint(where, "x")
    checkpoint.run_id = lambda: "abc"
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    with checkpoint.acquire():
        assert checkpoint.load() is None
        checkpoint.finish(Path())
        checkpoint.save(state(0))
        assert checkpoint.load()["progress"]["step"] == 0
        for number in (1, 2):
            checkpoint.save(state(number, values=values * number))
    loaded = Checkpoint(where, "x").load()
    assert (loaded["progress"]["step"], loaded["run_id"]) == (2, "abc")
    assert torch.equal(loaded["values"], values * 2)
    assert Checkpoint(where, "other").load() is None
    checkpoint.finish(Path())
    assert Checkpoint(where, "x").load() is None


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_kill_or_a_full_disk_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch, problem):
    checkpoint = Checkpoint(tmp_path, "x")
    checkpoint.save(state(1))

    write = Path.write_bytes

    def dies(path: Path, content: bytes) -> None:
        write(path, content[:100])
        raise problem

    monkeypatch.setattr(Path, "write_bytes", dies)
    with pytest.raises(UserError if isinstance(problem, OSError) else KeyboardInterrupt) as caught:
        checkpoint.save(state(2))
    if isinstance(problem, OSError):
        assert str(caught.value).startswith(f"No space left on the disk that holds {tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]
    assert step(checkpoint.load()) == 1


def test_a_second_process_is_refused_with_the_number_of_the_first(tmp_path):
    code = (
        "import sys; from pathlib import Path; from autoencoders.training.checkpoint import Checkpoint\n"
        f"with Checkpoint(Path({str(tmp_path)!r}), 'x').acquire(): pass"
    )
    with Checkpoint(tmp_path, "x").acquire():
        done = run_python(code, code=1)
    assert f"process {os.getpid()} is already training" in done.stderr
    run_python(code)


def test_an_outage_stops_no_running_training_and_is_reported_once(flaky, monkeypatch, capsys):
    monkeypatch.setattr("time.monotonic", lambda: 0.0)  # however slow the machine, the store fails at once
    checkpoint = Checkpoint("flaky://bucket/vae", "x")

    def saved(number: int) -> object:
        checkpoint.save(state(number))
        assert not capsys.readouterr().out
        flaky.clear()
        return step(Checkpoint("flaky://bucket/vae", "x").load())

    said = []
    for number, away in ((1, False), (2, True), (3, True), (4, False), (5, True)):
        flaky.update({"pipe_file"} if away else {})
        checkpoint.warn = said.append
        assert saved(number) == (number if not away else {2: 1, 3: 1, 5: 4}[number])
    assert said == 2 * [
        "warning: no checkpoint: flaky://bucket/vae: the pipe_file was refused at http://host. "
        "The training goes on, and will try again."
    ]
    flaky.add("rm_file")
    checkpoint.finish(Path())
    assert said[2].startswith("warning: the checkpoint is left, though no longer needed: flaky://bucket/vae: ")


def test_a_store_that_is_slow_to_fail_takes_a_tenth_of_the_time(flaky, monkeypatch, capsys):
    now, asked = 0.0, []

    def fails(content: bytes, name: str) -> None:
        nonlocal now
        asked.append(now)
        now += 30
        raise Unreachable("away.")

    checkpoint = Checkpoint("flaky://bucket/vae", "x")
    monkeypatch.setattr(checkpoint.store, "write", fails)
    monkeypatch.setattr("time.monotonic", lambda: now)
    for number in range(100):
        checkpoint.save(state(number))
        now += 60
    assert asked[:3] == [0, 330, 660]
    assert 30 * len(asked) <= 0.1 * now
    assert capsys.readouterr().err.count("warning: no checkpoint: away.") == 1


@pytest.mark.parametrize("method", ["pipe_file", "rm_file", "cat_file"])
def test_a_store_that_is_away_or_refuses_is_reported_at_the_start(flaky, method):
    checkpoint = Checkpoint("flaky://bucket/vae", "x")
    checkpoint.save(state(1))
    flaky.add(method)
    with pytest.raises(Unreachable) as caught, checkpoint.acquire():
        checkpoint.load()
    assert str(caught.value) == (
        f"flaky://bucket/vae: the {method} was refused at http://host. "
        "See that the store answers, and lets objects be read, written and deleted there."
    )


def test_a_wait_for_a_folder_names_its_holder_at_first_and_every_few_minutes(tmp_path, monkeypatch):
    now, said, slept = 1000.0, [], set()
    first, second = (Checkpoint(tmp_path / "vae", "x", run) for run in "ab")
    second.warn = said.append
    holding = first.acquire()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.add(seconds)
        if now >= 1000 + 2 * module.WARN_INTERVAL:
            holding.__exit__(None, None, None)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr("os.getpid", lambda: 7)
    monkeypatch.setattr("socket.gethostname", lambda: "pod-a")
    holding.__enter__()
    with second.acquire():
        pass
    where = tmp_path / "vae"
    assert said == [f"process 7 on pod-a is training the same model: waiting for it ({where})"] * 2
    assert slept == {10.0}


def test_an_attempt_is_made_at_once_after_a_pause_for_a_failure(flaky, monkeypatch):
    """After ten times as long as the failure took, and not later."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoint, asked = Checkpoint("flaky://bucket/vae", "x"), []
    checkpoint.warn = lambda message: None

    def fails(content: bytes, name: str) -> None:
        nonlocal now
        asked.append(now)
        now += 2
        raise Unreachable("away.")

    monkeypatch.setattr(checkpoint.store, "write", fails)
    for moment in (100, 121.9, 122, 143.9, 144):
        now = moment
        checkpoint.save(state(1))
    assert asked == [100, 122, 144]
