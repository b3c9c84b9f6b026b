import numpy as np
import pytest

from autoencoders.ladder.one_image.figure import draw
from autoencoders.ladder.one_image.measure import Stored, figure_arrays, story_facts

STEPS = [10, 32, 100, 316, 1000]


def network(weights, end, shape, steps=STEPS):
    mse = np.geomspace(0.1, end, steps[-1] + 1)
    images = {step: np.full(shape, 0.5, dtype=np.float32) for step in steps}
    return Stored(weights, mse, -10 * np.log10(mse[-1]), images)


def figure(shape=(1, 28, 28), sizes=(500, 2000, 9000, 24000), steps=STEPS):
    shapes = {"test-image": shape, "flower": (3, 64, 64)}
    targets = {key: np.zeros(shape, dtype=np.uint8) for key, shape in shapes.items()}
    stored = {
        key: [network(size, 1e-3 / (i + 1) ** 3, shape, steps) for i, size in enumerate(sizes)]
        for key, shape in shapes.items()
    }
    return draw(story_facts(targets, stored), figure_arrays(targets, stored))


def test_curves_are_those_of_the_largest_network_and_dots_those_of_all():
    learning, sizes, *_ = figure().axes
    ends = [line.get_ydata()[-1] for line in learning.lines[:2]]
    assert ends == pytest.approx([-10 * np.log10(1e-3 / 64)] * 2)
    np.testing.assert_array_equal(learning.lines[0].get_xdata(), np.arange(1, 1001))
    np.testing.assert_array_equal(sizes.lines[0].get_xdata(), [500, 2000, 9000, 24000])
    assert sizes.lines[0].get_marker() != sizes.lines[2].get_marker()


def test_the_errors_axis_agrees_with_decibels(drawn):
    shown = figure()
    learning = shown.axes[0]
    [error] = [child for child in learning.child_axes if child.get_ylabel() == "MSE per pixel"]
    learning.set_ylim(20, 40)
    drawn(shown)
    for decibels, mse in ((20, 0.01), (30, 0.001), (40, 0.0001)):
        height = error.transData.transform((0, mse))[1]
        assert height == pytest.approx(learning.transData.transform((1, decibels))[1])


def test_each_picture_says_how_it_was_made(drawn):
    texts = [text for text, _ in drawn(figure())]
    assert {"original", "10 steps", "1,000 steps", "500 weights", "48.1 dB", "first test image"} <= set(texts)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 20, 60), (3, 60, 20)])
def test_text_is_legible(shape, assert_legible):
    assert_legible(figure(shape))


@pytest.mark.parametrize(("sizes", "steps"), [((500,), STEPS), ((500, 900), [10]), (range(500, 1300, 100), STEPS)])
def test_text_is_legible_with_few_networks_and_many(sizes, steps, assert_legible):
    assert_legible(figure(sizes=sizes, steps=steps))
