from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from autoencoders.plots.model_images import prior_samples
from autoencoders.plots.names import shortened
from autoencoders.plots.style import PALETTE, marked, panel_grid, pixels, save, styled, tiled

# Machado, Oliveira and Fernandes (2009), full deficiency, in linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])


def _lab(colours, vision):
    rgb = np.array([to_rgb(c) for c in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.asarray(vision).T, 0, 1) @ XYZ.T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("vision", VISION)
def test_palette_colours_differ_for_every_vision(vision):
    lab = _lab(PALETTE, VISION[vision])
    nearest = min(np.linalg.norm(a - b) for a, b in combinations(lab, 2))
    assert nearest > 10  # CIE76; 2.3 is just noticeable


def test_equal_figures_are_equal_bytes_without_date_or_version(images, tmp_path):
    written = []
    for name in ("a.png", "b.png"):
        save(prior_samples({"vae": images(4)}, {"vae": 1.0}), tmp_path / "new" / name)
        written.append((tmp_path / "new" / name).read_bytes())
    assert written[0] == written[1]
    for chunk in (b"tEXt", b"tIME", b"iTXt", b"zTXt", b"matplotlib", b"Matplotlib"):
        assert chunk not in written[0]


def test_the_users_settings_change_nothing_and_survive(images, tmp_path):
    save(prior_samples({"vae": images(4)}, {"vae": 1.0}), tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "red", "image.origin": "lower"}):
        save(prior_samples({"vae": images(4)}, {"vae": 1.0}), tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_styled_keeps_name_and_docstring():
    assert prior_samples.__name__ == "prior_samples"
    assert "N(0, I)" in prior_samples.__doc__
    assert styled(prior_samples).__wrapped__ is prior_samples


def test_pixels_scale_bytes_and_clip_floats():
    np.testing.assert_array_equal(pixels(np.full((1, 1, 2, 2), 255, np.uint8)), np.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(pixels(np.array([[[[-0.5, 0.25, 1.5]]]])), [[[[0], [0.25], [1]]]])
    for shape in [(2, 28, 28), (2, 4, 28, 28)]:
        with pytest.raises(ValueError, match="expected images"):
            pixels(np.zeros(shape))


def test_tiled_reads_row_by_row_with_white_gutters():
    picture = tiled(np.arange(3).reshape(3, 1, 1, 1) / 4, columns=2, gap=1)
    np.testing.assert_array_equal(picture[..., 0], [[0, 1, 0.25], [1, 1, 1], [0.5, 1, 1]])


def test_small_helpers():
    assert shortened("a" * 24) == "a" * 24
    assert shortened("a" * 25) == "a" * 23 + "…"
    assert list(marked(5, 16)) == [0, 1, 2, 3, 4]
    assert list(marked(50, 15)) == list(range(0, 50, 7))
    assert (marked(32, 16)[0], marked(32, 16)[-1], len(marked(32, 16))) == (0, 31, 16)
    assert [panel_grid(n, 4) for n in (1, 2, 4, 5, 12)] == [(1, 1), (1, 2), (1, 4), (2, 3), (3, 4)]


def test_of_the_class_colours_one_alone_is_grey():
    chroma = np.hypot(*_lab(PALETTE[:10], np.eye(3))[:, 1:].T)
    assert (chroma < 12).sum() == 1
