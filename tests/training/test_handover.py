"""What equal trainings leave each other beside a checkpoint, step by step (as processes: test_handover_twins.py)."""

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from trees import tree

from autoencoders.training import handover
from autoencoders.training.checkpoint import Checkpoint, open_store
from autoencoders.training.checkpoint_store import LocalStore
from autoencoders.training.handover import Handover

FINGERPRINT, OTHER = "0" * 64, "1" * 64


@pytest.fixture
def model(tmp_path) -> Path:
    """A trained model's folder."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(bytes(range(256)))
    (folder / "run.json").write_text("{}")
    return folder


@pytest.fixture
def of(where) -> Callable[..., Handover]:
    """Return the handover of a Kubeflow run's training, all at one place."""
    if isinstance(where, Path):
        where.mkdir()
    return lambda run, fingerprint=FINGERPRINT: Handover(open_store(where), fingerprint, run)


def test_each_training_that_announced_itself_gets_the_model_and_the_last_removes_it(of, where, model, tmp_path):
    first, second, third = of("a"), of("b"), of("c")
    assert not first.is_awaited()
    second.announce()
    third.announce()
    assert first.is_awaited()
    first.leave(model)
    for number, checkpoint in enumerate((second, third)):
        assert len(open_store(where).names()) == 3 - number
        assert checkpoint.take(tmp_path / str(number))
        assert tree(tmp_path / str(number)) == tree(model)
    assert open_store(where).names() == []


def test_two_that_take_the_model_at_once_leave_nothing_behind(of, where, model, tmp_path, monkeypatch):
    """An object store's lease may be held by two."""
    second, third = of("b"), of("c")
    second.announce()
    third.announce()
    of("a").leave(model)
    kind = type(open_store(where))
    opened = kind.open

    def other_takes_it_meanwhile(self: LocalStore, name: str) -> BinaryIO | None:
        content = opened(self, name)
        if name.endswith(".zip"):
            monkeypatch.setattr(kind, "open", opened)
            assert third.take(tmp_path / "third")
        return content

    monkeypatch.setattr(kind, "open", other_takes_it_meanwhile)
    assert second.take(tmp_path / "second")
    assert tree(tmp_path / "second") == tree(tmp_path / "third") == tree(model)
    assert open_store(where).names() == []


def test_a_training_that_comes_later_gets_the_model_too(of, where, model, tmp_path):
    of("b").announce()
    of("a").leave(model)
    assert of("late").take(tmp_path / "late")
    assert of("b").take(tmp_path / "out")
    assert open_store(where).names() == []


def test_a_model_for_which_nobody_waits_any_more_is_removed(of, where, model, tmp_path, monkeypatch):
    of("b").announce()
    of("a").leave(model)
    monkeypatch.setattr(handover, "MAX_AGE", 0.0)
    assert not of("a").is_awaited()
    assert not of("c").take(tmp_path / "out")
    assert open_store(where).names() == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("seconds", "holds"), [(599, True), (600, False)])
def test_an_announcement_holds_for_ten_minutes(of, where, monkeypatch, seconds, holds):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    of("b").announce()
    monkeypatch.setattr(time, "time", lambda: now + seconds)
    assert of("a").is_awaited() == holds
    assert len(open_store(where).names()) == holds


def test_a_training_that_goes_on_by_itself_waits_no_longer(of, where, tmp_path):
    of("b").announce()
    assert not of("b").take(tmp_path / "out")
    assert open_store(where).names() == []


def test_trainings_that_differ_have_nothing_to_do_with_each_other(of, where, model, tmp_path):
    of("b", OTHER).announce()
    assert not of("a").is_awaited()
    of("a").leave(model)
    assert not of("b", OTHER).take(tmp_path / "out")
    assert len(open_store(where).names()) == 1


def test_an_announcement_that_is_just_being_taken_back_is_none(of, where, monkeypatch):
    of("b").announce()
    monkeypatch.setattr(type(open_store(where)), "open", lambda *arguments: None)
    assert not of("a").is_awaited()


def test_a_damaged_announcement_is_none(of, where):
    of("b").announce()
    [name] = open_store(where).names()
    open_store(where).write(b"not a time", name)
    assert not of("a").is_awaited()
    assert open_store(where).names() == []


def test_a_model_that_cannot_be_handed_over_leaves_the_checkpoint_to_those_who_wait(tmp_path, model, monkeypatch):
    said: list[str] = []
    training = Checkpoint(tmp_path / "vae", FINGERPRINT, "a")
    training.warn = said.append
    with training.acquire():
        training.save({"progress": {"step": 9}})
        Handover(training.store, training.fingerprint, "b").announce()

        def full(path: Path, content: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", full)
            training.finish(model)
    assert (Checkpoint(tmp_path / "vae", FINGERPRINT).load() or {})["progress"]["step"] == 9
    [line] = said
    assert line.startswith("warning: equal trainings that wait will resume from this one's checkpoint: No space left")
