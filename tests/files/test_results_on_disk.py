import errno
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from autoencoders.errors import UserError
from autoencoders.files.results import (
    Digest,
    atomic_file,
    atomic_folder,
    disk_errors,
    is_intact,
    link_or_copy,
    result_folder,
    write_csv,
)


def test_an_interrupted_file_leaves_the_old_one(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_file(target) as draft:
        draft.write_text("ne")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_files_get_the_usual_permissions(tmp_path):
    umask = os.umask(0o022)
    try:
        with atomic_file(tmp_path / "file") as draft:
            draft.write_text("x")
    finally:
        os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError("7840000 requested and 12288 written")],
    ids=["the system's", "numpy's"],
)
def test_a_full_disk_is_one_clear_line(tmp_path, error):
    with pytest.raises(UserError, match=f"No space left on the disk that holds {tmp_path}"), disk_errors(tmp_path):
        raise error


def test_other_errors_pass(tmp_path):
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "No such file")


def test_links_fall_back_to_copies(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_text("content")
    link_or_copy(source, tmp_path / "linked")
    assert (tmp_path / "linked").stat().st_ino == source.stat().st_ino

    def across_disks(*args: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", across_disks)
    link_or_copy(source, tmp_path / "deep" / "copied")
    assert (tmp_path / "deep" / "copied").stat().st_ino != source.stat().st_ino
    assert (tmp_path / "deep" / "copied").read_text() == "content"


def test_intact_means_the_right_checksum(tmp_path):
    path = tmp_path / "file"
    assert not is_intact(path, Digest("md5", "x"))
    path.write_bytes(b"hello")
    assert is_intact(path, Digest("md5", "5d41402abc4b2a76b9719d911017c592"))
    assert not is_intact(path, Digest("sha256", "5d41402abc4b2a76b9719d911017c592"))


def test_a_table_is_written_as_pandas_writes_it(tmp_path):
    rows = [
        {"name": "a, b", "count": 1, "share": np.float32(0.1)},
        {"name": "c", "count": np.int64(20), "share": np.float32(1e-17), "late": np.float64(1) / 3},
    ]
    write_csv(tmp_path / "rows.csv", rows)
    assert (tmp_path / "rows.csv").read_text() == pd.DataFrame(rows).to_csv(index=False)


def gone() -> int:
    """The number of a process that was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_drafts_of_killed_processes_go_with_the_next_one(tmp_path):
    host, target = socket.gethostname(), tmp_path / "vae"
    litter = tmp_path / f".vae.{gone()}-0123abcd-{host}.draft"
    litter.mkdir()
    (litter / "weights").write_text("half")
    own_number = tmp_path / f".vae.{os.getpid()}-0123abcd-{host}.draft"  # a container's before, after its restart
    own_number.write_text("half")
    others = [
        tmp_path / f".vae.{os.getppid()}-0123abcd-{host}.draft",  # it runs
        tmp_path / f".ae.{gone()}-0123abcd-{host}.draft",  # of another folder
        tmp_path / f".vae.{gone()}-0123abcd-another.machine.draft",  # who knows
        tmp_path / ".vae.draft",  # somebody's
    ]
    for path in others:
        path.write_text("")
    with atomic_folder(target) as draft:
        assert sorted(tmp_path.iterdir()) == sorted([*others, draft])
    yesterday = time.time() - 86_500
    os.utime(others[2], (yesterday, yesterday))
    with atomic_file(target / "file") as draft:
        draft.write_text("")
    assert others[2].exists()  # it is beside another folder
    with atomic_folder(target):
        assert not others[2].exists()


def test_a_folder_that_was_just_moved_away_when_its_process_was_killed_comes_back(tmp_path):
    moved = tmp_path / f".vae.{gone()}-0123abcd-{socket.gethostname()}-previous.draft"
    moved.mkdir()
    (moved / "weights").write_text("whole")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "vae"):
        raise RuntimeError
    assert (tmp_path / "vae" / "weights").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [tmp_path / "vae"]


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a").write_text("1")
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    with result_folder(tmp_path / "out", ["a", "b"]) as draft:
        (draft / "b").write_text("2")
    assert (tmp_path / "out").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "out"]
