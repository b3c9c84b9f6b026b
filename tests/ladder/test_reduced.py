import numpy as np
import pytest

from autoencoders.ladder.reduced import reduced, reduced_size


def test_larger_images_are_reduced_by_averaging():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 64, 46), dtype=np.uint8)
    small = reduced(images)
    assert (small.dtype, small.shape) == (np.uint8, (5, 3, 32, 23))
    means = images.reshape(5, 3, 32, 2, 23, 2).mean((3, 5))
    assert np.abs(small - means).max() <= 0.5
    assert np.array_equal(reduced(images[..., :32, :30]), images[..., :32, :30])


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 32, 32), None), ((3, 128, 90), (32, 22)), ((1, 2000, 8), (32, 1)), ((1, 8, 33), (8, 32))]
)
def test_the_longer_side_is_32_pixels_at_most(shape, size):
    assert reduced_size(shape) == size
    assert reduced(np.zeros((2, *shape), np.uint8)).shape == (2, shape[0], *(size or shape[1:]))
