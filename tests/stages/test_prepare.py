import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import (
    card_of,
    idx,
    images,
    parameters,
    prepare_set,
    tiny_cifar,
    tiny_emnist,
    tiny_idx,
    tiny_mnist,
    tiny_qmnist,
    tiny_svhn,
    tiny_usps,
)
from torchvision import datasets

from autoencoders.data.catalog import CATALOG, NamedSet
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.stages.download import download


def run(tmp_path: Path, data: dict, **settings: object) -> PreparedData:
    return prepare_set(tmp_path, data, **{"validation": 10, **settings})


def as_set(array: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in array}


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    return tiny_mnist(monkeypatch, tmp_path / "raw")


def test_the_training_part_is_shuffled_and_split_and_the_test_part_stays(tmp_path, mnist):
    data = run(tmp_path, {"name": "mnist"})
    assert data.info.counts == {"train": 50, "val": 10, "test": 20}
    assert data.info.shape == (1, 28, 28)
    assert data.info.classes == list("0123456789")
    train, val, test = (data.split(name) for name in ("train", "val", "test"))
    np.testing.assert_array_equal(test.images[:, 0], images(20, (28, 28), seed=2))
    np.testing.assert_array_equal(test.labels, np.arange(20) % 10)
    source = images(60, (28, 28), seed=1)
    assert not as_set(train.images) & as_set(val.images)
    assert as_set(train.images) | as_set(val.images) == as_set(source)
    number = {image.tobytes(): i % 10 for i, image in enumerate(source)}
    for split in (train, val):
        assert [number[image.tobytes()] for image in split.images] == split.labels.tolist()
    assert isinstance(train.images, np.memmap)


def test_one_seed_one_split(tmp_path, mnist):
    first = run(tmp_path, {"name": "mnist"}).info.content_hash
    assert run(tmp_path, {"name": "mnist"}, seed=0).info.content_hash == first
    assert run(tmp_path, {"name": "mnist"}, seed=1).info.content_hash != first


def test_validation_may_be_a_fraction(tmp_path, mnist):
    assert run(tmp_path, {"name": "mnist"}, validation=0.25).info.counts["val"] == 15


def test_a_split_that_leaves_too_few_images_leaves_everything_as_it_was(tmp_path, mnist):
    run(tmp_path, {"name": "mnist"})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(UserError, match=r"prepare.validation: 0.001 of 60 images .* leaves 0 to validate on"):
        run(tmp_path, {"name": "mnist"}, validation=0.001)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert set(after) == set(before)  # no drafts left, and the old output untouched
    assert after[tmp_path / "prepared/dataset.json"] == before[tmp_path / "prepared/dataset.json"]


def test_the_card_holds_the_numbers(tmp_path, mnist):
    data = run(tmp_path, {"name": "mnist"})
    card = card_of(tmp_path)
    assert card["counts"] == {"train": 50, "val": 10, "test": 20}
    assert card["shape"] == [1, 28, 28]
    assert card["content_hash"] == data.info.content_hash
    assert card["class_counts"]["test"] == dict.fromkeys("0123456789", 2)
    for split in ("train", "val"):
        counted = np.bincount(data.split(split).labels, minlength=10).tolist()
        assert list(card["class_counts"][split].values()) == counted
    pixels = data.split("train").images / 255
    assert card["pixel_mean"] == pytest.approx([pixels.mean()])
    assert card["pixel_std"] == pytest.approx([pixels.std()])
    assert {path.name for path in (tmp_path / "card").iterdir()} == {"data_card.json", "data_card.npz"}


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_damaged_raw_files_are_refused(tmp_path, mnist, damage):
    path = tmp_path / "raw/MNIST/raw/t10k-labels-idx1-ubyte.gz"
    path.unlink() if damage == "missing" else path.write_bytes(idx(np.zeros(20)))
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte.gz is missing or damaged. Run the `download` stage"):
        run(tmp_path, {"name": "mnist"})
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path, mnist, monkeypatch):
    def full(path: Path, array: np.ndarray) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match="No space left on the disk"):
        run(tmp_path, {"name": "mnist"})
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_emnist_is_upright_and_labels_start_from_0(tmp_path, monkeypatch):
    upright = images(52, (28, 28))
    tiny_emnist(monkeypatch, tmp_path / "raw", upright, np.arange(52) % 26 + 1)
    data = run(tmp_path, {"name": "emnist-letters"})
    assert data.info.classes == list("abcdefghijklmnopqrstuvwxyz")
    np.testing.assert_array_equal(data.split("test").images[:, 0], upright)
    np.testing.assert_array_equal(data.split("test").labels, np.arange(52) % 26)


