"""Prepared arrays that are not what dataset.json says: one line that names the file and what mends it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trees import replaced

from autoencoders.data.prepared import SPLITS, PreparedData
from autoencoders.errors import UserError


@pytest.fixture
def folder(prepared, tmp_path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "prepared"))


def described(folder: Path, /, **values: object) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def images(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(folder / "train/images.npy", change(np.load(folder / "train/images.npy")))


def labels(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(folder / "train/labels.npy", change(np.load(folder / "train/labels.npy")))


def pickled(folder: Path) -> None:
    np.save(folder / "train/images.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def swap(folder: Path, first: str, second: str) -> None:
    (folder / first).rename(folder / "kept")
    (folder / second).rename(folder / first)
    (folder / "kept").rename(folder / second)


IMAGES = r"train/images\.npy .*damaged \("
LABELS = r"train/labels\.npy .*damaged \("


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: os.truncate(f / "train/images.npy", 0), IMAGES),
        (lambda f: os.truncate(f / "train/images.npy", 200), IMAGES),
        (lambda f: (f / "train/images.npy").write_bytes(b"\x93NUMPY\x01\x00\x03\x00((("), IMAGES),
        (lambda f: (f / "train/images.npy").write_bytes(b"PK\x03\x04"), IMAGES),
        (lambda f: (f / "train/images.npy").unlink(), IMAGES + "No such file"),
        (lambda f: replaced(os.mkfifo)(f / "train/images.npy"), IMAGES + "not a regular file"),
        (lambda f: replaced(Path.mkdir)(f / "train/images.npy"), IMAGES + "not a regular file"),
        (lambda f: shutil.rmtree(f / "train"), IMAGES + "No such file"),
        (lambda f: (f / "train/images.npy").open("ab").write(b"x"), IMAGES + "longer than its header says"),
        (pickled, IMAGES),
        (lambda f: images(f, lambda x: x.astype(float)), IMAGES + r"float64 \(60, 1, 8, 8\) instead of uint8 \(60, 1,"),
        (lambda f: images(f, lambda x: np.zeros((60, 1, 9, 9), np.uint8)), IMAGES + r"uint8 \(60, 1, 9, 9\)"),
        (lambda f: images(f, lambda x: x[:59]), IMAGES + r"uint8 \(59, 1, 8, 8\)"),
        (lambda f: images(f, lambda x: x[:0]), IMAGES),
        (lambda f: images(f, lambda x: x[:, 0]), IMAGES + r"uint8 \(60, 8, 8\)"),
        (lambda f: images(f, np.asfortranarray), IMAGES + "column by column"),
        (lambda f: swap(f, "train/images.npy", "test/images.npy"), IMAGES + r"uint8 \(20, "),
        (lambda f: swap(f, "train/images.npy", "train/labels.npy"), IMAGES + "int64"),
        (lambda f: (f / "train/labels.npy").unlink(), LABELS + "No such file"),
        (lambda f: os.truncate(f / "train/labels.npy", 0), LABELS),
        (lambda f: labels(f, lambda y: y[:3]), LABELS + r"int64 \(3,\) instead of int64 \(60,\)"),
        (lambda f: labels(f, lambda y: y[:, None]), LABELS + r"int64 \(60, 1\)"),
        (lambda f: labels(f, lambda y: y.astype(np.int32)), LABELS + "int32"),
        (lambda f: labels(f, lambda y: y.astype(">i8")), LABELS + ">i8"),
        (lambda f: labels(f, lambda y: y + 1), LABELS + "labels from 1 to 3 of 3 classes"),
        (lambda f: labels(f, lambda y: y - 1), LABELS + "labels from -1 to 1 of 3 classes"),
        (lambda f: described(f, counts={"train": 61, "val": 20, "test": 20}), IMAGES + r"uint8 \(60, .* \(61, "),
        (lambda f: described(f, shape=[3, 8, 8]), IMAGES),
        (lambda f: described(f, classes=["left", "middle"]), LABELS),
    ],
)
def test_arrays_that_are_not_what_dataset_json_says_are_refused(folder, damage, told):
    damage(folder)
    with pytest.raises(UserError, match=rf"^{folder}/{told}") as refused:
        PreparedData(folder).split("train")
    assert str(refused.value).endswith(f"Delete {folder} and run the `prepare` stage.")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"shape": [1, 8]},
        {"shape": [1, 10**9, 10**9]},
        {"shape": [2, 8, 8]},
        {"shape": [1, 8, "8"]},
        {"shape": 8},
        {"counts": {"train": 60, "val": 20}},
        {"counts": {"train": 60, "val": 20, "test": 0}},
        {"counts": {"train": 60.0, "val": 20, "test": 20}},
        {"counts": [60, 20, 20]},
        {"classes": "left"},
        {"classes": []},
        {"classes": [1, 2, 3]},
        {"content_hash": None},
        {"name": 1},
        {"folder": []},
    ],
)
def test_odd_values_in_dataset_json_are_refused(folder, values):
    described(folder, **values)
    key = next(iter(values))
    with pytest.raises(UserError, match=rf"^{folder}/dataset\.json .*damaged \({key}.*run the `prepare` stage\.$"):
        PreparedData(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_a_dataset_json_that_describes_no_data_is_refused(folder, content):
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"^{folder}/dataset\.json .*damaged \(.*run the `prepare` stage\.$"):
        PreparedData(folder)


def test_any_byte_of_a_header_may_be_damaged(folder):
    random = np.random.default_rng(0)
    sound = (folder / "train/images.npy").read_bytes()
    expected = np.load(folder / "train/images.npy")
    for _ in range(200):
        content = bytearray(sound)
        content[random.integers(0, 128)] = random.integers(0, 256)
        (folder / "train/images.npy").write_bytes(content)
        try:
            found = PreparedData(folder).split("train").images
        except UserError as error:
            assert f"{folder}/train/images.npy is missing or damaged (" in str(error)
        else:
            np.testing.assert_array_equal(found, expected)


def test_what_prepare_wrote_is_read_as_it_is(folder):
    data = PreparedData(folder)
    for name in SPLITS:
        split = data.split(name)
        np.testing.assert_array_equal(split.images, np.load(folder / name / "images.npy"))
        np.testing.assert_array_equal(split.labels, np.load(folder / name / "labels.npy"))
    assert data.info.shape == (1, 8, 8) and isinstance(data.info.shape, tuple)
