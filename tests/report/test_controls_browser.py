"""The page's controls in Chromium, its first screen and its length, and axe-core's judgement of its accessibility."""

import base64
import csv
import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browsing import model_of, opened, settle
from page_parts import TILES, explorable
from PIL import Image

from autoencoders.data.prepared import Split
from autoencoders.ladder.stories import Story
from autoencoders.report.comparison import comparison
from autoencoders.report.examples import Example, Examples, Extremes, Strip
from autoencoders.report.page import RungSection, render
from autoencoders.report.pictures import Picture
from autoencoders.report.planes import legend, plane
from autoencoders.report.provenance import run_duration
from autoencoders.report.sliders import sliders
from autoencoders.report.thumbnails import tiles

AXE = "axe-core@4.14.1"
CACHE = Path(__file__).parents[2] / ".cache" / "axe-core"
NAMES = ["pca", "ae", "vae", "ae-2d", "vae-2d"]
WIDE = {"width": 1440, "height": 900}


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from npm's registry the first time."""
    file = CACHE / f"{AXE}.js"
    if not file.exists():
        if not shutil.which("npm"):
            pytest.skip("axe-core judges the page's accessibility, and comes by npm: `apt-get install npm`")
        CACHE.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", AXE], cwd=CACHE, capture_output=True, text=True, timeout=120, check=False
        )
        if packed.returncode:
            pytest.skip(f"`npm pack {AXE}` failed: {packed.stderr.strip()[-200:]}")
        archive = CACHE / packed.stdout.split()[-1]
        shutil.unpack_archive(archive, CACHE)
        (CACHE / "package" / "axe.min.js").rename(file)
        shutil.rmtree(CACHE / "package")
        archive.unlink()
    return file.read_text(encoding="utf-8")


def figure(width: int, height: int, caption: str = "A caption of some length, as figures have.") -> Picture:
    file = io.BytesIO()
    Image.new("L", (width, height), "white").save(file, "PNG")
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return Picture("chart", source, width, height, "a figure", caption, is_chart=width > 1000)


@pytest.fixture
def full_page(make_page, tmp_path) -> Path:
    """A page of as many models, rungs and figures, of the same sizes, as the default parameters make on MNIST."""
    random = np.random.default_rng(0)
    labels, classes = np.arange(60) % 10, [str(i) for i in range(10)]
    codes = random.normal(0, 2, (60, 16)).astype(np.float32)
    planes = [plane(name, "VAE", model_of("mlp"), codes[:, :2], labels, classes) for name in NAMES[3:]]
    test = Split(np.zeros((60, 1, 28, 28), np.uint8), labels)
    deep = sliders("vae", model_of("mlp", 16), codes, test, np.arange(10), dict(enumerate(classes)))
    kinds = ["pca", "autoencoder", "vae", "autoencoder", "vae"]
    columns = ["mse_over_pca", "mse", "ssim", "neg_elbo", "nll", "kl", "knn5", "frechet/prior", "frechet/mixture"]
    measured = pd.DataFrame(
        {
            "kind": kinds,
            "latent": [16, 16, 16, 2, 2],
            **{key: [0.0312, 0.0134, 0.02, 100.5, None] for key in columns},
            "frechet/floor": 0.5,
        },
        index=NAMES,
    )
    strip = tiles(np.zeros((10, 1, 28, 28)))
    example = Example(1234, "7", "7.12", tiles(np.zeros((3, 1, 28, 28)), "column"))
    paragraph = "A sentence that a paragraph of a story is made of. " * 8
    story = Story("", "A title, as rungs have", "A claim of a dozen words, as each rung makes one, or more.",
                  "A result with its numbers.", [paragraph] * 3, "a figure")  # fmt: skip
    rungs = [RungSection(f"rung{i}", story, ["mse"], {"a": ["0.1"]}, {}, figure(1020, 700, "")) for i in range(6)]
    shared = [
        figure(*size)
        for size in ((1020, 396), (1059, 378), (890, 532), (900, 345), (982, 565), (1524, 405), (703, 328))
    ]
    page = make_page(
        lead=["A sentence about the models and what they learned from, about as long as two lines. " * 2] * 2,
        table=comparison(measured),
        runs={name: f"http://127.0.0.1:5000/#/runs/{name}" for name in NAMES},
        reconstructions=[Strip(name, name, strip) for name in ["original", *NAMES]],
        draws=[Strip(name, name, strip) for name in NAMES[1:]],
        examples=Examples([Extremes(name, [example] * 10, [example] * 10) for name in NAMES], 1.0, ["#000", "#ff0"]),
        explorable=explorable(planes, labels, classes, deep),
        legend=legend(labels, classes),
        rungs=rungs,
        figures=shared,
        figures_by_model={name: [figure(730, 674), figure(808, 810)] for name in NAMES},
        card=figure(966, 499),
        durations=[("Trainings", [run_duration(name, 12.0, "cpu", {}) for name in [*NAMES, *NAMES]])],
        parameters="models: {}\n" * 80,
    )
    path = tmp_path / "index.html"
    path.write_text(render(page), encoding="utf-8")
    return path