def test_svhn_is_channels_first_and_ten_is_zero(tmp_path, monkeypatch):
    pixels = images(30, (3, 32, 32))
    tiny_svhn(monkeypatch, tmp_path / "raw", pixels, np.arange(30) % 10)
    data = run(tmp_path, {"name": "svhn"})
    assert data.info.classes == list("0123456789")
    np.testing.assert_array_equal(data.split("test").images, pixels)
    np.testing.assert_array_equal(data.split("test").labels, np.arange(30) % 10)


def test_cifar10_is_channels_first_with_its_own_class_names(tmp_path, monkeypatch):
    train, test = images(30, (3, 32, 32)), images(20, (3, 32, 32), seed=1)
    names = [f"thing {i}" for i in range(10)]
    tiny_cifar(monkeypatch, tmp_path / "raw", datasets.CIFAR10, train, test, names)
    data = run(tmp_path, {"name": "cifar10"})
    assert data.info.classes == names
    assert as_set(data.split("train").images) | as_set(data.split("val").images) == as_set(train)
    np.testing.assert_array_equal(data.split("test").images, test)
    np.testing.assert_array_equal(data.split("test").labels, np.arange(20) % 10)


@pytest.mark.parametrize("name", ["cifar100", "qmnist", "usps", "toy"])
def test_a_new_set_is_one_entry(tmp_path, monkeypatch, name):
    mirror, classes = tmp_path / "mirror", tuple("0123456789")
    shape = {"cifar100": (3, 32, 32), "qmnist": (1, 28, 28), "usps": (1, 16, 16), "toy": (1, 9, 8)}[name]
    train, test = images(30, shape), images(20, shape, seed=1)
    if name == "cifar100":
        tiny_cifar(monkeypatch, mirror, datasets.CIFAR100, train, test, list(classes))
        entry = NamedSet("CIFAR100", shape)
    elif name == "qmnist":
        tiny_qmnist(monkeypatch, mirror, train, test)
        entry = NamedSet("QMNIST", shape, classes=classes)
    elif name == "usps":
        tiny_usps(monkeypatch, mirror, train, test)
        entry = NamedSet("USPS", shape, classes=classes)
    else:
        entry = NamedSet("Toy", shape, classes=classes, idx=tiny_idx(mirror, "Toy", train, test, len(classes)))
    monkeypatch.setitem(CATALOG, name, entry)
    data = {"name": name, "mirror": str(mirror)}
    download(parameters(data), out=tmp_path / "raw")
    prepared = run(tmp_path, data)
    assert as_set(prepared.split("train").images) | as_set(prepared.split("val").images) == as_set(train)
    np.testing.assert_array_equal(prepared.split("test").images, test)
    np.testing.assert_array_equal(prepared.split("test").labels, np.arange(20) % 10)
    assert prepared.info.classes == list(classes)


def test_a_torchvision_class_that_declares_no_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(CATALOG, "fake", NamedSet("FakeData", (3, 8, 8)))
    with pytest.raises(UserError, match="torchvision's FakeData declares no files with checksums"):
        download(parameters({"name": "fake"}), out=tmp_path / "raw")


@pytest.mark.parametrize("name", ["mnist", "svhn"])
def test_images_of_another_shape_than_the_catalogs_are_refused(tmp_path, monkeypatch, name):
    tiny_mnist(monkeypatch, tmp_path / "raw")
    tiny_svhn(monkeypatch, tmp_path / "raw", images(30, (3, 32, 32)), np.arange(30) % 10)
    monkeypatch.setitem(CATALOG, name, replace(CATALOG[name], shape=(1, 32, 32)))
    with pytest.raises(ValueError, match=r"holds uint8 \(., .., ..\), the catalog says \(1, 32, 32\)"):
        run(tmp_path, {"name": name})


def fill(folder: Path, count: int = 20, colour: bool = False, subfolders: tuple[str, ...] = ("",)) -> None:
    rng = np.random.default_rng(0)
    for i in range(count):
        shape = (12 + i % 3, 16, 3) if colour else (12 + i % 3, 16)
        path = folder / subfolders[i % len(subfolders)] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)


def test_a_folder_without_subfolders_has_no_labels(tmp_path):
    fill(tmp_path / "mine", colour=True)
    data = run(tmp_path, {"name": "folder", "folder": str(tmp_path / "mine"), "image_size": [8, 10]}, validation=0.2)
    assert (data.info.name, data.info.title) == ("folder", "mine")
    assert card_of(tmp_path)["name"] == "mine"
    assert data.info.shape == (3, 8, 10)
    assert data.info.counts == {"train": 14, "val": 3, "test": 3}
    assert data.info.classes is None
    assert data.split("train").labels is None
    names = ("train", "val", "test")
    assert len(set.union(*(as_set(data.split(name).images) for name in names))) == 20
    assert card_of(tmp_path)["class_counts"] is None


