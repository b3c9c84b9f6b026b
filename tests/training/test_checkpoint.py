import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autoencoders.errors import UserError
from autoencoders.training.checkpoint import Checkpoint

CPU = torch.device("cpu")


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "x")
    checkpoint.save({"epoch": 1})
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"last.pt is damaged.*Delete it"):
        checkpoint.load(CPU)


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_kill_or_a_full_disk_while_saving_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    checkpoint = Checkpoint(tmp_path, "x")
    checkpoint.save({"epoch": 1})

    write = Path.write_bytes

    def dies(path: Path, content: memoryview) -> None:
        write(path, content[:100])
        raise problem

    monkeypatch.setattr(Path, "write_bytes", dies)
    with pytest.raises(UserError if isinstance(problem, OSError) else KeyboardInterrupt) as caught:
        checkpoint.save({"epoch": 2})
    if isinstance(problem, OSError):
        assert str(caught.value).startswith(f"No space left on the disk that holds {tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
    loaded = checkpoint.load(CPU)
    assert loaded is not None
    assert loaded["epoch"] == 1


def test_the_run_that_the_training_reports_to_is_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "x")
    checkpoint.run_id = lambda: "abc"
    checkpoint.save({"epoch": 1})
    assert (Checkpoint(tmp_path, "x").load(CPU) or {})["run_id"] == "abc"


def test_a_second_process_is_kept_out_and_told_who_is_in(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from autoencoders.training.checkpoint import Checkpoint\n"
        f"with Checkpoint(Path({str(tmp_path)!r}), 'x').locked(): pass"
    )
    with Checkpoint(tmp_path, "x").locked():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"process {os.getpid()} is already training" in done.stderr
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "x")
    assert checkpoint.load(CPU) is None
    checkpoint.discard()
