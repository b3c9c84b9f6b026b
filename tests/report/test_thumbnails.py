import base64
import io

import numpy as np
import pytest
from PIL import Image

from autoencoders.report.thumbnails import MAX_SIDE, MAX_SPRITE_PIXELS, reduced, sprite, sprite_size, tiles


def shown(source: str) -> np.ndarray:
    kind, _, data = source.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image)


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_exact_and_parted_by_transparent_gaps(channels):
    images = np.random.default_rng(0).integers(0, 256, (3, channels, 20, 30), dtype=np.uint8)
    row, column = tiles(images), tiles(images, "column")
    assert (row.width, row.height, column.width, column.height) == (3 * 32, 20, 30, 3 * 22)
    for i, image in enumerate(images):
        expected = np.broadcast_to(image.transpose(1, 2, 0), (20, 30, 3))
        assert np.array_equal(shown(row.source)[:, 32 * i : 32 * i + 30, :3], expected)
        assert np.array_equal(shown(column.source)[22 * i : 22 * i + 20, :, :3], expected)
    assert set(shown(row.source)[..., 3].sum(0) > 0) == {True, False}
    assert (shown(row.source)[:, 30:32, 3] == 0).all()


def test_one_image_has_no_gap():
    assert (tiles(np.zeros((1, 1, 8, 9))).width, tiles(np.zeros((1, 1, 8, 9))).height) == (9, 8)


def test_large_images_are_reduced_by_areas():
    image = np.zeros((1, 1, 128, 64), np.uint8)
    image[0, 0, ::2] = 255
    small = reduced(image, MAX_SIDE)
    assert small.shape == (1, 1, 64, 32)
    assert small == pytest.approx(0.5)
    assert reduced(image, 200).shape == image.shape
    assert reduced(np.array([[[[-1.0, 2.0]]]]), 2).tolist() == [[[[0, 1]]]]


def test_images_stand_in_a_sprite_row_by_row():
    shades = np.arange(0, 250, 10, dtype=np.uint8)
    made = sprite(np.repeat(shades, 8 * 12).reshape(25, 1, 8, 12))
    picture = shown(made.source)
    assert (made.width, made.height) == (12, 8)
    for i, shade in enumerate(shades):
        left, top = i % made.columns * 12, i // made.columns * 8
        assert picture[top + 2 : top + 6, left + 2 : left + 10].mean() == pytest.approx(shade, abs=6)


@pytest.mark.parametrize(
    ("shape", "expected"), [((1, 28, 28), (28, 28)), ((3, 128, 64), (32, 16)), ((3, 1, 99), (1, 32))]
)
def test_a_sprite_has_bounded_pixels(shape, expected):
    *size, most = sprite_size(shape)
    assert tuple(size) == expected
    assert most * size[0] * size[1] <= MAX_SPRITE_PIXELS


def test_a_sprite_of_noise_in_colour_the_worst_case_stays_below_3_5_megabytes():
    images = np.random.default_rng(0).integers(0, 256, (4100, 3, 32, 32), dtype=np.uint8)
    assert len(sprite(images).source) < 3_500_000
