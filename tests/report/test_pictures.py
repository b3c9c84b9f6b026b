import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from autoencoders.errors import UserError
from autoencoders.report.pictures import Picture, figures_of, picture, pictures, shared_figures


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
    shared, own = shared_figures(tmp_path, models), figures_of("vae", models["vae"], tmp_path)
    assert [made.caption.split()[0] for made in shared] == ["Reconstruction", "Test", "Images", "zebra"]
    assert [made.caption for made in own] == [
        "The test set in the latent plane of vae (VAE, 16-dimensional), its first two principal components.",
        "What vae (VAE, 16-dimensional) draws across the latent plane: a grid over the quantiles of N(0, 1).",
    ]
    assert pictures(tmp_path, models) == [*shared, *own]
    assert all(made.alt for made in pictures(tmp_path, models))
    assert [made.is_chart for made in own] == [True, False]


def test_the_grid_of_a_model_without_a_prior_is_said_to_be_of_its_own_codes(tmp_path):
    saved(tmp_path / "learned_distribution--ae.png", np.zeros((4, 4, 3)))
    [made] = figures_of("ae", SimpleNamespace(kind="autoencoder", latent=2), tmp_path)
    assert made.caption == (
        "What ae (AE, 2-dimensional) draws across the latent plane: a grid over the quantiles of its own codes, since "
        "nothing in its training forms them."
    )


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"holds no figures\. Run the `plots` stage"):
        pictures(tmp_path, {})
