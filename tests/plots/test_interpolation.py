import numpy as np
import pytest

from autoencoders.plots.interpolation import interpolations


def _first_and_last(picture, width):
    return np.asarray(picture)[:, :width], np.asarray(picture)[:, -width:]


def test_the_top_row_blends_pixels_from_a_to_b_and_models_follow(images):
    ends, decoded = images(2), images(5, seed=1)
    figure = interpolations({"vae_2": decoded}, ends)
    top, row = (np.asarray(image.get_array()) for image in figure.axes[0].images)
    first, last = _first_and_last(top, 9)
    np.testing.assert_allclose(first, ends[0, 0], rtol=1e-6)
    np.testing.assert_allclose(last, ends[1, 0], rtol=1e-6)
    np.testing.assert_allclose(top[:, 2 * 10 : 2 * 10 + 9], (ends[0, 0] + ends[1, 0]) / 2, rtol=1e-6)
    first, last = _first_and_last(row, 9)
    np.testing.assert_array_equal(first, decoded[0, 0])
    np.testing.assert_array_equal(last, decoded[4, 0])


@pytest.mark.parametrize(("steps", "labels"), [(5, ["0", "0.25", "0.5", "0.75", "1"]), (3, ["0", "0.5", "1"])])
def test_t_runs_from_0_to_1_under_the_images(images, steps, labels):
    axes = interpolations({"a": images(steps)}, images(2)).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == labels
    right = axes.images[0].get_extent()[1]
    ticks = axes.get_xticks()
    np.testing.assert_allclose(ticks + ticks[::-1], right)  # symmetric: each under its image's middle


def test_many_steps_keep_both_end_labels(images):
    axes = interpolations({"a": images(32)}, images(2)).axes[0]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert (labels[0], labels[-1], len(labels)) == ("0", "1", 16)


@pytest.mark.parametrize(("models", "steps"), [(2, 3), (12, 32), (3, 11)])
def test_text_is_legible(images, long_names, assert_legible, models, steps):
    assert_legible(interpolations(dict.fromkeys(long_names[:models], images(steps)), images(2)))


def test_unequal_steps_are_refused(images):
    with pytest.raises(ValueError, match="match"):
        interpolations({"a": images(5), "b": images(6)}, images(2))
