import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sets import prepare_set

from autoencoders.commands.pictures import numbered, write_picture
from autoencoders.data.decode import decode_picture
from autoencoders.data.pictures import list_pictures
from autoencoders.errors import UserError
from autoencoders.inference import TrainedModel
from autoencoders.model_folder import LoadedModel
from autoencoders.models import build
from autoencoders.params import Pca

RANDOM = np.random.default_rng(0)


def model(shape: tuple[int, int, int], dataset: str = "mnist", **made: object) -> TrainedModel:
    network = build(Pca(latent=2), shape)
    return TrainedModel(LoadedModel(network, {"name": "m", "dataset": {"name": dataset, **made}}), torch.device("cpu"))


def picture(path: Path, mode: str = "L", size: tuple[int, int] = (6, 5)) -> Path:
    """An image of random pixels; `size` is (height, width)."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,)}[mode]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (*size, *channels), dtype=np.uint8), mode).save(path)
    return path


def test_folders_are_searched_and_files_taken_as_they_are(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "b/deep/er/0.png", "a.webp", "b/.hidden.png", "b/.trash/x.png"):
        picture(tmp_path / name, "RGB")
    (tmp_path / "b" / "notes.txt").write_text("no image")
    odd = tmp_path / "no-suffix"
    odd.write_bytes((tmp_path / "b" / "2.png").read_bytes())
    found = list_pictures([odd, tmp_path / "b", tmp_path / "a.webp"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "no-suffix", "b/1.JPG", "b/2.png", "b/deep/er/0.png", "a.webp",
    ]  # fmt: skip


@pytest.mark.parametrize(("shape", "mode"), [((1, 6, 5), "L"), ((3, 6, 5), "RGB")])
def test_a_picture_of_the_right_size_keeps_its_pixels(tmp_path, shape, mode):
    file = picture(tmp_path / "a.png", mode)
    [x] = model(shape).image_blocks([file])
    with Image.open(file) as image:
        stored = np.array(image)
    expected = stored[None] if mode == "L" else stored.transpose(2, 0, 1)
    np.testing.assert_array_equal(x[0].numpy(), expected.astype(np.float32) / 255)
    write_picture(tmp_path / "again.png", x[0])
    with Image.open(tmp_path / "again.png") as image:
        np.testing.assert_array_equal(np.array(image), stored)


def test_pictures_come_in_blocks(tmp_path, monkeypatch):
    files = [picture(tmp_path / f"{i}.png") for i in range(5)]
    [whole] = model((1, 6, 5)).image_blocks(files)
    monkeypatch.setattr("autoencoders.data.pictures.EVAL_BATCH", 2)
    parts = list(model((1, 6, 5)).image_blocks(files))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_a_model_of_a_folder_s_images_takes_any_as_prepare_did(tmp_path, channels, mode):
    file = picture(tmp_path / "a.png", mode, (13, 21))
    [x] = model((channels, 6, 5), "folder").image_blocks([file])
    expected = decode_picture(file.read_bytes(), (6, 5), channels, "crop").pixels
    np.testing.assert_array_equal(x[0].numpy(), expected.astype(np.float32) / 255)


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_files_look_as_they_did_when_the_model_was_trained_on_them(tmp_path, mode, fit):
    """`prepare` infers size and channels, shuffles and splits: every image of its splits is one of `image_blocks`'."""
    sizes = [(9, 14), (20, 11), (13, 13)]
    files = [picture(tmp_path / "own" / f"{i}.png", mode, sizes[i % 3]) for i in range(12)]
    if mode == "RGB":
        files.append(picture(tmp_path / "own" / "grey.png", "L"))
    own = {"name": "folder", "folder": str(tmp_path / "own"), "fit": fit}
    data = prepare_set(tmp_path, own, validation=2, test=0.2)
    assert data.info.shape[0] == (3 if mode == "RGB" else 1)
    stored = np.concatenate([data.split(name).images for name in ("train", "val", "test")])
    [x] = model(data.info.shape, data.info.name, fit=data.info.fit).image_blocks(files)
    assert sorted(image.tobytes() for image in stored) == sorted(
        image.tobytes() for image in (x * 255).round().byte().numpy()
    )


@pytest.mark.parametrize(
    ("shape", "mode", "size", "message"),
    [
        ((1, 6, 5), "L", (5, 6), "a.png is 5×6 (height × width) with 1 channel; the model takes 6×5"),
        ((1, 6, 5), "RGB", (6, 5), "a.png is 6×5 (height × width) with 3 channels; the model takes 6×5"),
        ((3, 6, 5), "L", (6, 5), "a.png is 6×5 (height × width) with 1 channel; the model takes 6×5"),
        ((3, 6, 5), "RGB", (12, 10), "a.png is 12×10 (height × width) with 3 channels; the model takes 6×5"),
    ],
)
def test_another_size_or_number_of_channels_is_refused(tmp_path, shape, mode, size, message):
    file = picture(tmp_path / "a.png", mode, size)
    with pytest.raises(UserError) as caught:
        list(model(shape).image_blocks([file]))
    assert message in str(caught.value)


