from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import datasets

from autoencoders.data.catalog import CATALOG, IDX_FILES
from autoencoders.data.named_sets import files_of, read_idx, read_part

READ_HERE = [name for name, entry in CATALOG.items() if entry.idx and hasattr(datasets, entry.torchvision_class)]


def torchvision_class(name: str) -> Any:
    return getattr(datasets, CATALOG[name].torchvision_class)


@pytest.mark.parametrize("name", READ_HERE)
def test_files_and_classes_are_those_of_torchvision(name):
    cls, files = torchvision_class(name), files_of(CATALOG[name])
    assert [(Path(file.path).name, file.digest.value) for file in files] == cls.resources
    assert [file.path for file in files] == [f"{cls.__name__}/raw/{file}" for file in IDX_FILES]
    assert [list(file.urls) for file in files] == [[base + file for base in cls.mirrors] for file, _ in cls.resources]
    own = CATALOG[name].classes
    assert list(own) == [label.partition(" - ")[0] for label in cls.classes]  # torchvision says "0 - zero"


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("name", READ_HERE)
def test_a_part_is_what_torchvision_reads(tmp_path, name, part):
    cls = torchvision_class(name)
    folder = tmp_path / cls.__name__ / "raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for prefix, count in (("train", 7), ("t10k", 3)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(
            bytes([0, 0, 8, 3]) + np.array(images.shape, ">u4").tobytes() + images.tobytes()
        )
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(
            bytes([0, 0, 8, 1]) + np.array([count], ">u4").tobytes() + labels.tobytes()
        )
    found, expected = read_part(CATALOG[name], tmp_path, part), cls(tmp_path, train=part == "train")
    assert found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images, expected.data.numpy()[:, np.newaxis])
    assert found.labels.dtype == np.int64
    np.testing.assert_array_equal(found.labels, expected.targets.numpy())
    assert found.classes == list(CATALOG[name].classes or ())


def test_sizes_above_255_are_big_endian(tmp_path):
    array = (np.arange(2 * 300) % 251).astype(np.uint8).reshape(2, 300)
    (tmp_path / "array").write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 1, 44]) + array.tobytes())
    np.testing.assert_array_equal(read_idx(tmp_path / "array"), array)


def test_every_named_set_declares_its_files():
    declared = {name: [file.path for file in files_of(entry)] for name, entry in CATALOG.items()}
    assert declared["emnist-letters"] == declared["emnist-balanced"] == ["EMNIST/raw/gzip.zip"]
    assert declared["cifar10"] == ["cifar-10-python.tar.gz"]
    assert declared["svhn"] == ["train_32x32.mat", "test_32x32.mat"]
    assert all(len(file.digest.value) == 32 and file.urls for entry in CATALOG.values() for file in files_of(entry))
