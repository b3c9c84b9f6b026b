"""What equal trainings leave each other beside a checkpoint, step by step (as processes: test_handover_twins.py)."""

import errno
import fcntl
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from autoencoders.errors import UserError
from autoencoders.training import checkpoint, handover, object_store
from autoencoders.training.checkpoint import Checkpoint, open_store
from autoencoders.training.checkpoint_store import LocalStore, Unreachable
from autoencoders.training.handover import Handover
from autoencoders.training.object_store import LEASE, Lease

from trees import tree  # isort: skip

FINGERPRINT, OTHER = "0" * 64, "1" * 64


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A trained model's folder."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(bytes(range(256)))
    (folder / "run.json").write_text("{}")
    return folder


@pytest.fixture
def of(where: Path | str) -> Callable[..., Handover]:
    """Returns what a training of a Kubeflow run has to do with, at one place."""
    if isinstance(where, Path):
        where.mkdir()
    return lambda run, fingerprint=FINGERPRINT: Handover(open_store(where), fingerprint, run)


def test_who_announced_itself_gets_the_model_and_the_last_one_removes_it(
    of: Callable[..., Handover], where: Path | str, model: Path, tmp_path: Path
) -> None:
    first, second, third = of("a"), of("b"), of("c")
    assert not first.is_awaited()
    second.announce()
    third.announce()
    assert first.is_awaited()
    first.leave(model)
    for number, one in enumerate((second, third)):
        assert len(open_store(where).names()) == 3 - number
        assert one.take(tmp_path / str(number))
        assert tree(tmp_path / str(number)) == tree(model)
    assert open_store(where).names() == []


