import numpy as np
import pytest

from autoencoders.ladder.linear.figure import MIN_ANGLE, draw, grey_at_zero

PCA = np.array([0.067, 0.06, 0.055, 0.05, 0.04])


def figure(images, nonlinear=None, shape=(1, 9, 9), count=3):
    others = {"ae": (3, 0.01)} if nonlinear is None else nonlinear
    facts = {
        "verdict": "same", "no_error": 1e-8,
        "fits": [{"latent": 1, "mse": 0.0601}, {"latent": max(count, 3), "mse": 0.0501}],
        "nonlinear": [{"name": name, "latent": latent, "mse": mse} for name, (latent, mse) in others.items()],
    }  # fmt: skip
    angles = {"angles/1": np.array([0.02]), f"angles/{max(count, 3)}": np.array([0.0, 0.5, 12.0])}
    components = {f"components/{name}": images(max(count, 3), shape) - 0.5 for name in ("pca", "linear", "turned")}
    return draw(facts, {"pca": PCA, **angles, **components})


def test_errors_stand_at_their_dimensions(images):
    errors = figure(images).axes[0]
    pca, linear, nonlinear = errors.lines
    np.testing.assert_array_equal(pca.get_xydata(), np.column_stack([range(1, 5), PCA[1:]]))
    np.testing.assert_array_equal(linear.get_xydata(), [[1, 0.0601], [3, 0.0501]])
    np.testing.assert_array_equal(nonlinear.get_xydata(), [[3, 0.01]])
    assert [text.get_text() for text in errors.texts] == ["ae: −80 %"]
    assert errors.get_ylabel() == "test MSE per pixel"


def test_angles_are_drawn_by_number_and_never_below_the_scale(images):
    angles = figure(images).axes[1]
    np.testing.assert_array_equal(angles.lines[0].get_xydata(), [[1, 0.02]])
    np.testing.assert_array_equal(angles.lines[1].get_ydata(), [MIN_ANGLE, 0.5, 12.0])
    assert angles.lines[0].get_marker() != angles.lines[1].get_marker()
    assert angles.get_yscale() == "log"
    assert [text.get_text() for text in angles.get_legend().get_texts()] == ["k = 1", "k = 3", "1°"]


def test_zero_is_grey_and_each_image_has_its_own_scale():
    images = np.array([[[[-2.0, 0, 1]]], [[[0.0, 0.1, 0]]], [[[0.0, 0, 0]]]])
    np.testing.assert_allclose(grey_at_zero(images)[:, 0, 0], [[0, 0.5, 0.75], [0.5, 1, 0.5], [0.5, 0.5, 0.5]])


@pytest.mark.parametrize(("shape", "count"), [((1, 28, 28), 8), ((3, 21, 7), 2), ((1, 7, 21), 1)])
def test_text_is_legible(images, assert_legible, shape, count):
    assert_legible(figure(images, shape=shape, count=count))


def test_no_nonlinear_autoencoder_leaves_no_mark(images, assert_legible):
    drawn = figure(images, nonlinear={})
    assert len(drawn.axes[0].lines) == 2
    assert_legible(drawn)


def test_long_names_are_legible(images, assert_legible, long_names):
    assert_legible(figure(images, nonlinear={long_names[0]: (1, 0.03), long_names[1]: (4, 0.01)}))
