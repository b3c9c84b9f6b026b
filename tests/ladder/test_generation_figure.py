import numpy as np
import pytest

from autoencoders.ladder.generation.figure import panels_and_codes


def spread(dimensions: int, width: float) -> np.ndarray:
    mean = np.linspace(-1, 1, dimensions)
    return np.stack([mean, mean - width, mean + width])


def test_panels_show_their_images_and_codes_their_ranges(images, drawn):
    panels = [(name, f"distance {i}", images(9, seed=i)) for i, name in enumerate(("real", "ae", "vae"))]
    figure = panels_and_codes(panels, {"ae": spread(3, 5.0), "vae": spread(3, 1.6)})
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == ["real", "ae", "vae"]
    picture = np.asarray(figure.axes[2].images[0].get_array())
    np.testing.assert_array_equal(picture[10:19, 20:29], panels[2][2][5, 0])
    ae, vae = figure.axes[3:]
    assert ae.get_ylim() == vae.get_ylim()
    segments = ae.collections[0].get_segments()
    np.testing.assert_allclose([segment[:, 1] for segment in segments], [[-6, 4], [-5, 5], [-4, 6]])
    boxes = dict(drawn(figure))
    assert boxes["distance 0"].y1 < boxes["real"].y1
    assert "middle 90 % of N(0, 1)" in boxes


@pytest.mark.parametrize(("shape", "dimensions"), [((1, 28, 28), 16), ((3, 21, 7), 1), ((3, 64, 64), 64)])
def test_text_is_legible(images, assert_legible, long_names, shape, dimensions):
    panels = [(name, "Fréchet distance 12,345", images(16, shape)) for name in long_names[:4]]
    assert_legible(panels_and_codes(panels, {name: spread(dimensions, 2.0) for name in long_names[:2]}))