def test_the_first_screen_has_table_reconstructions_and_draws_and_the_page_has_few(browser, full_page):
    with opened(browser, full_page, viewport=WIDE) as tab:
        settle(tab)
        for part in ("table", "[aria-labelledby=strip-test]", "[aria-labelledby=strip-draws]"):
            shown = tab.locator(part).first.bounding_box()
            assert shown["y"] + shown["height"] <= 900, part
        table = tab.locator("#comparison .scroll").first
        assert table.evaluate("one => one.scrollWidth <= one.clientWidth"), "all columns are seen at once"
        assert tab.evaluate("document.documentElement.scrollHeight") <= 8 * 900


def test_figures_stand_on_one_grid_of_widths(browser, full_page):
    with opened(browser, full_page, viewport=WIDE) as tab:
        cards = tab.locator("#figures .card:visible, #made .card").all()
        widths = {round(card.bounding_box()["width"]) for card in cards}
        edges = {round(card.bounding_box()["x"]) for card in cards}
        assert len(cards) == 8
        assert len(widths) <= 3  # half of the page, all of it, and half beside a table
        assert len(edges) <= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_no_serious_fault(browser, full_page, axe, width, scheme):
    with opened(browser, full_page, viewport={"width": width, "height": 900}, color_scheme=scheme) as tab:
        tab.evaluate(axe)
        for is_open in ("false", "true"):
            tab.evaluate(f"document.querySelectorAll('details').forEach(one => {{ one.open = {is_open}; }})")
            settle(tab)
            found = tab.evaluate("axe.run()")
            serious = [fault for fault in found["violations"] if fault["impact"] in ("serious", "critical")]
            assert not serious, [(fault["id"], fault["nodes"][0]["html"]) for fault in serious]
            assert len(found["passes"]) > 20


def test_tabs_show_one_model_at_a_time_by_click_and_by_arrow_keys(browser, full_page):
    with opened(browser, full_page, viewport=WIDE) as tab:
        tabs = tab.locator("#explore [role=tab]")
        assert tabs.all_inner_texts() == NAMES
        shown = "() => [...document.querySelectorAll('#explore .panel')].map(panel => !panel.hidden)"
        assert tab.evaluate(shown) == [True, False, False, False, False]
        tabs.nth(2).click()
        assert tab.evaluate(shown) == [False, False, True, False, False]
        tab.keyboard.press("ArrowRight")
        assert tab.evaluate(shown) == [False, False, False, True, False]
        assert tab.evaluate("document.activeElement.textContent") == "ae-2d"
        assert tabs.nth(3).get_attribute("aria-selected") == "true"


def test_without_scripts_all_panels_are_seen(browser, full_page):
    with opened(browser, full_page, java_script_enabled=False) as tab:
        assert all(panel.is_visible() for panel in tab.locator(".panel, .panel-title").all())


def test_a_click_on_a_heading_sorts_the_table(browser, full_page):
    with opened(browser, full_page, viewport=WIDE) as tab:
        table = tab.locator("table").first
        column = (
            "() => [...document.querySelector('table').tBodies[0].rows].map(row => row.cells[3].textContent.trim())"
        )
        before = tab.evaluate(column)
        heading = table.locator("th", has_text="MSE").nth(1)
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
        assert tab.evaluate(column) == ["0.01340 (best)", "0.02000", "0.03120", "100.50000", "–"]
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == "descending"
        assert tab.evaluate(column) == ["100.50000", "0.03120", "0.02000", "0.01340 (best)", "–"]
        table.locator("th button", has_text="Model").click()
        assert heading.get_attribute("aria-sort") is None
        names = table.locator("tbody th a").all_inner_texts()
        assert names == sorted(NAMES)
        assert len(before) == 5


