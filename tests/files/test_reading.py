import os
import re
import socket
from pathlib import Path

import pytest

from autoencoders.files.reading import DAMAGE, open_file, read_bytes, read_json, reason


def test_a_file_is_read_up_to_a_bound(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    assert read_bytes(path, max_bytes=4) == b"1234"
    with pytest.raises(ValueError, match=r"larger than 0\.5 MiB"):
        path.write_bytes(bytes(2**19 + 1))
        read_bytes(path, max_bytes=2**19)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (pipe, "not a regular file"),
        (Path.mkdir, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (bound_socket, "No such device or address"),
        (lambda path: path.symlink_to("/nowhere"), "No such file or directory"),
    ],
)
def test_what_is_not_a_file_is_refused_at_once(tmp_path, monkeypatch, make, expected):
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    make(tmp_path / "x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match=re.escape(expected)) as refused:
        open_file(tmp_path / "x")
    assert reason(refused.value) == expected
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b""])
def test_damaged_json_is_one_short_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DAMAGE) as damaged:
        read_json(tmp_path / "a.json")
    assert 0 < len(reason(damaged.value)) < 120
    assert "\n" not in reason(damaged.value)
