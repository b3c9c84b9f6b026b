"""The page in Chromium: it asks for nothing, and decodes as PyTorch does."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browsing import COORDINATES, MODELS, box, coordinates, decoded, drawn, model_of, opened, settle
from page_parts import explorable

from autoencoders.report.page import render
from autoencoders.report.planes import legend, plane
from autoencoders.stages.report import report


@pytest.fixture
def page_of_two(make_page, tmp_path) -> Path:
    """A page with the planes `conv` and `mlp`, and classes."""
    codes, labels = np.random.default_rng(0).normal(0, 2, (50, 2)).astype(np.float32), np.arange(50) % 12
    classes = [f"a class of a rather long name {i}" for i in range(12)]
    planes = [plane(name, "AE", model_of(name), codes, labels, classes) for name in ("conv", "mlp")]
    path = tmp_path / "index.html"
    path.write_text(
        render(make_page(explorable=explorable(planes, labels, classes), legend=legend(labels, classes))),
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("name", MODELS)
def test_the_page_decodes_as_pytorch_does(name, browser, make_page, tmp_path):
    model = model_of(name)
    z = np.random.default_rng(1).normal(0, 3, (20, 2)).astype(np.float32)
    path = tmp_path / "index.html"
    path.write_text(
        render(make_page(explorable=explorable([plane(name, "AE", model, z, None, None)]))), encoding="utf-8"
    )
    with opened(browser, path) as tab:
        found = np.array(tab.evaluate("zs => zs.map(z => [...latentPlanes[0].decode(z)])", z.tolist()))
        assert np.abs(found.reshape(-1, *model.shape) - decoded(model, z)).max() < 1e-5
        tab.evaluate("z => latentPlanes[0].moveTo(...z)", [0.5, -1.0])
        expected = decoded(model, [0.5, -1.0])[0].transpose(1, 2, 0)
        pixels = drawn(tab)
    assert pixels.shape == (*model.shape[1:], 4)
    assert np.abs(pixels[..., :3] / 255 - expected).max() <= 0.5 / 255 + 1e-3
    assert (pixels[..., 3] == 255).all()


def test_a_stage_s_page_opens_without_errors_or_requests(browser, params, outputs):
    report(params, **outputs)
    with opened(browser, outputs["out"]) as tab:
        assert tab.title() == "Autoencoders on tiny"
        assert tab.evaluate("latentPlanes.map(plane => plane.name)") == ["pca", "ae", "vae"]
        images = tab.locator("img")
        assert images.count() == 4 + 2 + 3 * 20 + 5 + 5 + 2 + 1 + 1
        without = [image for image in images.all() if not image.get_attribute("alt")]
        assert len(without) == tab.locator(".preview img").count() == 5  # they repeat a rung's figure
        assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert all(canvas.get_attribute("aria-label") for canvas in tab.locator("canvas").all())


def test_the_pointer_decodes_what_it_points_at(browser, page_of_two):
    with opened(browser, page_of_two) as tab:
        left, top, width = box(tab)
        before, other = drawn(tab, 0), drawn(tab, 1)
        tab.mouse.move(left + 0.7 * width, top + 0.3 * width)
        after, z = drawn(tab, 0), coordinates(tab)
        assert z[0] > 0.5
        assert z[1] > 0.5
        assert not np.array_equal(before, after)
        expected = decoded(model_of("conv"), z)[0, 0]  # of the coordinates as written, to two digits
        assert np.abs(after[..., 0] / 255 - expected).max() < 0.01
        assert np.array_equal(drawn(tab, 1), other)
        tab.mouse.move(left + 0.8 * width, top + 0.3 * width)
        moved = coordinates(tab)
        span, side = tab.evaluate("[latentPlanes[0].data.span, latentPlanes[0].side]")
        assert moved[0] - z[0] == pytest.approx(0.1 * width / side * span, abs=0.011)
        assert moved[1] == z[1]


def test_a_finger_moves_the_point_sideways_and_the_page_up_and_down(browser, page_of_two):
    with opened(browser, page_of_two, has_touch=True, viewport={"width": 360, "height": 740}) as tab:
        left, top, width = box(tab)
        tab.touchscreen.tap(left + 0.7 * width, top + 0.3 * width)
        tapped, before, scrolled = coordinates(tab), drawn(tab), tab.evaluate("scrollY")
        assert min(tapped) > 0.3

        def swipe(*places: tuple[float, float]) -> None:
            touch = tab.context.new_cdp_session(tab)
            kinds = ["touchStart", *["touchMove"] * (len(places) - 1)]
            for kind, (across, down) in zip(kinds, places, strict=True):
                at = [{"x": left + across * width, "y": top + down * width}]
                touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
            touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            settle(tab)

        swipe((0.6, 0.6), (0.5, 0.6), (0.3, 0.62))
        assert coordinates(tab)[0] < -0.5
        assert not np.array_equal(drawn(tab), before)
        assert tab.evaluate("scrollY") == scrolled
        swipe((0.5, 0.8), (0.5, 0.7), (0.5, 0.5), (0.5, 0.2))
        tab.wait_for_function(f"() => scrollY > {scrolled} + 50")


def test_the_arrow_keys_move_the_point_to_the_edge_and_no_further(browser, page_of_two):
    with opened(browser, page_of_two) as tab:
        tab.locator(".codes").first.focus()
        assert coordinates(tab) == (0, 0)
        span, corner = tab.evaluate("[latentPlanes[0].data.span, latentPlanes[0].data.corner]")
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("Shift+ArrowUp")
        assert coordinates(tab) == (pytest.approx(span / 50, abs=0.006), pytest.approx(span / 10, abs=0.006))
        for _ in range(12):
            tab.keyboard.press("Shift+ArrowLeft")
        assert coordinates(tab)[0] == pytest.approx(corner[0], abs=0.006)


@pytest.mark.parametrize("width", [320, 360, 768])
def test_the_page_does_not_scroll_sideways(browser, page_of_two, width):
    with opened(browser, page_of_two, viewport={"width": width, "height": 740}) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_held_across_plane_and_image_are_seen_together(browser, page_of_two):
    for width, height in ((844, 390), (568, 320)):
        with opened(browser, page_of_two, has_touch=True, viewport={"width": width, "height": height}) as tab:
            tab.evaluate("document.querySelector('.codes').scrollIntoView({behavior: 'instant'})")
            settle(tab)
            plane, image = (tab.locator(of).first.bounding_box() for of in (".codes", ".image"))
            for box in (plane, image):
                assert box["y"] >= -1
                assert box["y"] + box["height"] <= height + 1
            assert plane["x"] + plane["width"] <= image["x"]


def test_on_paper_planes_keep_their_shape_and_colours_are_printed(browser, page_of_two):
    with opened(browser, page_of_two) as tab:
        settle(tab)
        tab.emulate_media(media="print")
        tab.set_viewport_size({"width": 688, "height": 970})
        settle(tab)
        ratios = "one => [one.clientWidth / one.clientHeight, one.width / one.height]"
        for shown, painted in (canvas.evaluate(ratios) for canvas in tab.locator(".codes").all()):
            assert shown == pytest.approx(painted, rel=0.01)
        assert tab.evaluate("getComputedStyle(document.body).printColorAdjust") == "exact"


def test_a_table_wider_than_a_phone_scrolls_by_itself(browser, params, outputs):
    report(params, **outputs)
    with opened(browser, outputs["out"], viewport={"width": 360, "height": 740}) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert tab.evaluate(
            "document.querySelectorAll('table').length === document.querySelectorAll('.scroll > table').length"
        )
        wide = tab.locator("#comparison .scroll").first
        assert wide.evaluate("one => one.scrollWidth > one.clientWidth")
        assert "linear-gradient" in wide.evaluate("one => getComputedStyle(one).backgroundImage")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_on_paper_details_are_open_and_close_again(browser, page_of_two):
    with opened(browser, page_of_two) as tab:
        is_open = "[...document.querySelectorAll('details')].map(one => one.open)"
        assert not any(tab.evaluate(is_open))
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert all(tab.evaluate(is_open))
        tab.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not any(tab.evaluate(is_open))


def test_in_the_dark_text_is_light_the_planes_are_dark_and_figures_are_not_glaring(browser, page_of_two):
    with opened(browser, page_of_two, color_scheme="dark") as tab:
        style = "([of, key]) => getComputedStyle(document.querySelector(of))[key]"
        colours = [tab.evaluate(style, ["body", key]) for key in ("backgroundColor", "color")]
        assert tab.evaluate(style, [".photo img", "filter"]) == "brightness(0.8)"
        corner = "() => [...latentPlanes[0].canvas.getContext('2d').getImageData(0, 0, 1, 1).data].slice(0, 3)"
        settle(tab)
        dark = tab.evaluate(corner)
        tab.emulate_media(color_scheme="light")
        settle(tab)
        light = tab.evaluate(corner)
    paper, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert paper < 150 < 600 < ink
    assert sum(dark) == paper
    assert light == [255, 255, 255]


def test_without_scripts_the_page_says_where_to_look(browser, page_of_two):
    with opened(browser, page_of_two, java_script_enabled=False) as tab:
        assert "Without it, see the figures" in tab.locator("main").inner_text()
        text, before = (tab.locator(of).first.bounding_box() for of in ("noscript p", "#plane > p"))
        assert text["x"] == before["x"]


def framed(page: Path) -> Path:
    """A page that shows `page` as Kubeflow Pipelines does: in a frame without an address, in which scripts may run."""
    around = page.with_name("kubeflow.html")
    around.write_text(
        f'<!doctype html><body style="margin:0"><iframe sandbox="allow-scripts" src="javascript:void(0);" '
        f'style="width:100%;height:600px;border:0"></iframe><script type="application/json">'
        f"{json.dumps(page.read_text(encoding='utf-8')).replace('</', '<' + chr(92) + '/')}</script>"
        "<script>document.querySelector('iframe').srcdoc = "
        "JSON.parse(document.querySelector('script').textContent);</script></body>",
        encoding="utf-8",
    )
    return around


def test_within_kubeflow_the_contents_lead_to_their_sections(browser, page_of_two):
    with opened(browser, framed(page_of_two), viewport={"width": 900, "height": 600}) as tab:
        frame = tab.frame_locator("iframe")
        frame.locator("html").evaluate("one => { one.style.scrollBehavior = 'auto'; }")
        for link in frame.locator("nav li a").all():
            section = frame.locator(str(link.get_attribute("href")))
            link.scroll_into_view_if_needed()
            link.click()
            settle(tab)
            assert section.is_visible(), "the frame must not leave the page"
            top = section.evaluate("one => one.getBoundingClientRect().top")
            last = section.evaluate("one => innerHeight + scrollY >= document.documentElement.scrollHeight - 2")
            assert abs(top) < 40 or last, link.inner_text()
            frame.locator("body").evaluate("() => scrollTo(0, 0)")


def test_within_kubeflow_a_plane_decodes_where_one_points(browser, page_of_two):
    with opened(browser, framed(page_of_two), viewport={"width": 1000, "height": 600}) as tab:
        frame = tab.frame_locator("iframe")
        plane_ = frame.locator(".codes").first
        plane_.scroll_into_view_if_needed()
        before = frame.locator("output").first.inner_text()
        box = plane_.bounding_box()
        tab.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.3)
        settle(tab)
        after = frame.locator("output").first.inner_text()
        assert re.search(COORDINATES, after)
        assert after != before
