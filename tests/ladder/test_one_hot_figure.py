import numpy as np
import pytest

from autoencoders.ladder.one_hot.figure import draw
from autoencoders.ladder.one_hot.measure import Capacity, figure_arrays, story_facts


def figure(shape=(1, 28, 28), counts=(4, 16, 64, 256), weights=15_000):
    random = np.random.default_rng(0)
    stored = {
        count: Capacity(
            weights, 1e-4 * count, -10 * np.log10(1e-4 * count), np.geomspace(0.1, 1e-4 * count, 600),
            random.random((count, *shape)).astype(np.float32),
        )
        for count in counts
    }  # fmt: skip
    images = random.integers(0, 256, (max(counts), *shape), dtype=np.uint8)
    return draw(story_facts(images[0].nbytes, stored), figure_arrays(images, stored))


def test_the_capacity_curve_and_the_place_where_bytes_are_equal():
    capacity = figure().axes[0]
    np.testing.assert_allclose(
        capacity.lines[0].get_xydata(), [[n, -10 * np.log10(1e-4 * n)] for n in (4, 16, 64, 256)]
    )
    assert capacity.lines[1].get_xdata()[0] == pytest.approx(4 * 15_000 / 784)
    assert next(label.get_text() for label in capacity.get_xticklabels()) == "4\n3.1 kB"


def test_lines_differ_by_more_than_colour():
    lines = [line for line in figure().axes[1].lines if line.get_gid() != "leader"]
    assert len({line.get_linestyle() for line in lines}) == len(lines) == 4


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 10, 50), (3, 50, 10)])
@pytest.mark.parametrize("counts", [(4, 16, 64, 256), (1,), (2, 3), (4, 16, 64, 256, 300, 1024)])
def test_text_is_legible(shape, counts, assert_legible):
    assert_legible(figure(shape, counts))


@pytest.mark.parametrize("weights", [700, 50_000_000])
def test_text_is_legible_wherever_the_bytes_are_equal(weights, assert_legible):
    assert_legible(figure(weights=weights))