def test_the_size_is_that_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = RANDOM.integers(0, 256, (5, 6), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    [x] = model((1, 6, 5)).image_blocks([tmp_path / "a.png"])
    np.testing.assert_array_equal((x[0, 0] * 255).round().numpy(), np.rot90(pixels, -1))


def test_transparency_is_no_channel(tmp_path):
    """White behind it, as `prepare` does."""
    Image.fromarray(np.full((6, 5, 2), (0, 128), np.uint8), "LA").save(tmp_path / "a.png")
    [x] = model((1, 6, 5)).image_blocks([tmp_path / "a.png"])
    assert x.unique().tolist() == pytest.approx([127 / 255])


def broken() -> bytes:
    out = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (6, 5), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()[:-40]


@pytest.mark.parametrize("dataset", ["mnist", "folder"])
@pytest.mark.parametrize("content", [b"", b"no image", broken()])
def test_a_broken_file_is_named(tmp_path, content, dataset):
    good, bad = picture(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(content)
    with pytest.raises(UserError, match=r"bad.png cannot be read \(.*\)\. Repair it, or leave it out\.$") as caught:
        list(model((1, 6, 5), dataset).image_blocks([good, bad]))
    assert "\n" not in str(caught.value)


def test_places_without_pictures_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no images. Image files end in .avif .bmp"):
        list_pictures([tmp_path / "empty"])
    with pytest.raises(UserError, match=r"none.png does not exist. Name an image file\.$"):
        list(model((1, 6, 5)).image_blocks(list_pictures([tmp_path / "none.png"])))


def test_what_is_no_file_is_never_opened(tmp_path):
    good = picture(tmp_path / "own" / "a.png")
    os.mkfifo(tmp_path / "own" / "pipe.png")
    (tmp_path / "own" / "dead.png").symlink_to("none.png")
    assert list_pictures([tmp_path / "own"]) == [good]
    with pytest.raises(UserError, match=r"pipe.png cannot be read \(not a regular file\)\. Name an image file"):
        list(model((1, 6, 5)).image_blocks([good, tmp_path / "own" / "pipe.png"]))


def test_all_files_that_cannot_be_used_are_named_at_once(tmp_path, monkeypatch):
    files = [picture(tmp_path / f"{i}.png") for i in range(6)]
    files[1].write_bytes(b"")
    picture(files[2], size=(5, 6))
    files[4].write_bytes(broken())
    files += [tmp_path / "none.png", Path(os.fsdecode(bytes(tmp_path / "a") + b"\xff.png"))]
    monkeypatch.setattr("autoencoders.data.pictures.EVAL_BATCH", 2)
    with pytest.raises(UserError, match=r"^5 of 8 images cannot be used: [^\n]*$") as caught:
        list(model((1, 6, 5)).image_blocks(files))
    told = str(caught.value)
    for reason in ("1.png cannot be read (", "2.png is 5×6", "4.png cannot be read (", "none.png does not exist;"):
        assert reason in told
    assert ".png has a name that is not UTF-8. Repair it, or leave it out. Convert it, or leave it out. Name" in told
    assert "0.png" not in told


def test_of_very_many_files_that_cannot_be_used_a_hundred_are_named(tmp_path):
    files = [tmp_path / f"{i:03}.png" for i in range(250)]
    with pytest.raises(UserError, match=r"250 of 250 .*099.png does not exist; and 150 more\. Name an image file"):
        list(model((1, 6, 5)).image_blocks(files))


def test_numbered_names_differ_sort_and_stay_in_their_folder():
    found = numbered(["x/cat.png", "y/cat.jpg", "../../etc/passwd", *[""] * 8])
    assert found[:3] == ["00-x-cat.png", "01-y-cat.png", "02-etc-passwd.png"]
    assert found[-1] == "10.png"
    assert sorted(found) == found
    assert numbered([""]) == ["0.png"]


def test_pictures_of_one_folder_have_the_names_of_its_images():
    assert numbered(["/a/b/cat.png", "/a/b/dog.tar.png"]) == ["0-cat.png", "1-dog.tar.png"]
    assert numbered(["/a/b/1.png", "/a/c/d/1.png"]) == ["0-b-1.png", "1-c-d-1.png"]
    assert numbered(["a/1.png", "/a/1.png"]) == ["0-a-1.png", "1-a-1.png"]
    assert numbered(["only/1.png"]) == ["0-1.png"]


def test_names_that_no_file_can_have_become_names_that_one_can():
    assert numbered(["a\0b\x1b\n.png", "\udcff.png", "犬.png"]) == ["0-a_b__.png", "1-_.png", "2-犬.png"]
    [long] = numbered(["犬" * 400])
    assert len(long.encode()) < 200
    assert long.endswith("犬.png")
