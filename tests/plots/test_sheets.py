import numpy as np
import pytest
from matplotlib.figure import Figure

from autoencoders.plots.sheets import MAX_IMAGES, pairs, retrieved, sheet, strangest, transition

SHAPES = [(1, 9, 9), (3, 64, 64), (3, 7, 21), (1, 30, 8)]


def drawn_images(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in figure.axes[0].get_images()]


def texts(figure: Figure, drawn) -> list[str]:
    return [text for text, _ in drawn(figure)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 3, 64])
def test_a_sheet_shows_every_image_in_order(images, assert_legible, shape, count):
    x = images(count, shape)
    figure = sheet(x, "Samples of a model with a rather long name, seed 0", count)
    [picture] = drawn_images(figure)
    across = int(np.ceil(np.sqrt(count)))
    gap = max(1, round(0.04 * shape[2]))
    for i in (0, count - 1):
        top, left = (i // across) * (shape[1] + gap), (i % across) * (shape[2] + gap)
        tile = picture[top : top + shape[1], left : left + shape[2]]
        expected = x[i, 0] if shape[0] == 1 else x[i].transpose(1, 2, 0)
        np.testing.assert_allclose(tile, expected, atol=1e-6)
    assert_legible(figure)


def test_a_sheet_says_what_it_leaves_out(images, drawn):
    assert f"the first {MAX_IMAGES} of 1,234 images" in texts(sheet(images(MAX_IMAGES + 20), "t", 1234), drawn)
    assert not any("first" in text for text in texts(sheet(images(MAX_IMAGES), "t", MAX_IMAGES), drawn))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("count", "rows"), [(1, 2), (10, 2), (23, 6)])
def test_reconstructions_stand_below_their_originals(images, drawn, assert_legible, shape, count, rows):
    x, y = images(count, shape), images(count, shape, seed=1)
    figure = pairs(x, y, "vae", count)
    pictures = drawn_images(figure)
    assert len(pictures) == rows
    for row, expected in ((0, x), (1, y)):
        tile = pictures[row][: shape[1], : shape[2]]
        np.testing.assert_allclose(tile, expected[0, 0] if shape[0] == 1 else expected[0].transpose(1, 2, 0), atol=1e-6)
    assert texts(figure, drawn).count("original") == rows // 2
    assert_legible(figure)


def test_pairs_say_what_they_leave_out_and_must_match(images, drawn):
    x = images(MAX_IMAGES + 20)
    figure = pairs(x, x, "vae", 5000)
    assert len(drawn_images(figure)) == 2 * MAX_IMAGES / 10
    assert f"the first {MAX_IMAGES} of 5,000 images" in texts(figure, drawn)
    with pytest.raises(ValueError, match="do not match originals"):
        pairs(x, x[:3], "vae", 5000)


@pytest.mark.parametrize("steps", [2, 11, 40])
def test_a_transition_begins_and_ends_with_the_files(images, drawn, assert_legible, steps):
    ends, line = images(2), images(steps, seed=1)
    figure = transition(ends, line, ("a-photograph-with-quite-a-long-name.png", "b.png"), "vae")
    blend, shown = drawn_images(figure)
    np.testing.assert_allclose(blend[:9, :9], ends[0, 0], atol=1e-6)
    np.testing.assert_allclose(blend[:9, -9:], ends[1, 0], atol=1e-6)
    np.testing.assert_allclose(shown[:9, :9], line[0, 0], atol=1e-6)
    assert {"0", "1", "vae"} <= set(texts(figure, drawn))
    assert_legible(figure)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("queries", "count"), [(1, 1), (3, 5)])
def test_neighbours_stand_beside_their_image(images, drawn, assert_legible, shape, queries, count):
    x = images(queries, shape)
    found = images(queries * count, shape, seed=1).reshape(queries, count, *shape)
    distances = np.arange(queries * count).reshape(queries, count) / 3
    for classes in ([], ["T-shirt/top and more"] * (queries * count)):
        figure = retrieved(x, found, distances, classes, "vae")
        assert len(drawn_images(figure)) == queries * (count + 1)
        captions = [text.split("\n") for text in texts(figure, drawn)]
        assert [lines[-1] for lines in captions if lines[-1][0].isdigit()] == [f"{far:.2f}" for far in distances.flat]
        assert sum(lines[0] == "T-shirt/top and…" for lines in captions) == len(classes)
        assert_legible(figure)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 10])
def test_errors_stand_below_the_strangest_images_and_have_one_scale(images, drawn, assert_legible, shape, count):
    x, y = images(count, shape), images(count, shape, seed=1)
    captions = [(f"a-long-name-{i}.png", f"MSE 0.0{i}111*") for i in range(count)]
    figure = strangest(x, y, captions, "vae", 0.02)
    pictures = drawn_images(figure)
    assert len(pictures) == 3 * count
    errors = ((x - y) ** 2).mean(1)
    brightness = np.stack([picture.sum(-1) for picture in pictures[2 * count :]])
    np.testing.assert_array_equal(np.argsort(brightness.ravel())[-1], np.argmax(errors))
    shown = texts(figure, drawn)
    assert {"original", "reconstruction", "error", "a-long-name…\nMSE 0.00111*"} <= set(shown)
    assert any(f"to {errors.max():.2g} (brightest)" in text for text in shown)
    assert_legible(figure)
