from pathlib import Path

import pytest

from autoencoders.data.folder import read_manifest, scan, write_manifest
from autoencoders.data.roles import below_role, find_roles
from autoencoders.errors import UserError


def fill(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return sorted(names)


def roles_of(folder: Path, *names: str) -> dict[str, str]:
    return find_roles(folder, fill(folder, *names)).by_path


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Train", "VALID", "TEST"), ("train", "validation", "test")],
)
def test_roles_are_read_from_the_first_level(tmp_path, train, val, test):
    found = roles_of(tmp_path, f"{train}/a/1.png", f"{train}/2.png", f"{val}/a/1.png", f"{test}/b/deep/1.png")
    assert found == {
        f"{train}/a/1.png": "train", f"{train}/2.png": "train", f"{val}/a/1.png": "val", f"{test}/b/deep/1.png": "test",
    }  # fmt: skip
    assert below_role(f"{train}/a/1.png", "train") == "a/1.png"
    assert below_role("a/1.png", "") == "a/1.png"


def test_what_is_missing_is_said(tmp_path):
    found = find_roles(tmp_path, fill(tmp_path, "train/1.png", "train/2.png", "valid/1.png"))
    assert found.line == ("roles of folders: train/ 2 images; valid/ 1 image; test is split off train (prepare.test)")
    (tmp_path / "test").mkdir()
    (tmp_path / "docs").mkdir()
    assert find_roles(tmp_path, list(found.by_path)).line.endswith("; docs/, test/: no images, ignored")


def test_masks_of_mvtec_are_no_images_and_are_kept_with_their_images(tmp_path):
    names = fill(
        tmp_path, "train/good/000.png", "train/good/001.png", "test/good/000.png", "test/bent/000.png",
        "test/bent/001.png", "ground_truth/bent/000_mask.png", "ground_truth/bent/007_mask.png", "readme.txt",
    )  # fmt: skip
    found = scan(tmp_path)
    assert found.images == [name for name in names if name.endswith("png")]
    assert found.roles.line == (
        "roles of folders: train/ 2 images; val is split off train (prepare.validation); test/ 3 images; "
        "ground_truth/ 2 masks, for 1 of 3 test images"
    )
    write_manifest(tmp_path, found.images, tmp_path / "manifest.csv", found.roles)
    rows = {row.path: (row.role, row.mask) for row in read_manifest(tmp_path / "manifest.csv")}
    assert rows == {
        "train/good/000.png": ("train", ""),
        "train/good/001.png": ("train", ""),
        "test/good/000.png": ("test", ""),
        "test/bent/000.png": ("test", "ground_truth/bent/000_mask.png"),
        "test/bent/001.png": ("test", ""),
        "ground_truth/bent/000_mask.png": ("mask", ""),
        "ground_truth/bent/007_mask.png": ("mask", ""),
    }


@pytest.mark.parametrize(
    "names",
    [
        ["car/1.png", "dog/1.png"],
        ["train/1.png", "train/a/2.png"],
        ["train/1.png", "ground_truth/1.png"],
        ["val/1.png", "test/1.png"],
        ["1.png", "2.png"],
    ],
)
def test_other_folders_have_no_roles_and_nothing_is_said(tmp_path, names):
    found = find_roles(tmp_path, fill(tmp_path, *names))
    assert (found.by_path, found.line) == ({}, "")


def test_a_class_called_train_is_a_class_and_a_line_says_so(tmp_path):
    found = find_roles(tmp_path, fill(tmp_path, "car/1.png", "test/1.png", "train/1.png"))
    assert found.by_path == {}
    assert found.line == (
        "test/, train/ beside car/: all are folders of classes, and not of roles. For the roles of training and "
        f"testing, move car/ out of {tmp_path}."
    )


def test_roles_one_level_too_deep_are_refused_and_a_folder_is_named(tmp_path):
    """As all of MVTec AD together, whose masks would be images."""
    names = fill(tmp_path, *(f"{kind}/{role}/1.png" for kind in "dcba" for role in ("train", "test", "ground_truth")))
    with pytest.raises(UserError) as refused:
        find_roles(tmp_path, names)
    assert str(refused.value) == (
        f"data.folder: the folders of roles (train/, test/) lie in a/, b/, c/, …, not in {tmp_path} itself. Name one "
        f"such folder: {tmp_path / 'a'}."
    )


@pytest.mark.parametrize(
    ("names", "empty", "message"),
    [
        (
            ["train/1.png", "test/1.png", "0.png"],
            [],
            r"1 image \(0.png\) in .* beside test/, train/, and so in no role",
        ),
        (["train/1.png", "test/1.png", *"4321"], [], None),
        (["test/1.png"], ["train"], r"train/ in .* holds no images"),
        (["train/1.png"], ["test"], r"test/ in .* holds no images"),
        (["train/1.png"], ["test", "val"], r"test/, val/ in .* hold no images"),
        (["test/1.png", "val/1.png"], ["Train"], r"Train/ in .* holds no images"),
    ],
)
def test_images_in_no_role_and_roles_without_images_are_refused(tmp_path, names, empty, message):
    names = [name if name.endswith("png") else f"{name}.png" for name in names]
    for name in empty:
        (tmp_path / name).mkdir()
    message = message or r"4 images \(1.png, 2.png, 3.png, …\)"
    with pytest.raises(UserError, match=f"^data.folder: {message}"):
        find_roles(tmp_path, fill(tmp_path, *names))


@pytest.mark.parametrize("rows", ["a.png,1,x,train,\nb.png,1,x,,\n", "a.png,1,x,mask,\n", "a.png,1,x,trian,\n"])
def test_a_manifest_with_other_roles_is_damaged(tmp_path, rows):
    (tmp_path / "manifest.csv").write_text(f"path,size,sha256,role,mask\n{rows}")
    with pytest.raises(UserError, match="Run the `download` stage again"):
        read_manifest(tmp_path / "manifest.csv")
