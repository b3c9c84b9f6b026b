import numpy as np
from matplotlib.figure import Figure

from autoencoders.plots.image_rows import image_table, padded
from autoencoders.plots.style import new_figure, styled


@styled
def drawn_table(rows: list, heads: list[str]) -> Figure:
    figure = new_figure(6, 3, "title")
    image_table(figure.subplots(), rows, heads)
    return figure


def test_rows_stand_below_each_other_with_their_names_level(images, drawn):
    rows = [("first", "a detail", images(4, seed=1)), ("second", "", images(4, seed=2))]
    figure = drawn_table(rows, ["1", "2", "3", "4"])
    (axes,) = figure.axes
    picture = np.asarray(axes.images[0].get_array())
    assert picture.shape == (2 * 9 + 1, 4 * 9 + 3)
    np.testing.assert_array_equal(picture[10:, 20:29], rows[1][2][2, 0])
    boxes = dict(drawn(figure))
    assert boxes["first"].y0 > boxes["a detail"].y0 > boxes["second"].y1
    assert boxes["1"].x1 < boxes["2"].x0
    assert boxes["1"].y0 > boxes["first"].y0


def test_bytes_and_floats_stand_together_on_one_scale(images):
    bytes_ = (255 * images(2, seed=1)).astype(np.uint8)
    picture = np.asarray(
        drawn_table([("bytes", "", bytes_), ("floats", "", images(2))], []).axes[0].images[0].get_array()
    )
    np.testing.assert_allclose(picture[:9, :9], bytes_[0, 0] / 255)
    np.testing.assert_allclose(picture[10:, :9], images(2)[0, 0])


def test_text_is_legible(images, assert_legible, long_names):
    rows = [(name, "k = 16", images(8, (3, 21, 9))) for name in long_names[:3]]
    assert_legible(drawn_table(rows, [str(i) for i in range(8)]))


def test_images_that_are_missing_stay_white():
    x = np.zeros((2, 1, 3, 3))
    np.testing.assert_array_equal(padded(x, 4)[2:], 1)
    np.testing.assert_array_equal(padded(x, 1), x[:1])
