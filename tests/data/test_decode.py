import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from autoencoders.data.decode import decode_picture
from autoencoders.data.decode_folder import decode_all, infer_size
from autoencoders.data.folder import ManifestRow
from autoencoders.errors import UserError

GRADIENT = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


def encoded(array: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind, **options)
    return out.getvalue()


def gigantic() -> bytes:
    """A PNG of a few bytes that claims 20,000 × 20,000 pixels."""
    content = bytearray(encoded(GRADIENT))
    content[16:24] = struct.pack(">II", 20000, 20000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


def decode(content: bytes, size: tuple[int, int], channels: int, fit: str = "crop") -> np.ndarray:
    return decode_picture(content, size, channels, fit).pixels


def manifest(folder, files: dict[str, bytes]) -> list[ManifestRow]:
    rows = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        rows.append(ManifestRow(name, len(content), hashlib.sha256(content).hexdigest()))
    return rows


def decoded(tmp_path, files, size=(8, 8), channels=None, limit=0.5, fit="crop"):
    return decode_all(tmp_path, manifest(tmp_path, files), tmp_path / "spooled", size, channels, limit, fit)


def test_an_image_of_the_size_is_unchanged():
    np.testing.assert_array_equal(decode(encoded(GRADIENT), (8, 8), 1), GRADIENT[np.newaxis])
    np.testing.assert_array_equal(decode(encoded(GRADIENT), (8, 8), 3), np.stack([GRADIENT] * 3))


def test_the_shorter_side_is_scaled_and_the_centre_cropped():
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    np.testing.assert_array_equal(decode(encoded(wide), (8, 8), 1), np.full((1, 8, 8), 200))
    shrunk = decode(encoded(wide.T.copy()), (4, 4), 1)[0, 1:3]
    np.testing.assert_allclose(shrunk, np.full((2, 4), 200), atol=3)


def test_small_stripes_average_out():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.abs(decode(encoded(stripes), (8, 8), 1)[0, :, 2:-2].astype(int) - 127).max() <= 3


def test_exif_turns_the_image_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° clockwise to show
    turned = decode(encoded(GRADIENT, exif=exif), (8, 8), 1)
    np.testing.assert_array_equal(turned[0], np.rot90(GRADIENT, -1))


def test_sixteen_bits_keep_their_range():
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    np.testing.assert_array_equal(decode(encoded(deep), (8, 8), 1)[0], GRADIENT)


def test_transparent_pixels_become_white():
    image = np.zeros((8, 8, 4), np.uint8)
    image[:, :4, 3] = 255
    seen = decode(encoded(image), (8, 8), 3)
    assert (seen[:, :, :4] == 0).all()
    assert (seen[:, :, 4:] == 255).all()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(20, 30), (20, 30)], (20, 30)),
        ([(20, 30), (40, 25), (60, 50)], (30, 25)),
        ([(200, 300), (400, 250), (400, 600)], (64, 96)),
        ([(30, 60), (60, 30)], (30, 30)),
        ([(1500, 20), (1500, 20)], (256, 4)),
        ([(8, 4000), (8, 4000)], (4, 256)),
        ([(30, 40), (30, 41), (4000, 8)], (30, 40)),
    ],
    ids=[
        "shared",
        "median of shorter sides and of aspect ratios",
        "at most 64",
        "upright and lying",
        "too large to share",
        "far too long to share",
        "one that is far too long",
    ],
)
def test_the_size_is_inferred(tmp_path, capsys, sizes, expected):
    names = [f"{i}.png" for i in range(len(sizes))]
    for name, size in zip(names, sizes, strict=True):
        (tmp_path / name).write_bytes(encoded(np.zeros(size, np.uint8)))
    assert infer_size(tmp_path, names) == expected
    assert f"{expected[0]}×{expected[1]}" in capsys.readouterr().out


def test_the_inferred_size_is_that_of_upright_images(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.png").write_bytes(encoded(np.zeros((20, 30), np.uint8)))
    (tmp_path / "b.png").write_bytes(encoded(np.zeros((30, 20), np.uint8), exif=exif))
    assert infer_size(tmp_path, ["a.png", "b.png"]) == (20, 30)


def test_grey_images_have_one_channel_however_they_are_stored(tmp_path):
    result = decoded(tmp_path, {"a.png": encoded(GRADIENT), "b.png": encoded(np.stack([GRADIENT] * 3, -1))})
    assert result.images.shape == (2, 1, 8, 8)
    np.testing.assert_array_equal(result.images[1], GRADIENT[np.newaxis])


def test_one_colour_image_makes_three_channels(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 9
    result = decoded(tmp_path, {"a.png": encoded(GRADIENT), "b.png": encoded(red)})
    assert result.images.shape == (2, 3, 8, 8)
    assert result.images[1].max(axis=(1, 2)).tolist() == [9, 0, 0]


def test_unreadable_images_are_left_out_and_counted(tmp_path, capsys):
    files = {
        "a.png": encoded(GRADIENT),
        "big.png": gigantic(),
        "broken.png": b"not an image",
        "cut.jpg": encoded(NOISE, "JPEG")[:600],
        "z.png": encoded(GRADIENT),
    }
    result = decoded(tmp_path, files, limit=0.6)
    assert result.paths == ["a.png", "z.png"]
    assert len(result.images) == 2
    assert result.unreadable["big.png"] == "too many pixels"
    assert result.unreadable["broken.png"] == "not an image"
    assert "truncated" in result.unreadable["cut.jpg"]
    assert "left out: 3 of 5 images" in capsys.readouterr().out


@pytest.mark.parametrize("bad", [gigantic(), b"", encoded(NOISE)[:-2000]], ids=["gigantic", "empty", "cut short"])
def test_too_many_unreadable_images_are_refused(tmp_path, bad):
    with pytest.raises(UserError, match=r"1 of 2 images in .* cannot be read: bad.png \(.*raise data.max_unreadable"):
        decoded(tmp_path, {"good.png": encoded(GRADIENT), "bad.png": bad}, limit=0.49)


def test_no_readable_image_at_all_is_refused(tmp_path):
    with pytest.raises(UserError, match="none of the 2 images"):
        decoded(tmp_path, {"a.png": b"1", "b.png": gigantic()}, size=None)


def test_an_image_that_changed_is_noticed(tmp_path):
    rows = manifest(tmp_path, {"a.png": encoded(GRADIENT)})
    (tmp_path / "a.png").write_bytes(encoded(GRADIENT.T.copy()))
    with pytest.raises(UserError, match="has changed since the `download` stage"):
        decode_all(tmp_path, rows, tmp_path / "spooled", (8, 8), 1, 0.5, "pad")