def test_a_table_is_downloaded_with_all_digits(browser, full_page, tmp_path):
    with opened(browser, full_page, viewport=WIDE, accept_downloads=True) as tab:
        with tab.expect_download() as waiting:
            tab.get_by_role("button", name="Download as CSV: comparison").click()
        assert waiting.value.suggested_filename == "comparison.csv"
        rows = list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))
    assert rows[0][:3] == ["Model", "Latent numbers", "MSE / PCA ↓"]
    assert [row[0] for row in rows[1:]] == ["pca PCA", "ae AE", "vae VAE", "ae-2d AE", "vae-2d VAE"]
    assert [row[3] for row in rows[1:]] == ["0.0312", "0.0134", "0.02", "100.5", "–"]


def test_a_figure_is_saved_as_png_as_large_as_it_was_drawn(browser, full_page):
    with opened(browser, full_page, viewport=WIDE, accept_downloads=True) as tab:
        tab.locator("#figures .card button").first.click()
        with tab.expect_download() as waiting:
            tab.get_by_role("button", name="Save as PNG").click()
        assert tab.locator("dialog").is_visible()
        assert waiting.value.suggested_filename == "chart.png"
        with Image.open(waiting.value.path()) as image:
            shown = tab.locator("dialog img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
            assert (image.format, list(image.size)) == ("PNG", shown)


@pytest.mark.parametrize("viewport", [WIDE, {"width": 390, "height": 844}])
def test_a_figure_fits_and_a_tap_enlarges_it(browser, full_page, viewport):
    with opened(browser, full_page, viewport=viewport, has_touch=True) as tab:
        card = tab.locator("#figures .card").first
        card.scroll_into_view_if_needed()
        small = card.locator("img").bounding_box()
        assert small["x"] >= 0
        assert small["x"] + small["width"] <= viewport["width"]
        card.locator("button").tap()
        dialog = tab.locator("dialog")
        assert dialog.is_visible()
        large = dialog.locator("img").bounding_box()
        assert large["width"] == pytest.approx(1.25 * 1020, abs=30)
        can_scroll = dialog.evaluate("one => one.scrollWidth > one.clientWidth")
        assert can_scroll == (viewport["width"] < 1000), "what does not fit can be scrolled to"
        tab.keyboard.press("Escape")
        assert not dialog.is_visible()
        card.locator("button").tap()
        dialog.get_by_role("button", name="Close").tap()
        assert not dialog.is_visible()


def test_a_link_to_a_rung_opens_it(browser, full_page):
    with opened(browser, full_page, viewport=WIDE) as tab:
        assert not tab.locator("#rung-rung3").evaluate("one => one.open")
        tab.evaluate("location.hash = '#rung-rung3'")
        settle(tab)
        assert tab.locator("#rung-rung3").evaluate("one => one.open")
        paragraph = tab.locator("#rung-rung3 > p").first
        assert paragraph.is_visible()
        assert paragraph.bounding_box()["width"] > 600, "an open rung has the whole width"
        tab.locator("#rung-rung3 > summary").click()
        assert not paragraph.is_visible()


def test_the_contents_stay_in_sight_and_say_where_one_is(browser, full_page):
    with opened(browser, full_page, viewport=WIDE) as tab:
        current = tab.locator(".contents [aria-current]")
        assert current.all_inner_texts() == ["The models compared"]
        tab.evaluate("document.getElementById('plane').scrollIntoView({behavior: 'instant'})")
        tab.wait_for_function(
            "() => document.querySelector('.contents [aria-current]').textContent === 'The latent plane'"
        )
        assert tab.locator(".contents").bounding_box()["y"] == 0
        assert tab.locator(".contents .up").is_visible()


def test_on_a_phone_a_button_leads_back_to_the_top(browser, full_page):
    with opened(browser, full_page, viewport={"width": 390, "height": 844}, reduced_motion="reduce") as tab:
        up = tab.locator(".float")
        assert not up.is_visible()
        tab.evaluate("scrollTo({top: 3000, behavior: 'instant'})")
        tab.wait_for_function("() => !document.querySelector('.float').hidden")
        up.click()
        tab.wait_for_function("() => scrollY < 50")


def test_in_print_every_panel_is_shown_with_its_name(browser, full_page):
    with opened(browser, full_page, viewport=WIDE) as tab:
        tab.emulate_media(media="print")
        assert all(panel.is_visible() for panel in tab.locator(".panel, .panel-title").all())
        assert not tab.locator("[role=tablist], .csv, nav").first.is_visible()


def test_tiles_keep_their_place_in_a_strip():
    assert (TILES.width, TILES.height) == (2 * (3 + 1), 3)
