"""Folders of images whose files hold more, or other, than one picture of 8 bits in the folder of its class."""

import io
import json
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import card_of, parameters, prepare_set

from autoencoders.data import decode_folder, folder
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.inference import TrainedModel
from autoencoders.stages.download import download
from autoencoders.stages.prepare import prepare
from autoencoders.stages.train import train

COUNT = 10
SAYS_NOTHING = {
    "name", "shape", "counts", "class_counts", "pixel_mean", "pixel_std", "content_hash", "unreadable", "fit",
    "exact_copies", "near_copies",
}  # fmt: skip


def prepared(tmp_path: Path) -> tuple[PreparedData, dict]:
    """Download and prepare the folder `own`; return the set and its card."""
    data = prepare_set(tmp_path, {"name": "folder", "folder": str(tmp_path / "own")}, validation=2, test=0.2)
    return data, card_of(tmp_path)


def images_of(data: PreparedData) -> np.ndarray:
    return np.concatenate([data.split(name).images for name in ("train", "val", "test")])


def fill(folder: Path, write: Callable[[int, Path], object], ending: str = "png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(COUNT):
        write(i, folder / f"{i}.{ending}")


def grey(i: int, path: Path) -> None:
    Image.fromarray(np.full((6, 6), 10 * i, np.uint8)).save(path)


def deep(values: np.ndarray, path: Path) -> None:
    Image.fromarray(values.astype(np.uint16)).save(path)


def pages(i: int, path: Path) -> None:
    first, *others = [Image.fromarray(np.full((6, 6, 3), 10 * i + page, np.uint8)) for page in range(3)]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=others, **options)


@pytest.mark.parametrize("ending", ["tif", "gif", "webp", "png"])
def test_of_files_with_several_pictures_the_first_is_taken_and_that_is_said(tmp_path, capsys, ending):
    fill(tmp_path / "own", pages, ending)
    grey(10, tmp_path / "own/single.png")
    data, card = prepared(tmp_path)
    assert f"more than one picture in 10 files (0.{ending}, 1.{ending}, 2.{ending}, …): the first of each is taken" in (
        capsys.readouterr().out
    )
    assert card["several_pictures"] == COUNT
    assert sorted(images_of(data).mean((1, 2, 3)).tolist()) == [10.0 * i for i in range(11)]


def test_a_trained_model_s_commands_report_several_pictures_too(tmp_path, capsys, a_model):
    pages(1, tmp_path / "a.tif")
    grey(1, tmp_path / "b.png")
    list(a_model((1, 6, 6)).image_blocks([tmp_path / "a.tif", tmp_path / "b.png"]))
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        f"more than one picture in 1 file ({tmp_path}/a.tif): the first of each is taken\n",
    )


