"""What one looks into, in Chromium: the sliders of a VAE, the test image of the nearest dot, classes switched off."""

import re
from pathlib import Path

import numpy as np
import pytest
from browsing import coordinates, decoded, model_of, opened, settle
from page_parts import explorable

from autoencoders.data.prepared import Split
from autoencoders.report.page import render
from autoencoders.report.planes import legend, plane
from autoencoders.report.sliders import sliders

CLASSES = ["one", "two", "three"]
LABELS = np.arange(50) % 3
CODES = np.random.default_rng(0).normal(0, 2, (50, 2)).astype(np.float32)
IMAGES = np.repeat(np.arange(50, dtype=np.uint8) * 5, 240).reshape(50, 3, 8, 10)  # each of one colour


@pytest.fixture
def page_with_dots(make_page, tmp_path) -> Path:
    model = model_of("mlp-colour")
    shown = explorable([plane("ae", "AE", model, CODES, LABELS, CLASSES)], LABELS, CLASSES, images=IMAGES)
    path = tmp_path / "index.html"
    path.write_text(render(make_page(explorable=shown, legend=legend(LABELS, CLASSES))), encoding="utf-8")
    return path


def pixels(tab, of: str) -> np.ndarray:
    """The pixels (H, W, RGB) of a canvas."""
    settle(tab)
    script = """of => {
        const canvas = document.querySelector(of), {height, width} = canvas;
        return [height, width, [...canvas.getContext("2d").getImageData(0, 0, width, height).data]];
    }"""
    height, width, values = tab.evaluate(script, of)
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def test_the_nearest_dot_shows_its_test_image_and_its_reconstruction(browser, page_with_dots):
    with opened(browser, page_with_dots) as tab:
        tab.wait_for_function("() => latentPlanes[0].sprite.complete")
        for z in ([0.3, -0.4], [5.0, 5.0], [-3.0, 1.0]):
            tab.evaluate("z => latentPlanes[0].moveTo(...z)", z)
            nearest = int(((CODES - coordinates(tab)) ** 2).sum(1).argmin())
            text = tab.locator(".which").inner_text()
            assert text == f"Test image {nearest}, class {CLASSES[nearest % 3]}, and its reconstruction"
            original, redrawn = pixels(tab, ".original"), pixels(tab, ".redrawn")
            assert original.shape == redrawn.shape == (8, 10, 3)
            assert np.abs(original.astype(int) - 5 * nearest).mean() < 12  # the sprite is compressed with some loss
            expected = decoded(model_of("mlp-colour"), CODES[nearest])[0].transpose(1, 2, 0)
            assert np.abs(redrawn / 255 - expected).max() <= 0.5 / 255 + 1e-3


def test_the_arrow_keys_reach_dots_too(browser, page_with_dots):
    with opened(browser, page_with_dots) as tab:
        tab.locator(".codes").focus()
        settle(tab)
        before = tab.locator(".which").inner_text()
        for _ in range(4):
            tab.keyboard.press("Shift+ArrowRight")
        settle(tab)
        assert tab.locator(".which").inner_text() != before


def test_classes_are_switched_off_and_on_by_the_legend(browser, page_with_dots):
    with opened(browser, page_with_dots) as tab:
        tab.evaluate("latentPlanes[0].moveTo(0.3, -0.4)")
        settle(tab)
        nearest = int(re.findall(r"\d+", tab.locator(".which").inner_text())[0])
        whole = tab.evaluate("latentPlanes[0].still.toDataURL()")
        button = tab.locator(f"[data-label='{nearest % 3}']")
        button.click()
        settle(tab)
        assert button.get_attribute("aria-pressed") == "false"
        other = int(re.findall(r"\d+", tab.locator(".which").inner_text())[0])
        assert other % 3 != nearest % 3
        assert tab.evaluate("latentPlanes[0].still.toDataURL()") != whole
        tab.locator("[data-all='false']").click()
        settle(tab)
        assert tab.locator(".which").inner_text() == "none: all classes are hidden"
        assert not tab.locator(".original").is_visible()
        tab.locator("[data-all='true']").click()
        settle(tab)
        assert f"Test image {nearest}," in tab.locator(".which").inner_text()
        assert tab.evaluate("latentPlanes[0].still.toDataURL()") == whole


def test_without_labels_there_are_dots_without_classes(browser, make_page, tmp_path):
    model = model_of("conv")
    path = tmp_path / "index.html"
    page = make_page(explorable=explorable([plane("ae", "AE", model, CODES[:20], None, None)]))
    path.write_text(render(page), encoding="utf-8")
    with opened(browser, path) as tab:
        settle(tab)
        assert re.fullmatch(r"Test image \d+, and its reconstruction", tab.locator(".which").inner_text())


@pytest.mark.parametrize("name", ["mlp", "conv-colour-odd", "mlp-gaussian", "conv-gaussian-odd"])
def test_sliders_move_the_code_that_is_decoded(name, browser, make_page, tmp_path):
    model = model_of(name, latent=7)
    codes = np.random.default_rng(0).normal(0, [1, 2, 0.1, 3, 0.2, 0.5, 0.4], (50, 7)).astype(np.float32)
    images = np.zeros((50, *model.shape), np.uint8)
    made = sliders("vae", model, codes, Split(images, LABELS), np.array([4, 9]), dict(enumerate(CLASSES)))
    assert made.dimensions == [3, 1, 0, 5, 6]
    path = tmp_path / "index.html"
    path.write_text(render(make_page(explorable=explorable(sliders=made))), encoding="utf-8")
    with opened(browser, path) as tab:

        def shown() -> np.ndarray:
            return pixels(tab, "#sliders-image") / 255

        def expected(z: np.ndarray) -> np.ndarray:
            image = decoded(model, z)[0].transpose(1, 2, 0)
            return np.broadcast_to(image, (*image.shape[:2], 3))

        settle(tab)
        assert np.abs(shown() - expected(codes[4])).max() <= 0.5 / 255 + 1e-3
        assert tab.locator("#sliders-original").is_visible()
        tab.locator(".sliders select").select_option(label="test image 9, class one")
        assert np.abs(shown() - expected(codes[9])).max() <= 0.5 / 255 + 1e-3
        tab.locator("input[data-dimension='1']").fill("-2")
        moved = codes[9].copy()
        moved[1] = -2
        assert np.abs(shown() - expected(moved)).max() <= 0.5 / 255 + 1e-3
        assert tab.locator("label:has(input[data-dimension='1']) output").inner_text() == "−2.00"
        tab.locator("[data-action='reset']").click()
        assert np.abs(shown() - expected(codes[9])).max() <= 0.5 / 255 + 1e-3
        tab.locator(".sliders select").select_option(value="")
        assert np.abs(shown() - expected(np.zeros(7))).max() <= 0.5 / 255 + 1e-3
        assert not tab.locator("#sliders-original").is_visible()
        tab.locator("[data-action='draw']").click()
        z = tab.evaluate("[...sliders.z]")
        assert len(z) == 7
        assert 0 < max(map(abs, z)) < 7
        assert np.abs(shown() - expected(np.array(z))).max() <= 0.5 / 255 + 1e-3
        tab.locator("input[data-dimension='3']").focus()
        tab.keyboard.press("Home")
        assert tab.evaluate("sliders.z[3]") == -3