def test_two_that_take_the_model_at_once_leave_nothing_behind(
    of: Callable[..., Handover], where: Path | str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_who_comes_while_another_waits_for_the_model_gets_it_too(
    of: Callable[..., Handover], where: Path | str, model: Path, tmp_path: Path
) -> None:
    of("b").announce()
    of("a").leave(model)
    assert of("late").take(tmp_path / "late")
    assert of("b").take(tmp_path / "out")
    assert open_store(where).names() == []


def test_a_model_that_nobody_waits_for_any_more_is_not_taken_but_removed(
    of: Callable[..., Handover], where: Path | str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of("b").announce()
    of("a").leave(model)
    monkeypatch.setattr(handover, "MAX_AGE", 0.0)
    assert not of("a").is_awaited()
    assert not of("c").take(tmp_path / "out")
    assert open_store(where).names() == []
    assert not (tmp_path / "out").exists()


def test_who_waited_and_went_on_by_itself_waits_no_longer(
    of: Callable[..., Handover], where: Path | str, tmp_path: Path
) -> None:
    of("b").announce()
    assert not of("b").take(tmp_path / "out")
    assert open_store(where).names() == []


def test_trainings_that_differ_have_nothing_to_do_with_each_other(
    of: Callable[..., Handover], where: Path | str, model: Path, tmp_path: Path
) -> None:
    of("b", OTHER).announce()
    assert not of("a").is_awaited()
    of("a").leave(model)
    assert not of("b", OTHER).take(tmp_path / "out")
    assert len(open_store(where).names()) == 1


def test_a_damaged_announcement_is_none(of: Callable[..., Handover], where: Path | str) -> None:
    of("b").announce()
    [name] = open_store(where).names()
    open_store(where).write(b"not a time", name)
    assert not of("a").is_awaited()
    assert open_store(where).names() == []


def test_a_model_that_cannot_be_left_leaves_the_checkpoint_to_who_waits(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    training = Checkpoint(tmp_path / "vae", FINGERPRINT, "a")
    training.warn = said.append
    with training.acquire():
        training.save({"progress": {"epoch": 9}})
        Handover(training.store, training.fingerprint, "b").announce()

        def full(path: Path, content: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", full)
            training.finish(model)
    assert (Checkpoint(tmp_path / "vae", FINGERPRINT).load() or {})["progress"]["epoch"] == 9
    [line] = said
    assert line.startswith("warning: whoever waits for this training goes on from its checkpoint: No space left")


# The lock of a folder


def test_a_folder_goes_with_its_training_but_for_a_checkpoint(tmp_path: Path) -> None:
    training = Checkpoint(tmp_path / "vae", FINGERPRINT)
    with training.acquire():
        training.save({"progress": {"epoch": 1}})
        assert (tmp_path / "vae" / "lock").exists()
    assert {path.name for path in (tmp_path / "vae").iterdir()} == {training.name, "lock"}
    with training.acquire():
        (tmp_path / "vae" / f"{training.name}.partial").touch()  # of a process that was killed while it wrote
        training.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_keeps_nobody_out_and_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the moment at which a file is opened and that at which it is locked, its holder may remove it."""
    flock, opened = fcntl.flock, []

    def late(handle: object, how: int) -> None:
        if not opened:
            opened.append(handle)
            with monkeypatch.context() as patch:
                patch.setattr(fcntl, "flock", flock)
                with LocalStore(tmp_path / "vae").acquire():
                    pass
            assert not (tmp_path / "vae").exists()
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with (
        LocalStore(tmp_path / "vae").acquire(),
        pytest.raises(UserError, match="is already training vae"),
        LocalStore(tmp_path / "vae").acquire(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_a_folder_is_told_who_has_it_at_first_and_every_few_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, said = 1000.0, []
    first, second = (Checkpoint(tmp_path / "vae", FINGERPRINT, run) for run in "ab")
    second.warn = said.append
    holding = first.acquire()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now >= 1000 + 2 * checkpoint.WARN_INTERVAL:
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


# The lease of an object store


def test_a_lease_that_is_renewed_is_waited_for_and_one_that_is_not_has_expired(
    memory: str, clock: Callable[[float], None]
) -> None:
    store, waited = open_store(f"{memory}/vae"), []
    renewals = 5

    def wait(holder: str) -> None:
        waited.append(holder)
        clock(object_store.LEASE_TIMEOUT - 1)
        if len(waited) <= renewals:
            store.write(json.dumps({"owner": "a", "host": "pod-a", "renewed": len(waited)}).encode(), LEASE)

    store.write(json.dumps({"owner": "a", "host": "pod-a", "renewed": 0}).encode(), LEASE)
    with Lease(store, "b").held(wait):
        assert json.loads(store.open(LEASE).read())["owner"] == "b"
    assert waited == ["a process on pod-a"] * (renewals + 2)
    assert MemoryFileSystem.store == {}


def test_an_own_or_a_damaged_lease_is_not_waited_for(memory: str) -> None:
    store = open_store(f"{memory}/vae")
    for content in (b'{"owner": "a"}', b"", b"[]"):
        store.write(content, LEASE)
        with Lease(store, "a").held(lambda holder: pytest.fail("waited")):
            pass
        assert MemoryFileSystem.store == {}


def test_a_lease_that_another_training_has_taken_over_is_left_to_it(memory: str) -> None:
    store = open_store(f"{memory}/vae")
    with Lease(store, "a").held(lambda holder: pytest.fail("waited")):
        store.write(b'{"owner": "b"}', LEASE)
    assert store.names() == [LEASE]


def test_a_lease_is_renewed_while_it_is_held_and_an_outage_is_no_matter(
    flaky: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "RENEW_INTERVAL", 0.001)
    store = open_store("flaky://bucket/vae")

    def renewed() -> float:
        return float(json.loads(store.open(LEASE).read())["renewed"])

    with Lease(store, "a").held(lambda holder: pytest.fail("waited")):
        for _ in range(2):
            before = renewed()
            while renewed() == before:
                pass
            flaky.add("pipe_file")
            time.sleep(0.01)
            flaky.clear()


def test_a_store_that_goes_away_while_it_is_waited_for_is_waited_for_too(flaky: set[str]) -> None:
    store, waited = open_store("flaky://bucket/vae"), []
    store.write(b'{"owner": "a"}', LEASE)

    def wait(holder: str) -> None:
        waited.append(holder)
        flaky.clear()
        if len(waited) == 1:
            flaky.add("cat_file")
        elif len(waited) == 3:
            store.remove(LEASE)

    with Lease(store, "b").held(wait):
        assert len(waited) == 3
    flaky.add("cat_file")
    with pytest.raises(Unreachable), Lease(store, "b").held(wait):
        pass
