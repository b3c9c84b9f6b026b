"""Names of the user's in every figure: formulas, scripts that the figures' font lacks, codes that are no letters."""

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from autoencoders import plots
from autoencoders.data.card import CardNumbers, DataCard
from autoencoders.data.prepared import DatasetInfo
from autoencoders.ladder.generation import figure as generation
from autoencoders.ladder.linear import figure as linear
from autoencoders.plots import names as module
from autoencoders.plots.comparison import comparison
from autoencoders.plots.curves import loss_curves
from autoencoders.plots.data_card import data_card
from autoencoders.plots.error_spread import error_spread
from autoencoders.plots.kl import kl_per_dimension
from autoencoders.plots.latent_plane import prediction
from autoencoders.plots.model_images import interpolations, prior_samples, reconstructions
from autoencoders.plots.names import drawn as drawn_name
from autoencoders.plots.sheets import pairs, retrieved, sheet, strangest, transition
from autoencoders.plots.style import look, save

RANDOM = np.random.default_rng(0)
FORMULAS = ["x$\\q$y", "$", "$$", "a_b^{c$d$", "\\$5", "${HOME}", "%s \\frac"]
FOREIGN = ["犬", "猫.png", "日本語", "한국어", "ไทย", "हिन्दी", "🐈"]
CODES = ["a\nb", "\x1b[2J", "\udc80", "\u202egnp.exe", "tab\tbed", "a\0b", ""]
IN_DEJAVU = ["עברית", "العربية", "Ελλάδα", "Привет", "Tiếng Việt", "naïve"]


def images(count: int = 4) -> np.ndarray:
    return RANDOM.random((count, 1, 8, 8)).astype(np.float32)


def a_data_card(names: list[str]) -> Figure:
    info = DatasetInfo("folder", (1, 8, 8), {"train": 8, "val": 1, "test": 1}, names, "0" * 64, names[0])
    numbers = CardNumbers(
        name=info.title, shape=info.shape, counts=info.counts, content_hash=info.content_hash,
        class_counts={split: dict.fromkeys(names, 1) for split in info.counts},
        pixel_mean=[0.5], pixel_std=[0.1], in_no_subfolder=names[-1],
    )  # fmt: skip
    rows = [(255 * images(3)).astype(np.uint8) for _ in names]
    return data_card(DataCard(info, numbers, np.zeros((1, 8, 8)), rows))


def a_comparison(names: list[str]) -> Figure:
    names = [name for name in names if name.isascii() or name.isprintable()]  # as pandas has them
    columns = ["latent", "test/mse", "pca/mse", "frechet/prior", "frechet/gaussian", "frechet/mixture"]
    return comparison(pd.DataFrame(np.full((len(names), 6), 2.0), columns=columns, index=names))


def loss_curves_of(names: list[str]) -> Figure:
    history = pd.DataFrame({"step": [0, 2], "train/recon": [3.0, 2.0], "val/recon": [3.0, 2.0]})
    return loss_curves(dict.fromkeys(names, history), dict.fromkeys(names, "squared error per image"))


def a_plane(names: list[str]) -> Figure:
    return prediction(RANDOM.normal(size=(12 * len(names), 2)), np.repeat(np.arange(len(names)), 12), names)


def linear_figure(names: list[str]) -> Figure:
    facts = {
        "verdict": "same", "no_error": 1e-8, "fits": [{"latent": 1, "mse": 0.06}],
        "nonlinear": [{"name": name, "latent": 1, "mse": 0.01} for name in names],
    }  # fmt: skip
    components = {f"components/{name}": images(1) - 0.5 for name in ("pca", "linear", "turned")}
    return linear.draw(facts, {"pca": np.array([0.07, 0.06]), "angles/1": np.array([0.02]), **components})


