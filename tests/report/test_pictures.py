import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from autoencoders.errors import UserError
from autoencoders.report.pictures import Picture, picture, pictures


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def shown(made: Picture) -> np.ndarray:
    data = made.source.partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert made.source.startswith(f"data:image/{str(image.format).lower()};base64,")
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("width", [60, 17_000])
def test_every_pixel_stays_as_it_was(tmp_path, width):
    pixels = np.random.default_rng(0).integers(0, 256, (4, width, 3))
    assert np.array_equal(shown(picture(saved(tmp_path / "a.png", pixels), "alt")), pixels)


def test_a_chart_keeps_its_colours_up_to_256_and_halves_where_it_has_more(tmp_path):
    few = np.zeros((20, 30, 3), int)
    few[:, 10:] = 63, 144, 218
    assert np.array_equal(shown(picture(saved(tmp_path / "loss.png", few), "alt")), few)
    dots, other = np.random.default_rng(0).random((2, 300, 400))
    many = (255 * np.stack([dots, (1 - dots) ** 2, 0.1 * other], axis=2)).astype(int)
    whole, chart = (picture(saved(tmp_path / f"{name}.png", many), "alt") for name in ("samples", "prediction--vae"))
    assert np.array_equal(shown(whole), many)
    drawn = shown(chart)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(drawn.astype(int) - many).mean() < 8
    assert len(chart.source) < len(whole.source) / 2


def test_a_figure_takes_less_room(tmp_path):
    chart = np.full((400, 600, 3), 255)
    chart[100:300, 50:500] = 63, 144, 218
    path = saved(tmp_path / "a.png", chart)
    assert len(picture(path, "alt").source) < path.stat().st_size


def test_what_is_transparent_is_white(tmp_path):
    made = picture(saved(tmp_path / "a.png", np.zeros((4, 4, 4))), "alt")
    assert (shown(made) == 255).all()


def test_a_figure_is_as_large_as_it_was_designed(tmp_path):
    """150 dots an inch on paper, 96 in a page."""
    made = picture(saved(tmp_path / "a.png", np.zeros((300, 750, 3))), "alt", "caption")
    assert (made.width, made.height, made.alt, made.caption) == (480, 192, "alt", "caption")


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_figure_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "loss.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"loss\.png is missing or damaged"):
        picture(path, "alt")


def test_figures_stand_in_the_order_of_the_story_and_are_described(tmp_path):
    of_models = ("samples", "prediction--vae", "zebra", "reconstructions", "comparison", "learned_distribution--vae")
    for name in (*of_models, "data_card"):
        saved(tmp_path / f"{name}.png", np.zeros((4, 4, 3)))
    models = {"vae": SimpleNamespace(kind="vae", latent=16)}
    found = pictures(tmp_path, models, leave_out=["comparison"])
    assert [made.caption.split()[0] for made in found] == ["Test", "Images", "The", "What", "zebra"]
    assert (
        found[2].caption
        == "The test set in the latent plane of vae (VAE, 16-dimensional), its first two principal components."
    )
    assert all(made.alt for made in found)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"holds no figures\. Run the `plots` stage"):
        pictures(tmp_path, {})
