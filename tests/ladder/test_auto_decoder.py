import numpy as np
import pytest
import torch

from autoencoders.ladder.auto_decoder.measure import Vectors, likeness, nearest_vectors, store_images
from autoencoders.params.ladder import AutoDecoderRung

SETTINGS = AutoDecoderRung(images=80, latent=4, channels=[6, 4], epochs=60, batch_size=30, learning_rate=0.01)


def bars() -> np.ndarray:
    """80 images of one bright bar of some place and height, so that few numbers describe each: (80, 1, 8, 8)."""
    random = np.random.default_rng(0)
    images = np.zeros((80, 1, 8, 8), dtype=np.uint8)
    for image in images:
        left, top = random.integers(0, 6), random.integers(0, 5)
        image[0, top:, left : left + 2] = random.integers(150, 256)
    return images


def stored(learned: bool, seed: int = 0) -> Vectors:
    return store_images(bars(), SETTINGS, learned=learned, seed=seed, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def both() -> tuple[Vectors, Vectors]:
    return stored(learned=False), stored(learned=True)


def test_learned_vectors_leave_a_smaller_error(both):
    random, learned = both
    assert learned.mse < 0.7 * random.mse
    assert learned.psnr > random.psnr


def test_learned_vectors_make_neighbours_of_images_that_look_alike(both):
    random, learned = both
    assert random.likeness == pytest.approx(1, abs=0.2)
    assert learned.likeness < 0.8 * random.likeness


def test_both_start_alike(both):
    one_step = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 80})
    first = [
        store_images(bars(), one_step, learned=learned, seed=0, device=torch.device("cpu")).curve[0]
        for learned in (False, True)
    ]
    assert first[0] == first[1]


def test_a_curve_has_a_value_for_each_epoch_and_falls(both):
    for experiment in both:
        assert experiment.curve.shape == (60,)
        assert experiment.mse < experiment.curve[-1] * 1.1 < experiment.curve[0]


def test_the_nearest_vector_is_another_one(monkeypatch):
    vectors = torch.tensor([[0.0], [1.0], [1.4], [5.0], [5.0]])
    expected = [1, 2, 1, 4, 3]
    assert nearest_vectors(vectors).tolist() == expected
    monkeypatch.setattr("autoencoders.ladder.auto_decoder.measure.DISTANCE_BATCH", 2)
    assert nearest_vectors(vectors).tolist() == expected


def test_likeness_is_zero_for_equal_neighbours_and_one_by_chance():
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 6, 6), dtype=np.uint8)
    twins = np.concatenate([images, images])
    assert likeness(twins, np.roll(np.arange(80), 40)) == 0
    shifts = [likeness(images, np.roll(np.arange(40), shift)) for shift in range(1, 40)]  # every pair, once each way
    assert np.mean(shifts) == pytest.approx(1, rel=1e-5)


def test_of_pictures_that_are_all_the_same_no_two_are_more_alike():
    same = np.tile(np.random.default_rng(0).integers(0, 256, (1, 1, 9, 9), dtype=np.uint8), (16, 1, 1, 1))
    assert likeness(same, np.roll(np.arange(16), 1)) == 1.0
