import numpy as np
import pytest

from autoencoders.ladder.beta.figure import MIN_KL, draw


def figure(images, betas, dimensions=4, shape=(1, 9, 9), count=8):
    number = len(betas)
    falling = np.linspace(1, 0, number)
    kl = np.linspace(0, 3, dimensions) * falling[:, None]
    drawn = np.stack([images(count, shape, seed=i) for i in range(number)])
    return draw({}, {
        "betas": np.array(betas), "recon": 100 - 30 * falling, "kl": kl, "mse": 0.06 - 0.04 * falling,
        "active_units": np.arange(number)[::-1], "originals": (255 * images(count, shape)).astype(np.uint8),
        "reconstructions": drawn, "samples": drawn,
    })  # fmt: skip


def test_rate_and_distortion_carry_their_beta(images):
    axes = figure(images, [0.1, 1, 10]).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[6, 70], [3, 85], [0, 100]])
    assert [text.get_text() for text in axes.texts] == ["β = 0.1", "β = 1", "β = 10"]


def test_dimensions_are_sorted_by_kl_and_collapsed_ones_stay_on_the_scale(images):
    axes = figure(images, [0.1, 1, 10]).axes[1]
    picture = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(picture, [[3, 2, 1, MIN_KL], [1.5, 1, 0.5, MIN_KL], [MIN_KL] * 4])


def test_charts_stand_over_a_logarithmic_beta(images):
    axes = figure(images, [0.1, 1, 10]).axes
    units, errors = axes[2], axes[3]
    np.testing.assert_array_equal(units.lines[0].get_ydata(), [2, 1, 0])
    assert units.get_xscale() == errors.get_xscale() == "log"
    assert [tick.get_text() for tick in units.get_xticklabels()] == ["0.1", "1", "10"]
    assert errors.get_ylabel() == "test MSE per pixel"
    assert errors.get_ylim() == (0, pytest.approx(1.15 * 0.06))
    assert [text.get_text() for text in units.get_legend().get_texts()] == ["β = 1, the ELBO"]


def test_originals_are_shown_as_they_are_and_beside_them_nothing(images):
    drawn = figure(images, [0.1, 1, 10])
    tables = [
        np.asarray(axes.images[0].get_array())
        for axes in drawn.axes
        if axes.images and len(axes.images[0].get_array()) > 20
    ]
    reconstructions, samples = tables
    np.testing.assert_allclose(reconstructions[:9, :9], (255 * images(1)[0, 0]).astype(np.uint8) / 255)
    assert samples[:9].min() == 1


@pytest.mark.parametrize(
    ("betas", "dimensions", "shape", "count"),
    [
        ([0.1, 0.3, 1, 3, 10, 30], 16, (1, 28, 28), 8),
        ([0.5, 1], 1, (3, 21, 7), 2),
        ([0.01, 0.03, 0.1, 0.3, 0.5, 1, 2, 4, 10, 30, 100, 300], 64, (3, 16, 16), 8),
    ],
)
def test_text_is_legible(images, assert_legible, betas, dimensions, shape, count):
    assert_legible(figure(images, betas, dimensions, shape, count))
