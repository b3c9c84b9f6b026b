"""How image files of another aspect ratio are brought to a size, and that large JPEG files are decoded smaller."""

import io
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from autoencoders.data import decode
from autoencoders.data.decode import decode_picture, stored_shape

FITS = ("pad", "crop", "stretch")
NOISE = np.random.default_rng(0)
ORIENTATION = 0x0112


def png(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def jpeg(image: Image.Image, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """scikit-learn's photograph of a temple, side by side with itself mirrored: 1708×1280 (height × width)."""
    folder = Path(find_spec("sklearn").origin).parent / "datasets" / "images"
    pixels = np.asarray(Image.open(folder / "china.jpg").convert("RGB"))
    half = np.concatenate([pixels, pixels[:, ::-1]], 1)
    return Image.fromarray(np.concatenate([half, half[::-1], half, half[::-1]]))


def test_a_padded_picture_is_whole_in_the_middle_and_its_border_has_the_mean_of_its_edges():
    wide = np.full((4, 16), 100)
    wide[0], wide[:, 0], wide[:, -1] = 50, 255, 255
    pixels = decode_picture(png(wide), (10, 16), 1, "pad").pixels[0]
    np.testing.assert_array_equal(pixels[3:7], wide)
    edges = round(np.concatenate([wide[0], wide[-1]]).mean())
    assert set(pixels[:3].flat) == set(pixels[7:].flat) == {edges}
    upright = decode_picture(png(wide.T), (16, 10), 1, "pad").pixels[0]
    np.testing.assert_array_equal(upright, pixels.T)


def test_an_odd_pixel_of_the_border_is_at_the_bottom_or_the_right():
    pixels = decode_picture(png(np.arange(32).reshape(2, 16)), (5, 16), 1, "pad").pixels[0]
    np.testing.assert_array_equal(pixels[1:3], np.arange(32).reshape(2, 16))


def test_the_border_has_a_colour():
    red = np.zeros((4, 8, 3))
    red[..., 0] = 200
    pixels = decode_picture(png(red), (8, 8), 3, "pad").pixels
    assert [sorted(set(channel.flat)) for channel in pixels] == [[200], [0], [0]]


@pytest.mark.parametrize("size", [(8, 8), (5, 12), (12, 5)])
@pytest.mark.parametrize("shape", [(9, 31), (31, 9), (13, 13), (3, 2)])
def test_cropping_and_stretching_are_pillows(monkeypatch, shape, size):
    monkeypatch.setattr(decode, "REDUCING_GAP", None)
    array = NOISE.integers(0, 256, shape)
    image = Image.fromarray(array.astype(np.uint8))
    cropped = ImageOps.fit(image, size[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(decode_picture(png(array), size, 1, "crop").pixels[0], np.asarray(cropped))
    stretched = image.resize(size[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(decode_picture(png(array), size, 1, "stretch").pixels[0], np.asarray(stretched))


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_of_the_aspect_ratio_is_treated_the_same_by_all(fit):
    array = NOISE.integers(0, 256, (12, 18))
    picture = decode_picture(png(array), (8, 12), 1, fit)
    assert not picture.is_fitted
    np.testing.assert_array_equal(picture.pixels, decode_picture(png(array), (8, 12), 1, "stretch").pixels)
    assert decode_picture(png(array[:11]), (8, 12), 1, fit).is_fitted


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(64, 64), (4, 256)])
def test_a_very_long_picture_becomes_one_of_the_size(fit, size):
    long = np.zeros((8, 4000))
    long[:, :100] = 255  # at the left end alone
    for array, target in ((long, size), (long.T, size[::-1])):
        pixels = decode_picture(png(array), target, 1, fit).pixels
        assert pixels.shape == (1, *target)
        assert (pixels.max() > 200) == (fit != "crop")  # which keeps the middle


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_smaller_than_the_size_is_enlarged(fit):
    pixels = decode_picture(png(np.full((1, 3), 77)), (32, 32), 3, fit).pixels
    assert pixels.shape == (3, 32, 32)
    assert set(pixels.flat) == {77}


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(24, 32), (64, 64), (128, 96)])
def test_a_large_jpeg_that_is_decoded_smaller_looks_the_same(monkeypatch, photograph, fit, size):
    content = jpeg(photograph)
    fast = decode_picture(content, size, 3, fit).pixels.astype(int)
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", lambda *_: None)
    monkeypatch.setattr(decode, "REDUCING_GAP", None)
    whole = decode_picture(content, size, 3, fit).pixels
    assert 0 < np.abs(fast - whole).mean() < 1


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(10, 64), (64, 10), (64, 64)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_no_smaller_than_twice_what_is_needed(monkeypatch, photograph, fit, size, orientation):
    seen, resize = [], Image.Image.resize

    def spy(image: Image.Image, target: tuple[int, int], *options: object) -> Image.Image:
        seen.append((image.size, target))
        return resize(image, target, *options)

    content = jpeg(photograph, orientation)
    monkeypatch.setattr(Image.Image, "resize", spy)
    decode_picture(content, size, 3, fit)
    [((width, height), target)] = seen
    assert width * height < 0.3 * photograph.width * photograph.height
    assert width >= 2 * target[0] and height >= 2 * target[1]


@pytest.mark.parametrize("place", ["before the pixels", "behind the pixels", "in XMP behind the pixels"])
def test_the_orientation_of_a_png_is_found_wherever_it_is(place):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    array = np.arange(12).reshape(3, 4) * 20
    plain, out = png(array), io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(out, "PNG", exif=exif)
    content = out.getvalue()
    if place != "before the pixels":
        data = exif.tobytes().removeprefix(b"Exif\0\0")
        kind = b"eXIf"
        if "XMP" in place:
            kind, data = b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'
        chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        content = plain[:-12] + chunk + plain[-12:]
    assert stored_shape(io.BytesIO(content)) == (1, 4, 3)
    np.testing.assert_array_equal(decode_picture(content, (4, 3), 1, "pad").pixels[0], np.rot90(array, -1))


def test_the_size_of_a_png_without_metadata_is_read_without_its_pixels(monkeypatch):
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda _: pytest.fail("decoded"))
    assert stored_shape(io.BytesIO(png(NOISE.integers(0, 256, (300, 200))))) == (1, 300, 200)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_turned_upright(photograph, orientation):
    plain = jpeg(photograph)
    turned = decode_picture(jpeg(photograph, orientation), (40, 50), 3, "pad").pixels.astype(int)
    with Image.open(io.BytesIO(plain)) as image:
        image.getexif()[ORIENTATION] = orientation
        upright = ImageOps.exif_transpose(image)
    expected = decode_picture(png(np.asarray(upright)), (40, 50), 3, "pad").pixels
    assert np.abs(turned - expected).mean() < 1


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_jpeg_of_another_mode_keeps_its_colours(photograph, mode, channels):
    image = photograph.convert(mode)
    found = decode_picture(jpeg(image), (32, 24), channels, "pad").pixels.astype(int)
    expected = decode_picture(png(np.asarray(image.convert("RGB"))), (32, 24), channels, "pad").pixels
    assert np.abs(found - expected).mean() < 1


def test_a_grey_jpeg_in_colour_is_the_same_with_one_channel_and_with_three(photograph):
    content = jpeg(photograph.convert("L").convert("RGB"))
    [one] = decode_picture(content, (48, 36), 1, "pad").pixels
    for channel in decode_picture(content, (48, 36), 3, "pad").pixels:
        np.testing.assert_array_equal(channel, one)


def test_a_photograph_of_a_telephone_with_a_preview_is_decoded_smaller_too(photograph):
    out = io.BytesIO()
    photograph.save(out, "MPO", save_all=True, append_images=[photograph.resize((64, 48))])
    picture = decode_picture(out.getvalue(), (32, 32), 3, "pad")
    expected = decode_picture(png(np.asarray(photograph)), (32, 32), 3, "pad").pixels
    assert not picture.several
    assert np.abs(picture.pixels.astype(int) - expected).mean() < 1
