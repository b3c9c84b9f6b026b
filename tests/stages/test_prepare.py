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


def draw(folder: Path, *names: str, seed: int = 0, size: tuple[int, int] = (8, 8)) -> None:
    """Write a picture of its own for each name."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(folder / name)


def pictures(folder: Path, pattern: str) -> set[bytes]:
    return {np.asarray(Image.open(path)).tobytes() for path in folder.glob(pattern)}


def test_roles_are_kept_apart_and_classes_are_below_them(tmp_path, capsys):
    folder = tmp_path / "mine"
    draw(folder, *(f"{role}/{kind}/{i}.png" for role in ("train", "Valid", "test") for kind in "ab" for i in range(4)))
    draw(folder, "test/c/1.png", seed=1)
    data = run(tmp_path, {"name": "folder", "folder": str(folder)})
    assert data.info.counts == {"train": 8, "val": 8, "test": 9}
    assert data.info.classes == ["a", "b", "c"]
    for split, role in {"train": "train", "val": "Valid", "test": "test"}.items():
        assert as_set(data.split(split).images) == pictures(folder, f"{role}/*/*.png")
        for label, name in enumerate(data.info.classes):
            of_class = data.split(split).images[data.split(split).labels == label]
            assert as_set(of_class) == pictures(folder, f"{role}/{name}/*.png")
    said = capsys.readouterr().out
    assert "roles of folders: train/ 8 images; Valid/ 8 images; test/ 9 images\n" in said
    assert "copies among 25 images: none\n" in said
    assert card_of(tmp_path)["class_counts"]["train"] == {"a": 4, "b": 4, "c": 0}


def test_a_set_like_mvtecs_trains_on_good_images_alone_and_its_masks_are_no_images(tmp_path, capsys):
    folder = tmp_path / "bottle"
    draw(folder, *(f"train/good/{i:03}.png" for i in range(20)), *(f"test/good/{i:03}.png" for i in range(4)))
    draw(folder, *(f"test/bent/{i:03}.png" for i in range(4)), seed=1)
    draw(folder, *(f"ground_truth/bent/{i:03}_mask.png" for i in range(4)), seed=2, size=(3, 3))
    (folder / "ground_truth/bent/003_mask.png").write_bytes(b"never decoded")
    data = run(tmp_path, {"name": "folder", "folder": str(folder), "max_unreadable": 0})
    assert (data.info.counts, data.info.shape) == ({"train": 16, "val": 4, "test": 8}, (1, 8, 8))
    assert data.info.classes == ["bent", "good"]
    assert set(data.split("train").labels) == {1}
    assert sorted(data.split("test").labels) == [0] * 4 + [1] * 4
    assert as_set(data.split("test").images) == pictures(folder, "test/*/*.png")
    assert as_set(data.split("train").images) | as_set(data.split("val").images) == pictures(folder, "train/*/*.png")
    assert "bottle: 28 images, 0 other files ignored" in capsys.readouterr().out
    assert not data.split("train").has_classes


def test_an_image_moved_to_another_role_is_noticed(tmp_path):
    folder = tmp_path / "mine"
    draw(folder, *(f"{role}/{i}.png" for role in ("train", "test") for i in range(8)))
    params = {"name": "folder", "folder": str(folder)}
    run(tmp_path, params)
    before = (tmp_path / "raw/manifest.csv").read_bytes()
    (folder / "train/7.png").rename(folder / "test/moved.png")
    data = run(tmp_path, params)
    assert (tmp_path / "raw/manifest.csv").read_bytes() != before
    assert data.info.counts["test"] == 9


def test_images_of_a_role_in_no_class_are_why_there_are_no_labels(tmp_path, capsys):
    folder = tmp_path / "mine"
    draw(folder, *(f"{role}/{kind}/{i}.png" for role in ("train", "test") for kind in "ab" for i in range(4)))
    draw(folder, "train/stray.png", seed=1)
    data = run(tmp_path, {"name": "folder", "folder": str(folder)})
    assert data.info.classes is None
    found = "no class labels: 1 of 17 images (train/stray.png) is in no subfolder of their role."
    assert found in capsys.readouterr().out
    assert card_of(tmp_path)["in_no_subfolder"] == "train/stray.png"


def test_copies_stay_on_one_side_and_all_is_said(tmp_path, capsys):
    folder = tmp_path / "mine"
    draw(folder, *(f"{i:03}.png" for i in range(60)))
    for i in range(20):
        Image.open(folder / f"{i:03}.png").save(folder / f"copy \x1b$ü,{i}.png")
    for seed in range(4):
        data = run(tmp_path, {"name": "folder", "folder": str(folder)}, seed=seed, validation=0.2)
        sets = [as_set(data.split(name).images) for name in ("train", "val", "test")]
        assert len(set.union(*sets)) == sum(map(len, sets)) == 60
        assert sum(data.info.counts.values()) == 80
        card = card_of(tmp_path)
        assert (card["exact_copies"], card["near_copies"], card["copies_across_splits"]) == (20, 0, 0)
        by_chance = card["copies_across_by_chance"]
        assert by_chance > 3
        said = capsys.readouterr().out
        assert (
            f"copies among 80 images: 20 exact, 0 near; 0 across splits ({by_chance} if shuffled like others)" in said
        )


def test_one_image_twice_and_one_image_only(tmp_path, capsys):
    folder = tmp_path / "mine"
    draw(folder, *(f"{i:03}.png" for i in range(20)))
    Image.open(folder / "003.png").save(folder / "003 again.png")
    run(tmp_path, {"name": "folder", "folder": str(folder)}, validation=0.2)
    assert "copies among 21 images: 1 exact, 0 near; 0 across splits" in capsys.readouterr().out
    for i in range(20):
        Image.open(folder / "003 again.png").save(folder / f"{i:03}.png")
    with pytest.raises(
        UserError, match=r"prepare\.test: 0\.15 of 21 images leaves 0 .* only 1 of the images are different"
    ):
        run(tmp_path, {"name": "folder", "folder": str(folder)}, validation=0.2)


def test_images_of_one_grey_level_are_split_as_others_are(tmp_path, capsys):
    for i in range(20):
        (tmp_path / "mine").mkdir(exist_ok=True)
        Image.new("L", (8, 8), 100).save(tmp_path / "mine" / f"{i}.png")
    data = run(tmp_path, {"name": "folder", "folder": str(tmp_path / "mine")}, validation=0.2)
    assert data.info.counts == {"train": 14, "val": 3, "test": 3}
    assert "copies among 20 images: none; 20 images of one grey level count as none\n" in capsys.readouterr().out


def test_a_test_image_with_a_copy_in_another_role_is_named_and_stays(tmp_path, capsys):
    folder = tmp_path / "mine"
    draw(folder, *(f"{role}/{i}.png" for role in ("train", "test") for i in range(8)))
    Image.open(folder / "train/2.png").save(folder / "test/same.png")
    data = run(tmp_path, {"name": "folder", "folder": str(folder)}, validation=0.2)
    assert data.info.counts["test"] == 9
    assert (
        "1 of 9 test images are copies of images outside the test split: test/same.png (of train/2.png). Remove"
        in capsys.readouterr().out
    )
    card = card_of(tmp_path)
    assert (card["copies_across_splits"], card["copies_across_by_chance"]) == (1, 1)


def test_copies_in_a_published_set_are_counted_and_left(tmp_path, monkeypatch, capsys):
    train, test = images(30, (1, 9, 8)), images(20, (1, 9, 8), seed=1)
    test[5:8] = train[5:8]
    train[20] = train[10]
    entry = NamedSet("Toy", (1, 9, 8), classes=("a", "b"), idx=tiny_idx(tmp_path / "mirror", "Toy", train, test, 2))
    monkeypatch.setitem(CATALOG, "toy", entry)
    data = {"name": "toy", "mirror": str(tmp_path / "mirror")}
    download(parameters(data), out=tmp_path / "raw")
    capsys.readouterr()
    found = [run(tmp_path, data, seed=seed, validation=0.2) for seed in range(2)][-1]
    np.testing.assert_array_equal(found.split("test").images, test)
    order = np.random.default_rng(1).permutation(30)
    np.testing.assert_array_equal(found.split("val").images, train[order[:6]])
    across = 3 + ((10 in order[:6]) != (20 in order[:6]))
    assert f"copies among 50 images: 4 exact, 0 near; {across} across splits, which are left" in capsys.readouterr().out
    assert card_of(tmp_path)["copies_across_splits"] == across