def test_subfolders_are_labels_and_size_and_channels_are_inferred(tmp_path):
    fill(tmp_path / "mine", subfolders=("zebra", "ant"))
    (tmp_path / "mine/ant/1.png").rename(tmp_path / "mine/ant/.hidden.png")
    data = run(tmp_path, {"name": "folder", "folder": str(tmp_path / "mine")}, validation=0.2)
    assert data.info.shape == (1, 13, 16)
    assert data.info.classes == ["ant", "zebra"]
    labels = np.concatenate([data.split(name).labels for name in ("train", "val", "test")])
    assert np.bincount(labels).tolist() == [9, 10]


def test_a_broken_image_is_counted_on_the_card(tmp_path):
    fill(tmp_path / "mine", count=25)
    (tmp_path / "mine" / "broken.jpg").write_bytes(b"no image")
    run(tmp_path, {"name": "folder", "folder": str(tmp_path / "mine")}, validation=0.2)
    card = card_of(tmp_path)
    assert (sum(card["counts"].values()), card["unreadable"]) == (25, 1)


@pytest.mark.parametrize(
    ("strays", "shown", "verb"),
    [
        (1, "0.png", "is"),
        (2, "0.png, 1.png", "are"),
        (3, "0.png, 1.png, 2.png", "are"),
        (4, "0.png, 1.png, 2.png, …", "are"),
    ],
)
def test_images_in_no_subfolder_are_why_there_are_no_labels_and_three_are_named(tmp_path, capsys, strays, shown, verb):
    folder = tmp_path / "mine"
    fill(folder, subfolders=("a", "b"))
    for number in range(strays):
        Image.new("L", (4, 4)).save(folder / f"{number}.png")
    data = run(tmp_path, {"name": "folder", "folder": str(folder), "image_size": 4}, validation=0.2)
    assert data.info.classes is None
    total = sum(data.info.counts.values())
    assert (
        f"no class labels: {strays} of {total} images ({shown}) {verb} in no subfolder. For the subfolders of {folder}"
        in capsys.readouterr().out
    )
    assert card_of(tmp_path)["in_no_subfolder"] == shown


def test_the_default_validation_does_for_a_small_folder_too(tmp_path, capsys):
    fill(tmp_path / "mine")
    data = run(tmp_path, {"name": "folder", "folder": str(tmp_path / "mine")}, validation=5000)
    assert data.info.counts == {"train": 14, "val": 3, "test": 3}
    assert "5000 is more than a fifth of the 17 images outside the test split: using 3\n" in capsys.readouterr().out


def test_the_real_mnist_has_the_published_counts(tmp_path):
    mirror = Path(os.environ.get("AUTOENCODERS_MIRROR") or Path(__file__).parents[3] / "shared" / "data")
    if not (mirror / "MNIST" / "raw").is_dir():
        pytest.skip("needs a mirror with MNIST")
    params = {"name": "mnist", "mirror": str(mirror)}
    download(parameters(params), out=tmp_path / "raw")
    data = run(tmp_path, params, validation=5000)
    assert data.info.counts == {"train": 55000, "val": 5000, "test": 10000}
    counts = {name: np.bincount(data.split(name).labels) for name in ("train", "val", "test")}
    whole = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (counts["train"] + counts["val"]).tolist() == whole
    assert counts["test"].tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.info.content_hash == "179d623762abd93146a007269d229688f7718134c1d9109c581cabdc025309e5"


def test_names_that_would_steer_a_terminal_are_shown_as_text(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "im\x1b[31mages"
    for name in ("\x1b]0;x\x07a", "b\nc"):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            Image.new("I;16", (4, 4), 700 + number).save(folder / name / f"{number}\r.png")
    (folder / "b\nc" / "broken\x07.png").write_bytes(b"\x89PNG")
    (folder / "stray\x1b.png").write_bytes((folder / "b\nc" / "1\r.png").read_bytes())
    prepare_set(tmp_path, {"name": "folder", "folder": str(folder), "max_unreadable": 0.5})
    said = capsys.readouterr().out
    assert set("\x1b\x07\r") & set(said) == set()
    for part in ("im\\x1b[31mages", "broken\\x07.png", "stray\\x1b.png", "the largest value is 707"):
        assert part in said
