import hashlib
import os
import shutil
import socket

import pytest

from autoencoders.data.folder import ManifestRow, class_names, read_manifest, scan, write_manifest
from autoencoders.errors import UserError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))


def test_images_are_listed_and_the_rest_is_counted(tmp_path):
    touch(tmp_path, "b/x.PNG", "a/2.jpg", "a/deep/1.webp", "notes.txt", ".hidden.png", "a/Thumbs.db", ".git/c.png")
    found = scan(tmp_path)
    assert found.images == ["a/2.jpg", "a/deep/1.webp", "b/x.PNG"]
    assert found.ignored == 3


def test_a_link_in_a_circle_ends(tmp_path):
    touch(tmp_path, "a/1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert scan(tmp_path).images == ["a/1.png"]


def test_what_is_no_file_is_counted_and_never_opened(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "dead.png").symlink_to(tmp_path / "none.png")
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "socket.png"))
        found = scan(tmp_path)
    assert (found.images, found.ignored) == (["a.png"], 3)
    write_manifest(tmp_path, found.images, tmp_path / "manifest.csv")
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"holds no images \(4 other files\)"):
        scan(tmp_path)


def test_a_name_that_is_not_utf_8_is_reported(tmp_path):
    touch(tmp_path, "ü.png", os.fsdecode(b"b\xff.png"))
    with pytest.raises(UserError, match=r"the file name b'b\\xff.png' is not UTF-8. Rename it"):
        scan(tmp_path)


def test_an_image_that_disappears_is_reported(tmp_path):
    touch(tmp_path, "own/a.png")
    with pytest.raises(UserError, match=r"own/b.png cannot be read \(No such file or directory\)\. Run again"):
        write_manifest(tmp_path / "own", ["a.png", "b.png"], tmp_path / "manifest.csv")


def test_a_folder_that_disappears_is_reported(tmp_path, monkeypatch):
    touch(tmp_path, "own/a.png", "own/b/c.png")
    walk = os.walk

    def vanishing(*arguments, **options):
        for visited in walk(*arguments, **options):
            shutil.rmtree(tmp_path / "own", ignore_errors=True)
            yield visited

    monkeypatch.setattr(os, "walk", vanishing)
    with pytest.raises(UserError, match=r"own/b cannot be read \(No such file or directory\)"):
        scan(tmp_path / "own")


@pytest.mark.parametrize(
    ("names", "folder", "message"),
    [
        ([], "missing", "does not exist"),
        ([], ".", r"holds no images \(0 other files\)"),
        (["a.txt", "b.csv"], ".", r"holds no images \(2 other files\). Image files end in .avif"),
        (["a.png"], "a.png", "is not a folder"),
    ],
)
def test_folders_without_images_are_refused(tmp_path, names, folder, message):
    touch(tmp_path, *names)
    with pytest.raises(UserError, match=message):
        scan(tmp_path / folder)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["cat/1.png", "ant/2.png", "cat/deep/3.png"], ["ant", "cat"]),
        (["1.png", "2.png"], None),
        (["1.png", "cat/2.png", "dog/3.png"], None),
        (["all/1.png", "all/2.png"], None),
    ],
)
def test_classes_are_the_first_subfolders(paths, names):
    assert class_names(paths) == names


def test_the_manifest_comes_back(tmp_path):
    touch(tmp_path, "a,b/ü.png", "c/1.png")
    write_manifest(tmp_path, ["a,b/ü.png", "c/1.png"], tmp_path / "manifest.csv")
    first = ManifestRow("a,b/ü.png", 10, hashlib.sha256("a,b/ü.png".encode()).hexdigest())
    assert read_manifest(tmp_path / "manifest.csv")[0] == first


@pytest.mark.parametrize("content", [None, "path,size,sha256\n", "path,size\na.png,1\n", "path,size,sha256\na,b,c\n"])
def test_a_damaged_manifest_is_refused(tmp_path, content):
    path = tmp_path / "manifest.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="Run the `download` stage again"):
        read_manifest(path)
