import io
import time

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from autoencoders.data import arrays, duplicates
from autoencoders.data.duplicates import copies_of_earlier, find_copies


def photographs(count: int, seed: int = 0, size: int = 96) -> list[Image.Image]:
    """Pictures with structure at all scales, as photographs have."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        layers = [
            np.asarray(
                Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((size, size), 3), float
            )
            for side in (3, 6, 12)
        ]
        mixed = sum(layer * weight for layer, weight in zip(layers, (0.5, 0.3, 0.2), strict=True))
        found.append(Image.fromarray(mixed.astype(np.uint8)))
    return found


def as_array(pictures, size=32):
    return np.stack([np.asarray(picture.resize((size, size), 1)).transpose(2, 0, 1) for picture in pictures])


def jpeg(picture, quality):
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return Image.open(content).convert("RGB")


CHANGES = {
    "compressed": lambda picture: jpeg(picture, 75),
    "smaller": lambda picture: picture.resize((60, 60), 2),
    "larger": lambda picture: picture.resize((150, 150), 3),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "more contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.15),
    "all": lambda picture: jpeg(ImageEnhance.Brightness(picture.resize((80, 80), 2)).enhance(1.05), 85),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found_among_others(change):
    pictures = photographs(200)
    found = find_copies(as_array([*pictures, *(CHANGES[change](picture) for picture in pictures[50:80])]))
    expected = np.arange(230)
    expected[200:] = np.arange(50, 80)
    np.testing.assert_array_equal(found.groups, expected)
    assert (found.exact, found.near, found.flat, found.alike) == (0, 30, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.transpose(0),  # mirrored
        lambda picture: picture.filter(ImageFilter.GaussianBlur(12)),
        lambda picture: ImageEnhance.Brightness(picture).enhance(0.3),
        lambda picture: Image.blend(picture, photographs(1, seed=9)[0], 0.4),
    ],
)
def test_others_are_no_copies(change):
    pictures = photographs(60)
    found = find_copies(as_array([*pictures, *map(change, pictures)]))
    assert (found.exact, found.near) == (0, 0)
    np.testing.assert_array_equal(found.groups, np.arange(120))


def test_exact_copies_and_near_ones_of_them_are_one_group_across_arrays(monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 5 * 32 * 32 * 3)
    images = as_array(photographs(20))
    near = images[3].copy()
    near[0, 5, 5] ^= 1
    found = find_copies(images[:7], np.stack([images[3], near, images[8]]), images[8:])
    expected = np.array([0, 1, 2, 3, 4, 5, 6, 3, 3, 9, 9, *range(11, 22)])
    np.testing.assert_array_equal(found.groups, expected)
    assert (found.exact, found.near) == (2, 1)


def test_images_of_one_grey_level_are_nobodys_copies():
    plain = np.full((30, 1, 8, 8), 77, np.uint8)
    plain[10:] = 78
    found = find_copies(plain)
    np.testing.assert_array_equal(found.groups, np.arange(30))
    assert (found.exact, found.near, found.flat) == (0, 0, 30)


def test_one_image_again_and_again_is_one_group():
    found = find_copies(np.repeat(as_array(photographs(1)), 40, axis=0))
    assert (found.exact, found.near, found.alike, set(found.groups)) == (39, 0, 0, {0})


def test_many_images_that_are_much_alike_are_a_kind_of_images_and_no_group():
    """As one product before one camera: together they would be one split."""
    [product] = as_array(photographs(1)).astype(int)
    noise = np.random.default_rng(0).integers(-2, 3, (60, *product.shape))
    alike = np.clip(product + noise, 0, 255).astype(np.uint8)
    found = find_copies(np.concatenate([alike, alike[:2], as_array(photographs(40, seed=1))]))
    assert (found.exact, found.near, found.alike) == (2, 0, 62)
    few = find_copies(np.concatenate([alike[:6], as_array(photographs(40, seed=1))]))
    assert (few.near, few.alike) == (5, 0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 4000), (3, 200, 2), (1, 8, 9)])
def test_images_of_any_size(shape):
    images = np.random.default_rng(0).integers(0, 256, (12, *shape), dtype=np.uint8)
    found = find_copies(np.concatenate([images, images[:3]]))
    if shape != (1, 1, 1):
        assert (found.exact, found.near) == (3, 0)
    assert found.flat == (15 if shape == (1, 1, 1) else 0)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    assert find_copies(images).groups.tolist() == list(range(count))


def test_the_images_with_a_copy_in_an_earlier_split():
    groups = np.array([0, 1, 0, 3, 1, 5, 3])
    train, val, test = np.array([0, 5]), np.array([1, 2]), np.array([3, 4, 6])
    assert copies_of_earlier(groups, train, val, test).tolist() == [2, 4]
    assert copies_of_earlier(groups, train, test).tolist() == []


def test_time_grows_with_the_images_also_where_all_are_alike():
    """20,000 takes of one picture are 200 million pairs: each is compared with a few."""
    rng = np.random.default_rng(0)
    images = (rng.integers(60, 200, (1, 1, 16, 16)) + rng.integers(-3, 4, (20_000, 1, 16, 16))).astype(np.uint8)
    began = time.process_time()
    assert find_copies(images).alike > 19_000
    assert time.process_time() - began < 30
    assert duplicates.WINDOW <= 16
