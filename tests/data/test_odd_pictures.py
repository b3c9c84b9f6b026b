"""Folders with pictures of another kind, very long, constant or repeated ones: right results or one line."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import card_of, parameters, prepare_set

from autoencoders.data import decode
from autoencoders.data.prepared import SPLITS, PreparedData
from autoencoders.runtime import threads
from autoencoders.stages.download import download

FITS = ("pad", "crop", "stretch")
RANDOM = np.random.default_rng(0)


def save(path: Path, array: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array).astype(np.uint8)).save(path, **options)


def grey(height: int = 8, width: int = 8) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width))


def colour(height: int = 8, width: int = 8) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3))


def prepared(tmp_path: Path, **data: object) -> PreparedData:
    return prepare_set(tmp_path, {"name": "folder", "folder": str(tmp_path / "own"), **data}, validation=2, test=0.2)


def all_images(data: PreparedData) -> np.ndarray:
    return np.concatenate([data.split(name).images for name in SPLITS])


CURE = "Set data.channels: 1 if all should be grey, or data.channels: 3 to confirm this"


@pytest.mark.parametrize(
    ("coloured", "greys", "line"),
    [
        (1, 30, "of 31 images, 1 file (c0.jpg) is in colour, the others not, so 3. " + CURE),
        (4, 96, "of 100 images, 4 files (c0.jpg, c1.jpg, c2.jpg, …) are in colour, the others not, so 3. " + CURE),
        (30, 1, "of 31 images, 1 file (g0.png) is grey, the others not, so 3. " + CURE),
        (5, 95, "95 images are grey and 5 in colour, so 3"),
        (12, 8, "8 images are grey and 12 in colour, so 3"),
        (10, 0, "every image is in colour, so 3"),
        (0, 10, "every image is grey, so 1"),
    ],
)
def test_a_few_images_of_another_kind_are_named_with_the_key_that_settles_it(tmp_path, capsys, coloured, greys, line):
    for i in range(coloured):
        save(tmp_path / f"own/c{i}.jpg", colour())
    for i in range(greys):  # half of them stored in colour
        save(tmp_path / f"own/g{i}.png", grey() if i % 2 else np.repeat(grey()[..., np.newaxis], 3, -1))
    data = prepared(tmp_path)
    assert f"data.channels is not set: {line}\n" in capsys.readouterr().out
    assert data.info.shape[0] == (3 if coloured else 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_key_settles_it(tmp_path, capsys, channels):
    save(tmp_path / "own/c.jpg", colour())
    for i in range(30):
        save(tmp_path / f"own/g{i}.png", grey())
    assert prepared(tmp_path, channels=channels).info.shape[0] == channels
    assert "data.channels" not in capsys.readouterr().out


@pytest.mark.parametrize(("fit", "done"), [("pad", "padded"), ("crop", "cropped"), ("stretch", "stretched")])
def test_images_of_another_aspect_ratio_are_counted(tmp_path, capsys, fit, done):
    for i in range(9):
        save(tmp_path / f"own/{i}.png", grey(16, 12))
    save(tmp_path / "own/square.png", grey(16, 16))
    data = prepared(tmp_path, image_size=[8, 6], fit=fit)
    card = card_of(tmp_path)
    assert f"data.fit: 1 of 10 images is {done} to 8×6 (height × width)\n" in capsys.readouterr().out
    assert (card["fit"], card[done]) == (fit, 1)
    assert {"padded", "cropped", "stretched"} & set(card) == {done}
    assert data.info.fit == data.info.identity["fit"] == fit


@pytest.mark.parametrize("fit", FITS)
def test_nothing_is_said_where_all_have_the_aspect_ratio(tmp_path, capsys, fit):
    for i in range(10):
        save(tmp_path / f"own/{i}.png", grey(16, 12) if i % 2 else grey(32, 24))
    prepared(tmp_path, fit=fit)
    assert "data.fit" not in capsys.readouterr().out
    assert {"padded", "cropped", "stretched"} & set(card_of(tmp_path)) == set()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("others", "shape"), [(0, (1, 4, 256)), (20, (1, 30, 40))], ids=["alone", "among others"])
def test_images_of_8_by_4000_pixels(tmp_path, fit, others, shape):
    for i in range(10 if not others else 1):
        save(tmp_path / f"own/long{i}.png", grey(8, 4000))
    for i in range(others):
        save(tmp_path / f"own/{i}.png", grey(30, 40))
    data = prepared(tmp_path, fit=fit)
    assert data.info.shape == shape
    assert sum(data.info.counts.values()) == (others + 1 if others else 10)


@pytest.mark.parametrize("fit", FITS)
def test_constant_pictures_and_one_picture_twice(tmp_path, fit):
    twice = grey(9, 14)
    for name in ("a", "b"):
        save(tmp_path / f"own/{name}.png", twice)
    for i in range(10):
        save(tmp_path / f"own/{i}.png", np.full((12, 10), 7 * i))
    images = all_images(prepared(tmp_path, image_size=6, fit=fit))
    constant = sorted(int(image.max()) for image in images if image.min() == image.max())
    assert constant == [7 * i for i in range(10)]
    [first, second] = [image for image in images if image.min() < image.max()]
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("fit", FITS)
def test_a_set_of_one_grey_level(tmp_path, fit):
    for i in range(10):
        save(tmp_path / f"own/{i}.png", np.full((5 + i, 8), 128))
    data = prepared(tmp_path, fit=fit)
    assert set(all_images(data).flat) == {128}
    assert card_of(tmp_path)["pixel_std"] == [pytest.approx(0, abs=1e-6)]


@pytest.mark.parametrize("fit", FITS)
def test_pictures_smaller_than_the_size(tmp_path, fit):
    for i in range(10):
        save(tmp_path / f"own/{i}.png", np.full((1 + i % 2, 3), 20 * i))
    images = all_images(prepared(tmp_path, image_size=[24, 32], fit=fit))
    assert sorted(image.mean() for image in images) == [20 * i for i in range(10)]


def write_all_kinds(folder: Path) -> None:
    folder.mkdir()
    for i in range(12):
        save(folder / f"{i}.jpg", colour(60 + i, 300), quality=90)
        save(folder / f"{i}.png", grey(20, 30 + i))
        Image.fromarray(RANDOM.integers(0, 4096, (9, 12)).astype(np.uint16)).save(folder / f"deep{i}.tif")
        first = Image.fromarray(colour().astype(np.uint8))
        first.save(folder / f"{i}.gif", save_all=True, append_images=[Image.fromarray(colour().astype(np.uint8))])
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "cut.jpg").write_bytes((folder / "3.jpg").read_bytes()[:900])


def test_the_number_of_threads_changes_nothing(tmp_path, monkeypatch, capsys):
    write_all_kinds(tmp_path / "own")
    results = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(threads, "available_cores", lambda cores=cores: cores)
        data = prepared(tmp_path, fit="pad")
        manifest = (tmp_path / "raw/manifest.csv").read_text()
        results.append((data.info, card_of(tmp_path), manifest, capsys.readouterr()))
    assert results[0] == results[1] == results[2]
    assert results[0][1]["unreadable"] == 2
    assert results[0][1]["several_pictures"] == 12
    assert data.info.full_scale == 4095


def test_very_large_images_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    inside, most, resize = [0], [0], Image.Image.resize

    def slow(image: Image.Image, *options: object) -> Image.Image:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        inside[0] -= 1
        return resize(image, *options)

    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    monkeypatch.setattr(Image.Image, "resize", slow)
    for i in range(12):
        save(tmp_path / f"own/{i}.png", grey(12, 12))
    prepared(tmp_path, image_size=8)
    assert most[0] > 1
    most[0] = 0
    monkeypatch.setattr(decode, "MAX_PIXELS_TOGETHER", 100)
    prepared(tmp_path, image_size=8)
    assert most[0] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_decoding_within_seconds_and_leaves_nothing(tmp_path, number):
    for i in range(4):
        save(tmp_path / f"own/{i}.png", grey(2000, 2000), compress_level=1)
    for i in range(120):
        (tmp_path / f"own/link{i}.png").symlink_to(tmp_path / f"own/{i % 4}.png")
    data = {"name": "folder", "folder": str(tmp_path / "own"), "image_size": 8}
    download(parameters(data), out=tmp_path / "raw")
    (tmp_path / "params.yaml").write_text(json.dumps({"data": data, "models": {"pca": {"kind": "pca", "latent": 2}}}))
    command = [sys.executable, "-m", "autoencoders", "prepare", "--raw", "raw", "--out", "out", "--card", "card"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in tmp_path.rglob("all.u8")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(20)  # two images are under way; all would take minutes
    finally:
        process.kill()
    said = process.stderr.read()
    assert process.returncode == 128 + number
    assert b"Traceback" not in said
    assert not (tmp_path / "out").exists() and not (tmp_path / "card").exists()