def generation_figure(names: list[str]) -> Figure:
    measured = {"frechet_prior": 3.0, "frechet_mixture": 3.0}
    facts = {"frechet_floor": 0.5, "autoencoder": {"name": names[0], **measured}, "vae": {"name": names[1], **measured}}
    drawn = dict.fromkeys(("real", "autoencoder/prior", "vae/prior", "autoencoder/mixture"), images(4))
    codes = dict.fromkeys(("autoencoder/codes", "vae/codes"), np.array([[0.0, 0.0], [-1.0, -1.0], [1.0, 1.0]]))
    return generation.draw(facts, drawn | codes)


def errors_of_classes(names: list[str]) -> Figure:
    labels = np.repeat(np.arange(len(names)), 2)
    return error_spread(dict.fromkeys(names, RANDOM.random(len(labels))), labels, names)


def found_neighbours(names: list[str]) -> Figure:
    count = len(names)
    found = RANDOM.random((1, count, 1, 8, 8))
    return retrieved(images(1), found, np.ones((1, count)), names, names[0], list(range(count)))


FIGURES: dict[Callable[..., Figure], Callable[[list[str]], Figure]] = {
    comparison: a_comparison,
    generation.draw: generation_figure,
    linear.draw: linear_figure,
    data_card: a_data_card,
    error_spread: errors_of_classes,
    interpolations: lambda names: interpolations(dict.fromkeys(names, images(5)), images(2)),
    kl_per_dimension: lambda names: kl_per_dimension(*(dict.fromkeys(names, np.array([3.0, 0.1])) for _ in range(2))),
    loss_curves: loss_curves_of,
    pairs: lambda names: pairs(images(), images(), names[0], 4),
    prediction: a_plane,
    prior_samples: lambda names: prior_samples(dict.fromkeys(names, images()), dict.fromkeys(names, 3.0)),
    reconstructions: lambda names: reconstructions(images(), dict.fromkeys(names, images()), dict.fromkeys(names, 0.1)),
    retrieved: found_neighbours,
    sheet: lambda names: sheet(images(), f"Samples of {names[0]}", 4),
    strangest: lambda names: strangest(
        images(len(names)), images(len(names)), [(name, "0.1") for name in names], names[0], 0.1
    ),
    transition: lambda names: transition(images(2), images(5), (names[0], names[-1]), names[0]),
}
WITHOUT_NAMES = {"learned_distribution"}


@pytest.fixture(autouse=True)
def _as_on_a_machine_with_few_fonts(monkeypatch) -> Iterator[None]:
    """Begin every test with no fonts found and no warnings given, whichever fonts this machine has."""
    monkeypatch.setattr(module, "families", [module.FONT])
    monkeypatch.setattr("autoencoders.plots.style.families", module.families)
    monkeypatch.setattr(module, "_undrawn", {})
    monkeypatch.setattr(module, "_warned", set())
    monkeypatch.setattr(module, "_add_new_fonts", lambda: None)
    own = matplotlib.get_data_path()
    fonts = [entry for entry in font_manager.fontManager.ttflist if str(entry.fname).startswith(own)]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    yield


def test_every_figure_is_either_drawn_here_or_has_no_names():
    found = set()
    for info in pkgutil.iter_modules(plots.__path__, f"{plots.__name__}."):
        for value in vars(importlib.import_module(info.name)).values():
            if hasattr(value, "__wrapped__") and value.__module__ == info.name and not hasattr(value, "cache_clear"):
                found.add(value.__name__)
    assert (
        found == {figure.__name__ for figure in FIGURES} - {"draw"} | WITHOUT_NAMES
    )  # a rung's figure is called `draw`


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure.__module__}.{figure.__name__}")
@pytest.mark.parametrize("names", [FORMULAS, FOREIGN, CODES], ids=["formulas", "foreign", "codes"])
def test_any_name_is_drawn_without_a_warning_or_an_error(tmp_path, figure, names):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(FIGURES[figure](names), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure.__module__}.{figure.__name__}")
def test_dollars_are_drawn_as_dollars(figure, drawn):
    texts = " ".join(text for text, _ in drawn(FIGURES[figure](["x$\\q$y", "plain"])))
    assert "x$\\q$y" in texts


