import numpy as np
import pytest

from autoencoders.plots.error_spread import error_spread

RANDOM = np.random.default_rng(0)


def _cells(figure):
    texts = [text.get_text() for text in figure.axes[1].texts]
    return [text for text in texts if text[:1].isdigit()]


def test_every_image_is_in_the_row_of_its_model_and_a_line_is_at_the_mean():
    errors = {"pca": np.array([0.01, 0.01, 0.1, 0.0]), "ae": np.array([0.02, 0.002, 0.002, 0.002])}
    (axes,) = error_spread(errors).axes
    for row, (of, stairs) in enumerate(zip(errors.values(), axes.patches, strict=True)):
        heights, edges, baseline = stairs.get_data()
        counts = np.round((baseline - heights) / (baseline - heights).max() * (2 if row == 0 else 3)).astype(int)
        assert counts.sum() == 4
        largest = edges[np.flatnonzero(counts).max() + 1]
        assert of.max() <= largest <= 1.2 * of.max()
    means = [line.get_segments()[0][0, 0] for line in axes.collections]
    assert means == pytest.approx([0.03, 0.0065])


def test_the_cells_are_means_by_class_in_thousandths():
    errors = {"pca": np.array([0.01, 0.03, 0.1]), "ae": np.array([0.002, 0.004, 0.01])}
    figure = error_spread(errors, np.array([4, 4, 7]), [f"class {i}" for i in range(8)])
    assert _cells(figure) == ["20.0", "100", "3.00", "10.0"]
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["class 4", "class 7"]
    assert figure.axes[1].get_title(loc="left") == "Mean by class, × 1000"


def test_of_many_classes_those_of_the_largest_error_are_shown():
    labels = np.repeat(np.arange(20), 2)
    figure = error_spread({"ae": (labels + 1) / 1000})
    assert len(figure.axes) == 1
    figure = error_spread({"ae": (labels + 1) / 1000}, labels)
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == [str(i) for i in range(8, 20)]
    assert _cells(figure)[-1] == "20.0"
    assert "(the 12 of 20 with the largest error)" in figure.axes[1].get_title(loc="left")


@pytest.mark.parametrize(
    "errors", [np.zeros(4), np.ones(4), np.array([0, 1e-9, 1e-3, 1.0])], ids=["0", "equal", "wide"]
)
@pytest.mark.parametrize("classes", [1, 4, 40])
@pytest.mark.parametrize("models", [1, 12])
def test_text_is_legible(long_names, assert_legible, errors, classes, models):
    labels = np.arange(40) % classes
    assert_legible(error_spread(dict.fromkeys(long_names[:models], np.tile(errors, 10)), labels, 4 * long_names))
    assert_legible(error_spread(dict.fromkeys(long_names[:models], RANDOM.lognormal(-3, 0.5, 400))))
