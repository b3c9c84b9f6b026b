import numpy as np
import pytest
import torch

from autoencoders.ladder.one_image.measure import Stored, colour_image, snapshot_steps, store_image
from autoencoders.params import Ladder

CPU = torch.device("cpu")
DEFAULT = Ladder().one_image


def stroke() -> np.ndarray:
    """A ring with soft edges, like a digit 0: (1, 28, 28)."""
    y, x = np.mgrid[:28, :28] - 13.5
    distance = np.abs(np.hypot(y / 1.3, x) - 6.5)
    return (255 * np.clip(2.2 - distance, 0, 1)).astype(np.uint8)[None]


def stored(image: np.ndarray, channels: list[int], steps: int, seed: int = 0) -> Stored:
    settings = DEFAULT.model_copy(update={"steps": steps})
    return store_image(image, channels, settings, seed=seed, device=CPU)


@pytest.mark.parametrize("image", [stroke(), colour_image()], ids=["digit", "colour"])
def test_the_default_network_stores_an_image_at_40_db(image):
    largest = max(DEFAULT.networks)
    result = stored(image, largest, DEFAULT.steps)
    assert result.psnr >= 40
    drawn = result.snapshots[DEFAULT.steps]
    assert np.abs(drawn - image / 255).max() < 0.1
    assert result.psnr == pytest.approx(-10 * np.log10(((drawn - image / 255) ** 2).mean()), abs=1e-3)


def test_more_weights_hold_more_of_the_image():
    image = colour_image(16)
    small, medium, large = (stored(image, channels, 150) for channels in ([2, 2], [8, 4], [32, 16]))
    assert small.weights < medium.weights < large.weights
    assert small.psnr < medium.psnr < large.psnr


def test_the_curve_runs_from_the_untrained_network_to_the_end():
    result = stored(stroke(), [8, 4], 120)
    assert result.mse.shape == (121,)
    assert result.mse[-1] < result.mse[0] / 2
    assert result.psnr == pytest.approx(-10 * np.log10(result.mse[-1]), abs=1e-3)
    assert list(result.snapshots) == [10, 30, 100, 120]
    for step, drawn in result.snapshots.items():
        assert ((drawn - stroke() / 255) ** 2).mean() == pytest.approx(result.mse[step], rel=1e-4)


def test_equal_seeds_draw_equal_images():
    first, again, other = (stored(stroke(), [4, 2], 12, seed).snapshots[12] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("steps", "expected"), [(1000, [10, 30, 100, 300, 1000]), (300, [10, 30, 100, 300]), (10, [10])]
)
def test_pictures_are_taken_on_the_way_and_at_the_end(steps, expected):
    assert snapshot_steps(steps) == expected


def test_the_photograph_is_in_colour_and_of_the_size_asked_for():
    image = colour_image(32)
    assert (image.shape, image.dtype) == ((3, 32, 32), np.uint8)
    red, green, blue = image.astype(float).mean((1, 2))
    assert len({round(red), round(green), round(blue)}) == 3