def test_classes_whose_names_no_font_has_get_numbers_with_one_warning(tmp_path, capsys, drawn):
    for build in (a_plane, a_data_card, found_neighbours):
        figure = build(["犬", "cat", "猫"])
        texts = {text for text, _ in drawn(figure)}
        assert texts & {"0", "0\n1.00"} and texts & {"2", "2\n1.00"}
        assert not any("犬" in text for text in texts)
        save(figure, tmp_path / "figure.png")
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        "figures: no font here has the letters of 犬 (drawn as 0), 猫 (drawn as 2). Install one that has them, such as "
        "Noto's, and draw the figures again.\n",
    )


def test_other_names_keep_the_letters_that_can_be_drawn(capsys):
    assert [drawn_name(name) for name in ("猫.png", "a日b", "犬")] == ["□.png", "a□b", "□"]
    module.warn_undrawn()
    assert "猫.png (drawn as □.png), a日b (drawn as a□b), 犬 (drawn as □)" in capsys.readouterr().err


def test_many_names_are_one_line(capsys):
    for i in range(100):
        drawn_name(f"猫{i}", instead=str(i))
    module.warn_undrawn()
    module.warn_undrawn()
    [line] = capsys.readouterr().err.splitlines()
    assert "猫4 (drawn as 4) and 95 more names." in line


@pytest.mark.parametrize("name", IN_DEJAVU)
def test_names_in_letters_of_the_figures_font_stay(name, capsys):
    assert drawn_name(name) == name
    assert module.families == [module.FONT]
    module.warn_undrawn()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\nb", "a b"),
        ("\x1b[2J", "\ufffd[2J"),
        ("\udc80", "\ufffd"),
        ("\u202egnp.exe", "gnp.exe"),
        ("é\ufe0f", "é"),
        ("x" * 30, "x" * 23 + "…"),
    ],
)
def test_codes_that_are_no_letters_are_taken_out(name, expected):
    assert drawn_name(name) == expected


def test_a_font_of_the_system_is_taken_where_it_has_the_letters(tmp_path, monkeypatch, drawn, capsys):
    """STIX, which matplotlib brings along, plays the system's font for 𝔘, which DejaVu lacks."""
    letter = next(chr(code) for code in sorted(module._letters("STIXGeneral", "normal")) if not only_in_stix(code))
    monkeypatch.setattr(module, "_UNSUITABLE", ("cm", "STIXNon", "STIXSize", "Last Resort"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = a_plane([f"{letter}!", "plain"])
        save(figure, tmp_path / "figure.png")
    assert module.families[0] == "DejaVu Sans" and len(module.families) == 2
    assert f"{letter}!" in " ".join(text for text, _ in drawn(figure))
    assert capsys.readouterr().err == ""
    with look():
        assert matplotlib.rcParams["font.family"] == module.families


def only_in_stix(code: int) -> bool:
    """Tell whether DejaVu has a letter, or STIX has it in one weight alone."""
    has_bold = code in module._letters("STIXGeneral", "bold")
    return code in module._letters(module.FONT, "normal") or not has_bold or not chr(code).isalpha()


def test_a_font_with_more_families_draws_the_same(tmp_path, monkeypatch):
    """Letters that the first font has come from there, byte for byte."""
    save(pairs(np.zeros((2, 1, 8, 8)), np.zeros((2, 1, 8, 8)), "plain", 2), tmp_path / "one.png")
    module.families.append("STIXGeneral")
    save(pairs(np.zeros((2, 1, 8, 8)), np.zeros((2, 1, 8, 8)), "plain", 2), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_fonts_installed_since_matplotlib_made_its_list_are_found(monkeypatch):
    monkeypatch.undo()
    path = Path(matplotlib.get_data_path()) / "fonts/ttf/STIXGeneral.ttf"
    added: list[str] = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path), "/nowhere/new.ttf"])
    monkeypatch.setattr(font_manager.fontManager, "addfont", lambda name: added.append(str(name)))
    module._add_new_fonts.cache_clear()
    module._add_new_fonts()
    assert added == ["/nowhere/new.ttf"]
