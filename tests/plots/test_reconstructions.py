import numpy as np
import pytest

from autoencoders.plots.reconstructions import reconstructions
from autoencoders.plots.style import pixels


def _tiles(picture: np.ndarray, count: int, width: int) -> list[np.ndarray]:
    gap = (picture.shape[1] - count * width) // (count - 1)
    return [picture[:, i * (width + gap) :][:, :width] for i in range(count)]


@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 8, 8), (1, 7, 11)])
def test_rows_show_the_images_passed_originals_first(images, shape):
    sets = {name: images(4, shape, seed) for seed, name in enumerate(["originals", "pca_2", "vae_2"])}
    figure = reconstructions(sets["originals"], {name: sets[name] for name in ["pca_2", "vae_2"]})
    shown = sorted(figure.axes[0].images, key=lambda image: min(image.get_extent()[2:]))  # top to bottom
    assert len(shown) == 3
    for image, expected in zip(shown, sets.values(), strict=True):
        picture = np.asarray(image.get_array())
        for tile, original in zip(_tiles(picture, 4, shape[2]), pixels(expected), strict=True):
            np.testing.assert_array_equal(tile, original[..., 0] if shape[0] == 1 else original)
    assert all(image.get_clim() == (0, 1) for image in shown)


def test_pixels_are_square(images):
    figure = reconstructions(images(3, (1, 7, 11)), {"a": images(3, (1, 7, 11))})
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
def test_text_is_legible(images, long_names, assert_legible, models, count, shape):
    x = images(count, shape)
    names = long_names[:models]
    assert_legible(reconstructions(x, dict.fromkeys(names, x), dict.fromkeys(names, 0.00123)))


def test_other_shapes_are_refused(images):
    with pytest.raises(ValueError, match="vae_2"):
        reconstructions(images(3), {"vae_2": images(4)})
