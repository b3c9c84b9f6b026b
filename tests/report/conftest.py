"""
`browser`    Chromium: the machine's, or the one that playwright installed
`make_page`  a page that is small but for what a test gives it
`outputs`    the folders of all stages before the report, for the three tiny models
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from autoencoders.data.prepared import DatasetInfo, PreparedData
from autoencoders.ladder.record import RUNGS, figure_file
from autoencoders.model_folder import load_trained
from autoencoders.params import Params
from autoencoders.report.comparison import comparison, reference_table
from autoencoders.report.page import Page, Usage
from autoencoders.report.pictures import Picture
from autoencoders.stages.compare import comparison_table

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PIXEL = Picture("data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=", 1, 1, "one pixel")
METRICS = {"ssim": 0.5, "knn5": 0.5, "frechet/prior": 9.0, "frechet/mixture": 8.0, "frechet/floor": 0.5}


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
            "references": reference_table([]),
            "overview": None,
            "planes": [],
            "too_large": [],
            "legend": [],
            "rungs": [],
            "figures": [],
            "mlflow": None,
            "usage": Usage("models/pca", [1, 8, 8], samples=False),
        }
        return Page(**{**simple, **parts})

    return page


@pytest.fixture
def outputs(params: Params, prepared: Path, trained: Path, rungs: Path, tmp_path: Path) -> dict[str, Path]:
    """The report's inputs by the names of its arguments, as the stages would leave them."""
    data = PreparedData(prepared)
    folders = {name: tmp_path / name for name in ("evaluation", "figures", "comparison")}
    for name in ("data_card", "comparison", "reconstructions", "prediction--vae"):
        _draw(folders["figures"] / f"{name}.png", 1800)
    metrics = {}
    for place, name in enumerate(params.models):
        model = load_trained(trained / name).model
        codes = model.encode(torch.from_numpy(data.split("test").images).float() / 255).detach().numpy()
        (folders["evaluation"] / name / "codes").mkdir(parents=True)
        np.save(folders["evaluation"] / name / "codes" / "test.npy", codes)
        metrics[name] = {"mse": 0.01 * (3 - place), **METRICS, **({"elbo": -9.0} if name == "vae" else {})}
    folders["comparison"].mkdir()
    comparison_table(params, metrics).to_csv(folders["comparison"] / "comparison.csv")
    for name in RUNGS:
        if name != "generation":
            _draw(figure_file(folders["figures"], name), 400)
    return {"data": prepared, "models": trained, "ladder": rungs, **folders, "out": tmp_path / "reports" / "index.html"}


def _draw(path: Path, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", (width, 200), "#3f90da").save(path)
