import numpy as np
import pytest

from autoencoders.ladder.auto_decoder.figure import draw
from autoencoders.ladder.auto_decoder.measure import Vectors, figure_arrays, story_facts


def vectors(end, likeness, shape, count, epochs):
    random = np.random.default_rng(0)
    images = random.random((count, *shape)).astype(np.float32)
    curve = np.geomspace(0.1, end, epochs)
    return Vectors(end, -10 * np.log10(end), curve, images, np.roll(np.arange(count), 1), likeness)


def figure(shape=(1, 28, 28), count=20, epochs=50, ends=(0.02, 0.004)):
    originals = np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)
    by = {
        "random": vectors(ends[0], 0.99, shape, count, epochs),
        "learned": vectors(ends[1], 0.46, shape, count, epochs),
    }
    return draw(story_facts(count, by), figure_arrays(originals, by))


def test_curves_and_bars_are_the_numbers_passed():
    learning, likeness, *_ = figure().axes
    lines = [line for line in learning.lines if line.get_gid() != "leader"]
    assert [line.get_ydata()[-1] for line in lines] == pytest.approx([0.02, 0.004])
    assert len({line.get_linestyle() for line in lines}) == 2
    assert [bar.get_width() for bar in likeness.patches] == [0.99, 0.46]
    assert len({bar.get_hatch() for bar in likeness.patches}) == 2


def test_rows_are_originals_drawings_and_neighbours(drawn):
    boxes = dict(drawn(figure()))
    order = ["originals", "MSE 0.0200", "MSE 0.00400", "of the random vectors", "of the learned vectors"]
    heights = [boxes[name].y0 for name in order]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 10, 50), (3, 50, 10)])
@pytest.mark.parametrize(("count", "epochs"), [(20, 50), (2, 1)])
def test_text_is_legible(shape, count, epochs, assert_legible):
    assert_legible(figure(shape, count, epochs))


def test_text_is_legible_where_both_end_alike(assert_legible):
    assert_legible(figure(ends=(0.01, 0.01)))
