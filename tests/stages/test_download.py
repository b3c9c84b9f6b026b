import csv
import errno
import hashlib
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from tiny_sets import parameters, tiny_mnist, write
from trees import tree

from autoencoders.data import sources
from autoencoders.errors import UserError
from autoencoders.stages.download import download


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.delenv("AUTOENCODERS_MIRROR", raising=False)
    tiny_mnist(monkeypatch, tmp_path / "mirror")
    return tmp_path / "mirror"


def run(out: Path, mirror: Path | str | None, cache: Path | None = None) -> None:
    download(parameters({"name": "mnist", "mirror": str(mirror) if mirror else None}), out=out, cache=cache)


def test_the_files_and_their_checksums_are_left(tmp_path, mirror, capsys):
    run(tmp_path / "raw", mirror)
    files = tree(tmp_path / "raw")
    text = files.pop("source.json").decode()
    listed = json.loads(text)
    assert text == json.dumps(listed, indent=2) + "\n"
    assert files == tree(mirror)
    assert listed["name"] == "mnist"
    for entry in listed["files"]:
        content = files[entry["path"]]
        assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert len(listed["files"]) == 4
    assert capsys.readouterr().out.count(f"from mirror {mirror}") == 4


def test_the_output_is_the_same_whichever_source_served(tmp_path, mirror, monkeypatch):
    run(tmp_path / "a", mirror)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in mirror.rglob("*.gz"):
        shutil.copy(path, flat)
    monkeypatch.setenv("AUTOENCODERS_MIRROR", str(flat))
    run(tmp_path / "b", None)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_the_cache_serves_after_dvc_removed_the_output(tmp_path, mirror, capsys):
    run(tmp_path / "raw", mirror, tmp_path / "cache")
    before = tree(tmp_path / "raw")
    shutil.rmtree(tmp_path / "raw")
    shutil.rmtree(mirror)
    capsys.readouterr()
    run(tmp_path / "raw", None, tmp_path / "cache")
    assert tree(tmp_path / "raw") == before
    assert capsys.readouterr().out.count(f"already in {tmp_path / 'cache'}, intact") == 4


def test_intact_outputs_stay_without_any_source(tmp_path, mirror):
    run(tmp_path / "raw", mirror)
    before = tree(tmp_path / "raw")
    run(tmp_path / "raw", None)
    assert tree(tmp_path / "raw") == before


def test_a_damaged_cache_is_mended(tmp_path, mirror, capsys):
    cache = tmp_path / "cache"
    run(tmp_path / "raw", mirror, cache)
    good = tree(cache)
    shutil.rmtree(tmp_path / "raw")
    name = "MNIST/raw/t10k-labels-idx1-ubyte.gz"
    (cache / name).write_bytes(b"damaged")
    run(tmp_path / "raw", mirror, cache)
    assert tree(cache) == good
    assert (tmp_path / "raw" / name).read_bytes() == good[name]
    assert "t10k-labels-idx1-ubyte.gz: damaged in" in capsys.readouterr().out


def test_a_failure_leaves_the_old_output_and_keeps_what_arrived(tmp_path, mirror):
    out, cache = tmp_path / "raw", tmp_path / "cache"
    write(out, {"manifest.csv": b"x"})
    (mirror / "MNIST/raw/t10k-images-idx3-ubyte.gz").write_bytes(b"<html>sign in</html>")
    with pytest.raises(UserError, match=r"Could not get t10k-images-idx3-ubyte.gz.*sent an HTML page"):
        run(out, mirror, cache)
    assert tree(out) == {"manifest.csv": b"x"}
    assert sorted(path.name for path in cache.rglob("*.gz")) == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "mirror", "raw"]


@pytest.mark.parametrize("address", ["ftp://me:secret@server", "s3://bucket/data", "htps://server", "https:/server"])
@pytest.mark.parametrize("parameter", [True, False])
def test_a_mirror_of_another_kind_says_which_kinds_there_are(tmp_path, monkeypatch, address, parameter):
    named = "data.mirror" if parameter else "AUTOENCODERS_MIRROR"
    monkeypatch.setenv("AUTOENCODERS_MIRROR", address)
    with pytest.raises(UserError, match=rf"^{named}: .* begins with http://, https:// or file://\.") as caught:
        run(tmp_path / "raw", address if parameter else None)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_half_written(tmp_path, mirror, monkeypatch):
    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sources.shutil, "copyfile", full)
    with pytest.raises(UserError, match="No space left on the disk"):
        run(tmp_path / "raw", mirror, tmp_path / "cache")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and mirror not in path.parents] == []


def test_a_folder_leaves_a_manifest_that_notices_changes(tmp_path, capsys):
    folder = tmp_path / "mine"
    write(folder, {"a/1.png": b"one", "b/2.jpg": b"two", "notes.txt": b"x"})
    params = parameters({"name": "folder", "folder": str(folder)})
    download(params, out=tmp_path / "raw")
    with (tmp_path / "raw" / "manifest.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["path", "size", "sha256"],
        ["a/1.png", "3", hashlib.sha256(b"one").hexdigest()],
        ["b/2.jpg", "3", hashlib.sha256(b"two").hexdigest()],
    ]
    assert json.loads((tmp_path / "raw" / "source.json").read_text()) == {"name": "folder", "images": 2}
    assert ": 2 images, 1 other file ignored\n" in capsys.readouterr().out


def test_a_missing_folder_leaves_no_output(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        download(parameters({"name": "folder", "folder": str(tmp_path / "no")}), out=tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


class Shown(io.StringIO):
    """An output that counts how often its buffer is emptied."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


def test_every_line_is_shown_at_once(tmp_path, mirror, monkeypatch):
    """A download may take an hour, and a pipe has a buffer."""
    shown, cache = Shown(), tmp_path / "cache"
    monkeypatch.setattr(sys, "stdout", shown)
    run(tmp_path / "raw", mirror, cache)
    shutil.rmtree(tmp_path / "raw")
    (cache / "MNIST/raw/t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    run(tmp_path / "raw", mirror, cache)
    write(tmp_path / "mine", {"1.png": b"one"})
    download(parameters({"name": "folder", "folder": str(tmp_path / "mine")}), out=tmp_path / "listed")
    assert shown.getvalue().count("\n") == 4 + 5 + 1 == shown.flushes
