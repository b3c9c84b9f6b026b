import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autoencoders.errors import UserError
from autoencoders.training.checkpoint import Checkpoint
from autoencoders.training.storage import Unreachable


def test_a_damaged_checkpoint_is_named(where: Path | str) -> None:
    checkpoint = Checkpoint(where, "x")
    with checkpoint.locked():
        checkpoint.save({"epoch": 1})
        content = checkpoint.place.open()
        assert content is not None
        checkpoint.place.write(content.read(100))
        with pytest.raises(UserError, match=rf"{where}/last\.pt is damaged.*Delete it"):
            checkpoint.load()


def test_a_checkpoint_comes_back_bit_for_bit_until_it_is_discarded(where: Path | str) -> None:
    checkpoint = Checkpoint(where, "x")
    checkpoint.run_id = lambda: "abc"
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    with checkpoint.locked():
        assert checkpoint.load() is None
        checkpoint.discard()
        for epoch in (1, 2):
            checkpoint.save({"epoch": epoch, "values": values * epoch})
    loaded = Checkpoint(where, "x").load()
    assert loaded is not None
    assert (loaded["epoch"], loaded["run_id"]) == (2, "abc")
    assert torch.equal(loaded["values"], values * 2)
    assert Checkpoint(where, "other").load() is None
    checkpoint.discard()
    assert Checkpoint(where, "x").load() is None


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_kill_or_a_full_disk_while_saving_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    checkpoint = Checkpoint(tmp_path, "x")
    checkpoint.save({"epoch": 1})

    write = Path.write_bytes

    def dies(path: Path, content: bytes) -> None:
        write(path, content[:100])
        raise problem

    monkeypatch.setattr(Path, "write_bytes", dies)
    with pytest.raises(UserError if isinstance(problem, OSError) else KeyboardInterrupt) as caught:
        checkpoint.save({"epoch": 2})
    if isinstance(problem, OSError):
        assert str(caught.value).startswith(f"No space left on the disk that holds {tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded["epoch"] == 1


def test_a_second_process_is_kept_out_and_told_who_is_in(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from autoencoders.training.checkpoint import Checkpoint\n"
        f"with Checkpoint(Path({str(tmp_path)!r}), 'x').locked(): pass"
    )
    with Checkpoint(tmp_path, "x").locked():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"process {os.getpid()} is already training" in done.stderr
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_outage_stops_no_training_that_has_begun_and_is_told_once(
    flaky: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)  # however slow the machine, the store fails at once
    checkpoint = Checkpoint("flaky://bucket/vae", "x")

    def saved(epoch: int) -> object:
        checkpoint.save({"epoch": epoch})
        assert not capsys.readouterr().out
        flaky.clear()
        return (Checkpoint("flaky://bucket/vae", "x").load() or {}).get("epoch")

    said = []
    for epoch, away in ((1, False), (2, True), (3, True), (4, False), (5, True)):
        flaky.update({"pipe_file"} if away else {})
        checkpoint.warn = said.append
        assert saved(epoch) == (epoch if not away else {2: 1, 3: 1, 5: 4}[epoch])
    assert said == 2 * [
        "warning: no checkpoint: flaky://bucket/vae/last.pt: the pipe_file was refused at http://host. "
        "The training goes on, and will try again."
    ]
    flaky.add("rm_file")
    checkpoint.discard()
    assert said[2].startswith("warning: the checkpoint is left, though no longer needed: flaky://bucket/vae/last.pt: ")


def test_a_store_that_is_slow_to_fail_takes_a_tenth_of_the_time(
    flaky: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, asked = 0.0, []

    def fails(content: bytes) -> None:
        nonlocal now
        asked.append(now)
        now += 30
        raise Unreachable("away.")

    checkpoint = Checkpoint("flaky://bucket/vae", "x")
    monkeypatch.setattr(checkpoint.place, "write", fails)
    monkeypatch.setattr("time.monotonic", lambda: now)
    for epoch in range(100):
        checkpoint.save({"epoch": epoch})
        now += 60
    assert asked[:3] == [0, 330, 660]
    assert 30 * len(asked) <= 0.1 * now
    assert capsys.readouterr().err.count("warning: no checkpoint: away.") == 1


@pytest.mark.parametrize("method", ["pipe_file", "rm_file", "cat_file"])
def test_a_store_that_is_away_or_refuses_is_told_at_the_start(flaky: set[str], method: str) -> None:
    flaky.add(method)
    checkpoint = Checkpoint("flaky://bucket/vae", "x")
    with pytest.raises(Unreachable) as caught, checkpoint.locked():
        checkpoint.load()
    assert str(caught.value) == (
        f"flaky://bucket/vae/last.pt: the {method} was refused at http://host. "
        "See that the store answers, and lets objects be read, written and deleted there."
    )
