import hashlib

import pytest

from autoencoders.data.folder import ManifestRow, class_names, read_manifest, scan, write_manifest
from autoencoders.errors import UserError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_images_are_listed_and_the_rest_is_counted(tmp_path):
    touch(tmp_path, "b/x.PNG", "a/2.jpg", "a/deep/1.webp", "notes.txt", ".hidden.png", "a/Thumbs.db", ".git/c.png")
    found = scan(tmp_path)
    assert found.images == ["a/2.jpg", "a/deep/1.webp", "b/x.PNG"]
    assert found.ignored == 3


def test_a_link_in_a_circle_ends(tmp_path):
    touch(tmp_path, "a/1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert scan(tmp_path).images == ["a/1.png"]


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
