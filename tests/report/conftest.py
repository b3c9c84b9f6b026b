"""
`browser`    Chromium: the machine's, or the one that playwright installed
`make_page`  a page that is small but for what a test gives it
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from page_parts import EXAMPLE, PIXEL, TILES, explorable

from autoencoders.data.prepared import DatasetInfo
from autoencoders.report.comparison import comparison, reference_table
from autoencoders.report.examples import Examples, Extremes, Strip
from autoencoders.report.page import Page, Usage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import Error, sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=found)
        except Error:
            if found:
                raise
            pytest.skip("no Chromium found: `apt-get install chromium`, or `playwright install chromium`")
        yield chromium
        chromium.close()


@pytest.fixture
def make_page() -> Callable[..., Page]:
    measured = pd.DataFrame({"kind": ["pca"], "latent": [2], "mse": [0.1]}, index=["pca"])

    def page(**parts: Any) -> Page:
        simple = {
            "dataset": DatasetInfo("tiny", (1, 8, 8), {"train": 60, "val": 20, "test": 20}, None, "0" * 64),
            "made": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
            "origin": {"python": "3.11.7", "git_commit": "c0ffee" * 6, "git_dirty": "true"},
            "lead": [],
            "hardware": ["cpu, 2 threads"],
            "durations": [],
            "parameters": "",
            "card": PIXEL,
            "table": comparison(measured),
            "runs": {},
            "references": reference_table([]),
            "reconstructions": [Strip("original", "two images", TILES)],
            "draws": [],
            "examples": Examples([Extremes("pca", [EXAMPLE], [EXAMPLE])], 0.5, ["#000000", "#ffffff"]),
            "explorable": explorable(),
            "legend": [],
            "rungs": [],
            "figures": [],
            "figures_by_model": {},
            "versions": {},
            "mlflow": None,
            "usage": Usage("models/pca", [1, 8, 8], samples=False),
        }
        return Page(**{**simple, **parts})

    return page
