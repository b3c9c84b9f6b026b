import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy.stats import norm

from autoencoders.plots.latent_plane import (
    learned_distribution,
    normal_quantiles,
    plane_grid,
    prediction,
    principal_plane,
)
from autoencoders.plots.style import PALETTE


def _codes(count: int, k: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, k)) * np.arange(k, 0, -1)


def test_normal_quantiles_are_those_of_the_unit_gaussian():
    probabilities = np.linspace(0.05, 0.95, 15)
    z = normal_quantiles(probabilities)
    assert z.min() == pytest.approx(-1.6448536, abs=1e-6)
    np.testing.assert_allclose(norm.cdf(z), probabilities)


def test_the_grid_reads_z1_rightward_and_z2_upward():
    grid = plane_grid(np.array([-2.0, 0.0, 3.0]), np.array([10.0, 11.0, 15.0])).reshape(3, 3, 2)
    assert grid[0, 0].tolist() == [-2, 15]  # top left
    assert grid[2, 2].tolist() == [3, 10]  # bottom right
    assert grid[1, 1].tolist() == [0, 11]


def test_two_dimensions_are_drawn_directly_each_point_in_its_class_colour():
    codes, labels = _codes(30, 2), np.arange(30) % 3
    axes = prediction(codes, labels).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z₁", "z₂")
    (cloud,) = axes.collections
    drawn = {(x, y): to_hex(c) for (x, y), c in zip(cloud.get_offsets().data, cloud.get_facecolors(), strict=True)}
    assert drawn == {(x, y): PALETTE[label] for (x, y), label in zip(codes, labels, strict=True)}
    assert axes.get_aspect() == 1


def test_classes_are_named_at_their_medians_and_in_the_legend():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    codes = rng.normal(size=(100, 2)) * 0.1 + np.array([[-5, 0], [5, 3]])[labels]
    figure = prediction(codes, labels, ["Trouser", "Bag"])
    tags = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    for label in (0, 1):
        np.testing.assert_allclose(tags[str(label)], np.median(codes[labels == label], axis=0), atol=0.02)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0  Trouser", "1  Bag"]


def test_a_class_of_few_points_is_named_in_the_legend_alone():
    codes, labels = np.random.default_rng(0).normal(size=(30, 2)), np.repeat([0, 1, 2], [19, 9, 2])
    figure = prediction(codes, labels, ["many", "few", "two"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["0"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0  many", "1  few", "2  two"]
    assert not prediction(codes[-2:], labels[-2:]).axes[0].texts


def test_more_dimensions_are_projected_on_two_principal_components_and_the_axes_say_so():
    codes = _codes(500, 5)
    points, share = principal_plane(codes)
    singular = np.linalg.svd(codes - codes.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(share, singular[:2] / singular.sum())
    np.testing.assert_allclose(points.var(0), singular[:2] / 500)
    axes = prediction(codes).axes[0]
    assert axes.get_xlabel() == f"principal component 1 ({100 * share[0]:.1f}% of variance) of z, 5 dimensions"
    assert axes.get_ylabel() == f"principal component 2 ({100 * share[1]:.1f}% of variance)"
    offsets = axes.collections[0].get_offsets().data
    np.testing.assert_allclose(np.sort(offsets[:, 0]), np.sort(points[:, 0]))


def test_one_dimension_is_drawn_along_one_axis():
    assert prediction(_codes(50, 1)).axes[0].get_xlabel() == "z₁"


def test_the_priors_circles_have_radius_1_and_2_and_are_in_view():
    axes = prediction(_codes(50, 2) * 0.01, unit_gaussian=True).axes[0]
    assert [circle.radius for circle in axes.patches] == [1, 2]
    assert axes.get_xlim()[0] < -2 < 2 < axes.get_xlim()[1]
    assert not prediction(_codes(50, 3), unit_gaussian=True).axes[0].patches


def test_without_labels_there_is_one_colour_and_no_legend():
    figure = prediction(_codes(20, 2))
    assert not figure.legends
    assert not figure.axes[0].texts


def test_47_classes_differ_by_colour_or_marker():
    labels = np.arange(470) % 47
    handles = prediction(_codes(470, 2), labels).legends[0].legend_handles
    assert len({(handle.get_color(), handle.get_marker()) for handle in handles}) == 47


@pytest.mark.parametrize("wrong", [np.zeros(5), np.full((5, 2), np.nan)])
def test_other_codes_are_refused(wrong):
    with pytest.raises(ValueError, match="codes"):
        prediction(wrong)


def test_learned_distribution_shows_the_grid_as_it_reads_with_z_and_probability(images):
    decoded, quantiles = images(9), np.array([0.05, 0.5, 0.95])
    z = normal_quantiles(quantiles)
    figure = learned_distribution(decoded, quantiles, (z, z))
    axes = figure.axes[0]
    picture = np.asarray(axes.images[0].get_array())
    np.testing.assert_array_equal(picture[:9, :9], decoded[0, 0])
    np.testing.assert_array_equal(picture[:9, 18:], decoded[2, 0])
    assert axes.images[0].origin == "upper"
    assert axes.images[0].get_extent() == [0, 3, 0, 3]
    for axis in (axes.xaxis, axes.yaxis):
        assert [tick.get_text() for tick in axis.get_ticklabels()] == ["−1.64", "0.00", "1.64"]
        np.testing.assert_array_equal(axis.get_ticklocs(), [0.5, 1.5, 2.5])
    probabilities = [tick.get_text() for tick in axes.child_axes[0].get_xticklabels()]
    assert probabilities == ["0.05", "0.50", "0.95"]
    assert axes.child_axes[0].get_xlabel() == "Φ(z₁), cumulative probability"


def test_a_grid_over_a_model_s_own_codes_has_their_values_at_its_axes(images):
    across, up = np.array([-6.0, 0.5, 4.0]), np.array([0.0, 1.0, 2.25])
    axes = learned_distribution(images(9), np.array([0.05, 0.5, 0.95]), (across, up), of_codes=True).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["−6.00", "0.50", "4.00"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.00", "1.00", "2.25"]
    assert axes.child_axes[0].get_xlabel() == "share of the codes with a lower z₁"


def test_learned_distribution_refuses_another_number_of_images(images):
    with pytest.raises(ValueError, match="9 images"):
        learned_distribution(images(8), np.array([0.05, 0.5, 0.95]), (np.arange(3), np.arange(3)))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("classes", [10, 47])
def test_prediction_is_legible(assert_legible, k, classes):
    labels = np.arange(1000) % classes
    names = [f"a long class name {i}" for i in range(classes)] if k == 3 else None
    assert_legible(prediction(_codes(1000, k), labels, names, unit_gaussian=True))


@pytest.mark.parametrize(("g", "shape"), [(2, (3, 32, 32)), (50, (1, 5, 9)), (15, (1, 20, 9))])
def test_learned_distribution_is_legible(images, assert_legible, g, shape):
    quantiles = np.linspace(0.05, 0.95, g)
    z = normal_quantiles(quantiles)
    assert_legible(learned_distribution(images(g * g, shape), quantiles, (z, z), "vae_with_a_long_name_24c: learned"))
