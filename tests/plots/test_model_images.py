import numpy as np
import pytest

from autoencoders.plots.model_images import interpolations, prior_samples, reconstructions
from autoencoders.plots.style import pixels


def _tiles(picture: np.ndarray, count: int, width: int) -> list[np.ndarray]:
    gap = (picture.shape[1] - count * width) // (count - 1)
    return [picture[:, i * (width + gap) :][:, :width] for i in range(count)]


@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 8, 8), (1, 7, 11)])
def test_originals_stand_above_their_reconstructions(images, shape):
    sets = {name: images(4, shape, seed) for seed, name in enumerate(["originals", "pca_2", "vae_2"])}
    by_model = {name: sets[name] for name in ["pca_2", "vae_2"]}
    figure = reconstructions(sets["originals"], by_model, dict.fromkeys(by_model, 0.1))
    shown = sorted(figure.axes[0].images, key=lambda image: min(image.get_extent()[2:]))  # top to bottom
    assert len(shown) == 3
    for image, expected in zip(shown, sets.values(), strict=True):
        picture = np.asarray(image.get_array())
        for tile, original in zip(_tiles(picture, 4, shape[2]), pixels(expected), strict=True):
            np.testing.assert_array_equal(tile, original[..., 0] if shape[0] == 1 else original)
    assert all(image.get_clim() == (0, 1) for image in shown)


def test_pixels_of_reconstructions_are_square(images):
    figure = reconstructions(images(3, (1, 7, 11)), {"a": images(3, (1, 7, 11))}, {"a": 0.1})
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    rows, columns = figure.axes[0].images[0].get_array().shape
    assert (right - left) / columns == pytest.approx((bottom - top) / rows)
    assert figure.axes[0].get_aspect() == 1


def test_a_row_names_its_model_and_test_error_beside_it(images, drawn):
    figure = reconstructions(images(3), {"pca_2": images(3), "vae_2": images(3)}, {"vae_2": 0.03847, "pca_2": 0.0557})
    boxes = dict(drawn(figure))
    assert {"originals", "pca_2", "test MSE 0.0557", "vae_2", "test MSE 0.0385"} <= set(boxes)
    assert boxes["originals"].y0 > boxes["pca_2"].y0 > boxes["test MSE 0.0557"].y0 > boxes["vae_2"].y0
    edge = figure.axes[0].get_window_extent().x0
    assert all(boxes[name].x1 < edge for name in ["originals", "pca_2", "vae_2", "test MSE 0.0385"])


@pytest.mark.parametrize(
    ("models", "count", "shape"), [(1, 10, (1, 28, 28)), (12, 32, (1, 9, 9)), (6, 4, (3, 5, 40)), (12, 2, (1, 40, 5))]
)
def test_text_beside_reconstructions_is_legible(images, long_names, assert_legible, models, count, shape):
    x = images(count, shape)
    names = long_names[:models]
    assert_legible(reconstructions(x, dict.fromkeys(names, x), dict.fromkeys(names, 0.00123)))


def test_reconstructions_of_other_shapes_are_refused(images):
    with pytest.raises(ValueError, match="vae_2"):
        reconstructions(images(3), {"vae_2": images(4)}, {"vae_2": 0.1})


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
def test_text_beside_interpolations_is_legible(images, long_names, assert_legible, models, steps):
    assert_legible(interpolations(dict.fromkeys(long_names[:models], images(steps)), images(2)))


def test_unequal_steps_are_refused(images):
    with pytest.raises(ValueError, match="match"):
        interpolations({"a": images(5), "b": images(6)}, images(2))


def test_a_panel_shows_its_images_row_by_row_in_a_square(images):
    by_model = {"autoencoder_16": images(9, seed=1), "vae_16": images(9, seed=2)}
    figure = prior_samples(by_model, dict.fromkeys(by_model, 21.0))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["autoencoder_16", "vae_16"]
    for axes, expected in zip(figure.axes, by_model.values(), strict=True):
        picture = np.asarray(axes.images[0].get_array())
        assert picture.shape == (3 * 9 + 2, 3 * 9 + 2)
        np.testing.assert_array_equal(picture[10:19, 20:29], expected[5, 0])  # second row, third column


def test_two_models_stand_side_by_side_with_their_distances(images, drawn):
    distances = {"autoencoder_16": 480.2, "vae_16": 21.54}
    boxes = dict(drawn(prior_samples({name: images(4) for name in distances}, distances)))
    left, right = boxes["Fréchet distance 480"], boxes["Fréchet distance 21.5"]
    assert left.y0 == pytest.approx(right.y0)
    assert left.x1 < right.x0
    assert boxes["vae_16"].y0 > right.y1


@pytest.mark.parametrize(("models", "shape"), [(1, (1, 28, 28)), (2, (3, 32, 32)), (5, (1, 7, 21)), (12, (3, 21, 7))])
def test_text_above_samples_is_legible(images, long_names, assert_legible, models, shape):
    names = long_names[:models]
    assert_legible(prior_samples(dict.fromkeys(names, images(7, shape)), dict.fromkeys(names, 12345.6)))
