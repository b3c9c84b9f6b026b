import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from autoencoders.commands.results import new_folder, result_file
from autoencoders.errors import UserError


def marked_file(out: Path) -> AbstractContextManager[Path]:
    return result_file(out, b"mark")


@pytest.mark.parametrize("before", ["nothing", "an empty folder"])
def test_a_folder_appears_whole(tmp_path, before):
    out = tmp_path / "deep" / "out"
    if before == "an empty folder":
        out.mkdir(parents=True)
    with new_folder(out) as draft:
        (draft / "a").touch()
        assert not (out / "a").exists()
    assert [path.name for path in out.iterdir()] == ["a"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_failure_leaves_nothing(tmp_path):
    for place in (new_folder, marked_file):
        with pytest.raises(RuntimeError), place(tmp_path / "out") as draft:
            ((draft / "a") if place is new_folder else draft).touch()
            raise RuntimeError
        assert list(tmp_path.iterdir()) == []


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    (tmp_path / "file").touch()
    for out in (tmp_path / "out", tmp_path / "file"):
        with pytest.raises(UserError, match=r"exists already. Name another folder with --out"), new_folder(out):
            pass
    with (
        pytest.raises(UserError, match=r"out is a folder. Name a file with --out"),
        result_file(tmp_path / "out", b"mark"),
    ):
        pass
    assert (tmp_path / "out" / "mine").exists()


def test_a_file_takes_the_place_of_the_one_before(tmp_path):
    (tmp_path / "codes").write_text("mark before")
    with result_file(tmp_path / "codes", b"mark") as draft:
        draft.write_text("after")
    assert (tmp_path / "codes").read_text() == "after"


def test_a_file_takes_the_place_of_no_other(tmp_path):
    (tmp_path / "labels.csv").write_text("image,label\n")
    with (
        pytest.raises(UserError, match=r"labels\.csv is no earlier result of this command\. Name another file"),
        result_file(tmp_path / "labels.csv", b"image,mse,"),
    ):
        pass
    assert (tmp_path / "labels.csv").read_text() == "image,label\n"


@pytest.mark.parametrize("place", [marked_file, new_folder])
@pytest.mark.parametrize("beneath", ["out", "deep/out"])
def test_a_place_beneath_a_file_is_none(tmp_path, place, beneath):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=rf"{tmp_path}/file is no folder. Name another"),
        place(tmp_path / "file" / beneath),
    ):
        pass


@pytest.mark.parametrize("place", [marked_file, new_folder])
@pytest.mark.parametrize("out", ["/proc/none/out", f"{'long' * 100}", "/proc/out"])
def test_a_place_that_cannot_be_written_is_none(tmp_path, monkeypatch, place, out):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(UserError, match=rf"--out {out} cannot be written \(.+\). Name another place"),
        place(Path(out)) as draft,
    ):
        draft.write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # as /dev/null, which root could replace
    with (
        pytest.raises(UserError, match=r"pipe is no file. Name a file with --out"),
        result_file(tmp_path / "pipe", b"mark"),
    ):
        pass
    assert (tmp_path / "pipe").is_fifo()