def test_a_damaged_second_picture_does_not_cost_the_first(tmp_path):
    fill(tmp_path / "own", pages, "gif")
    content = (tmp_path / "own/3.gif").read_bytes()
    (tmp_path / "own/3.gif").write_bytes(content[: len(content) * 2 // 3])
    _, card = prepared(tmp_path)
    assert (card["unreadable"], sum(card["counts"].values())) == (0, COUNT)


def test_single_pictures_of_8_bits_are_not_remarked_on(tmp_path, capsys):
    fill(tmp_path / "own", grey)
    data, card = prepared(tmp_path)
    assert set(card) == SAYS_NOTHING
    described = json.loads((tmp_path / "prepared/dataset.json").read_text())
    assert set(described) == {"name", "shape", "counts", "classes", "content_hash", "folder", "fit"}
    assert data.info.identity == {"name": "folder", "content_hash": data.info.content_hash, "fit": "pad"}
    assert "16-bit" not in (told := capsys.readouterr().out) and "more than one" not in told


@pytest.mark.parametrize(
    ("largest", "white"),
    [(0, 255), (255, 255), (256, 1023), (1023, 1023), (1024, 4095), (4095, 4095), (4096, 16383), (16384, 65535)],
)
def test_sixteen_bits_that_are_not_all_used_get_the_scale_of_the_set(tmp_path, capsys, largest, white):
    values = np.random.default_rng(0).integers(0, max(largest, 1), (COUNT, 6, 6))
    values[3, 2, 2] = largest
    fill(tmp_path / "own", lambda i, path: deep(values[i], path))
    data, card = prepared(tmp_path)
    assert data.info.full_scale == card["full_scale"] == white
    expected = [(image * 256 // (white + 1)).astype(np.uint8).tobytes() for image in values]
    assert sorted(image.tobytes() for image in images_of(data)) == sorted(expected)
    bits = white.bit_length()
    where = "3.png" if largest else "0.png"
    assert f"16-bit images: the largest value is {largest:,} ({where}), so {white:,} ({bits} bits) is white" in (
        capsys.readouterr().out
    )


def test_files_of_8_bits_beside_those_of_16_keep_their_own_scale(tmp_path):
    fill(tmp_path / "own", grey)
    deep(np.full((6, 6), 4000), tmp_path / "own/deep.tif")
    data, _ = prepared(tmp_path)
    assert data.info.full_scale == 4095
    assert sorted(images_of(data).mean((1, 2, 3)).tolist()) == sorted([*(10.0 * i for i in range(COUNT)), 250.0])


def deep_colour(value: int) -> bytes:
    """A PNG of 16-bit colours, which Pillow reads but does not write."""
    row = b"\0" + struct.pack(">18H", *[value] * 18)
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 6, 6, 16, 2, 0, 0, 0), b"IDAT": zlib.compress(6 * row), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


@pytest.mark.parametrize(("largest", "is_told"), [(4095, True), (32767, True), (32768, False), (65535, False)])
def test_colours_of_16_bits_that_are_all_dark_are_reported(tmp_path, capsys, largest, is_told):
    fill(tmp_path / "own", lambda i, path: path.write_bytes(deep_colour(largest if i == 3 else 100)))
    data, _ = prepared(tmp_path)
    assert (images_of(data).max(), data.info.full_scale) == (largest >> 8, None)
    assert ("16-bit colours in 10 files (0.png, 1.png, 2.png, …): none uses half" in capsys.readouterr().out) == is_told


def test_files_of_8_bits_alone_are_decoded_once(tmp_path, monkeypatch):
    fill(tmp_path / "own", grey)
    monkeypatch.setattr(decode_folder, "full_scale_of", lambda *_: pytest.fail("looked for 16 bits"))
    prepared(tmp_path)


def test_a_model_gives_later_images_the_scale_of_those_it_was_trained_on(tmp_path, params, capsys):
    fill(tmp_path / "own", lambda i, path: deep(np.full((6, 6), 400 * i), path))
    data, _ = prepared(tmp_path)
    out = tmp_path / "models/pca"
    train(params, model="pca", data=tmp_path / "prepared", checkpoints=tmp_path / "checkpoints", out=out)
    from autoencoders import load_model

    model = load_model(out)
    assert json.loads((out / "model.json").read_text())["dataset"]["full_scale"] == model.intake.full_scale == 4095
    deep(np.full((6, 6), 1600), tmp_path / "dim.png")
    deep(np.full((6, 6), 65535), tmp_path / "bright.png")
    capsys.readouterr()
    [x] = model.image_blocks([tmp_path / "dim.png", tmp_path / "bright.png"])
    assert (x[:, 0, 0, 0] * 255).tolist() == [100, 255]
    assert capsys.readouterr().err == (
        f"values above 4,095 in 1 file ({tmp_path}/bright.png): they became white, since no image that the model was "
        "trained on has larger ones\n"
    )
    assert data.info.identity["full_scale"] == 4095


def test_a_model_of_8_bits_or_of_a_former_version_takes_16_bits_whole(tmp_path, capsys, a_model):
    deep(np.full((6, 6), 25600), tmp_path / "a.png")
    [x] = a_model((1, 6, 6)).image_blocks([tmp_path / "a.png"])
    assert (x * 255).unique().tolist() == [100]
    assert capsys.readouterr().err == ""


@pytest.fixture
def a_model() -> Callable[[tuple[int, int, int]], TrainedModel]:
    import torch

    from autoencoders.model_folder import LoadedModel
    from autoencoders.models import build
    from autoencoders.params import Pca

    def make(shape: tuple[int, int, int]) -> TrainedModel:
        network = build(Pca(latent=2), shape)
        return TrainedModel(LoadedModel(network, {"name": "m", "dataset": {"name": "folder"}}), torch.device("cpu"))

    return make


def test_one_stray_picture_beside_the_folders_of_classes_is_named(tmp_path, capsys):
    fill(tmp_path / "own/cat", grey)
    fill(tmp_path / "own/dog", grey)
    grey(1, tmp_path / "own/contact-sheet.png")
    data, card = prepared(tmp_path)
    assert data.info.classes is None
    assert card["in_no_subfolder"] == "contact-sheet.png"
    told = capsys.readouterr().out
    assert "no class labels: 1 of 21 images (contact-sheet.png) is in no subfolder. For the subfolders of" in told
    assert f"move every image into one of them, or out of {tmp_path}/own." in told


@pytest.mark.parametrize("classes", [("",), ("cat",), ("cat", "dog"), ("", "cat")])
def test_folders_that_are_no_or_all_classes_have_no_strays(tmp_path, capsys, classes):
    for name in classes:
        fill(tmp_path / "own" / name, grey)
    _, card = prepared(tmp_path)
    assert set(card) == SAYS_NOTHING
    assert "no class labels" not in capsys.readouterr().out


def become_a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        cwd = Path.cwd()
        os.chdir(path.parent)  # the names of sockets are short
        try:
            server.bind(path.name)
        finally:
            os.chdir(cwd)


IRREGULAR = "has changed since the `download` stage: it is not a regular file. Remove it"


@pytest.mark.parametrize(
    ("become", "told"),
    [
        (os.mkfifo, IRREGULAR),
        (Path.mkdir, IRREGULAR),
        (lambda path: path.symlink_to("/dev/zero"), IRREGULAR),
        (lambda path: path.symlink_to("/nowhere"), "cannot be read"),
        (become_a_socket, "cannot be read"),
    ],
)
@pytest.mark.parametrize("size", [None, 6])
def test_an_image_that_becomes_something_else_after_download_is_reported_at_once(tmp_path, become, told, size):
    fill(tmp_path / "own", grey)
    params = parameters({"name": "folder", "folder": str(tmp_path / "own"), "image_size": size})
    download(params, out=tmp_path / "raw")
    (tmp_path / "own/3.png").unlink()
    become(tmp_path / "own/3.png")
    with pytest.raises(UserError, match=rf"own/3\.png {told}"):
        prepare(params, raw=tmp_path / "raw", out=tmp_path / "prepared", card=tmp_path / "card")


def test_an_image_that_becomes_a_pipe_while_it_is_listed_is_reported_at_once(tmp_path):
    fill(tmp_path / "own", grey)
    listed = folder.scan(tmp_path / "own")
    (tmp_path / "own/3.png").unlink()
    os.mkfifo(tmp_path / "own/3.png")
    with pytest.raises(UserError, match=r"own/3\.png cannot be read \(not a regular file\)"):
        folder.write_manifest(tmp_path / "own", listed.images, tmp_path / "manifest.csv")


def test_a_manifest_that_is_a_pipe_is_reported_at_once(tmp_path):
    fill(tmp_path / "own", grey)
    params = parameters({"name": "folder", "folder": str(tmp_path / "own")})
    (tmp_path / "raw").mkdir()
    os.mkfifo(tmp_path / "raw/manifest.csv")
    with pytest.raises(UserError, match=r"manifest\.csv is missing or damaged .* Run the `download` stage again"):
        prepare(params, raw=tmp_path / "raw", out=tmp_path / "prepared", card=tmp_path / "card")


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path, monkeypatch):
    fill(tmp_path / "own", lambda i, path: Image.fromarray(np.full((6, 6), i, np.uint8)).save(path))
    largest = max(path.stat().st_size for path in (tmp_path / "own").iterdir())
    monkeypatch.setattr(decode_folder, "MAX_FILE_BYTES", largest)
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)).save(noise, "PNG")
    (tmp_path / "own/large.png").write_bytes(noise.getvalue())
    prepare_set(tmp_path, {"name": "folder", "folder": str(tmp_path / "own"), "max_unreadable": 0.5}, test=0.2)
    assert card_of(tmp_path)["unreadable"] == 1
