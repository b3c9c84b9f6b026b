import numpy as np
import pytest

from autoencoders.plots.samples import prior_samples


def test_a_panel_shows_its_images_row_by_row_in_a_square(images):
    by_model = {"autoencoder_16": images(9, seed=1), "vae_16": images(9, seed=2)}
    figure = prior_samples(by_model)
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
def test_text_is_legible(images, long_names, assert_legible, models, shape):
    names = long_names[:models]
    assert_legible(prior_samples(dict.fromkeys(names, images(7, shape)), dict.fromkeys(names, 12345.6)))
