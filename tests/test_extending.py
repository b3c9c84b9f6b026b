"""The recipes of docs/extending.md, applied to a copy of the repository, counted and run."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_params import PARAMS
from tiny_sets import idx, images, md5

ROOT = Path(__file__).parents[1]
SOURCES = ("components", "MLproject", "dvc.yaml", "params.yaml", "pipeline", "pyproject.toml", "src")
RECIPES = dict(
    re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)", (ROOT / "docs/extending.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
)


@dataclass(frozen=True)
class Copy:
    """A copy of the repository with a recipe's patch, and what it is run on."""

    root: Path
    files: list[str]
    """Files that the patch touches."""

    def python(self, *arguments: str | Path) -> str:
        """Run Python with the copy's package in the copy; return what it printed."""
        environment = {**os.environ, "PYTHONPATH": f"{self.root / 'src'}:{self.root}"}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)], cwd=self.root, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stage(self, *arguments: str | Path) -> str:
        """Run `autoencoders …` with the tests' tiny parameters."""
        return self.python("-m", "autoencoders", *arguments)


@pytest.fixture
def apply(tmp_path, store) -> Callable[..., Copy]:
    """Apply a recipe's patch to a copy; `texts` are replaced in the patch, `params` are laid over the tests' own."""

    def apply(recipe: str, texts: dict[str, str] | None = None, params: dict[str, Any] | None = None) -> Copy:
        [patch] = re.findall(r"```diff\n(.*?)```", RECIPES[recipe], re.DOTALL)
        for placeholder, text in (texts or {}).items():
            patch = patch.replace(placeholder, text)
        root = tmp_path / "copy"
        for name in SOURCES:
            source, target = ROOT / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy(source, target)
        subprocess.run(["git", "apply", "-"], input=patch, cwd=root, text=True, check=True)
        (root / "params.yaml").write_text(yaml.safe_dump({**PARAMS, **(params or {})}))
        return Copy(root, re.findall(r"^\+\+\+ b/(.*)$", patch, re.MULTILINE))

    return apply


def evaluate(copy: Copy, model: str, prepared: Path) -> dict[str, float]:
    folder = f"models/{model}"
    copy.stage("features", "--data", prepared, "--out", "features")
    copy.stage("train", "--model", model, "--data", prepared, "--checkpoints", "checkpoints", "--out", folder)
    given = ("--model", folder, "--data", prepared, "--features", "features")
    copy.stage("evaluate", *given, "--out", f"evaluation/{model}")
    metrics: dict[str, float] = json.loads((copy.root / "evaluation" / model / "metrics.json").read_text())
    return metrics


def test_a_kind_of_model_is_two_files(apply, prepared):
    [entry] = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", RECIPES["A kind of model"], re.DOTALL)]
    entry["models"]["dae"] |= {"latent": 2, "hidden": [8]}
    copy = apply("A kind of model", params=entry)
    assert len(copy.files) == 2
    metrics = evaluate(copy, "dae", prepared)
    description = json.loads((copy.root / "models/dae/model.json").read_text())
    assert description["model"]["noise"] == 0.2
    assert np.isfinite(metrics["frechet/prior"])
    assert "kl" not in metrics

    copy.stage("compare", "--models", "models", "--evaluation", "evaluation", "--out", "comparison")
    table = pd.read_csv(copy.root / "comparison/comparison.csv", index_col="model")
    assert table.loc["dae", "kind"] == "denoising"
    np.save(copy.root / "x.npy", np.load(prepared / "test" / "images.npy")[:1] / 255)
    program = """
import numpy, autoencoders
model = autoencoders.load_model("models/dae")
print(tuple(model.reconstruct(numpy.load("x.npy")).shape))
"""
    assert copy.python("-c", program).strip() == "(1, 1, 8, 8)"
    page = "from autoencoders.params import KINDS; print(KINDS['denoising'].label)"
    assert copy.python("-c", page).strip() == "DAE"


def test_a_measure_is_two_files(apply, prepared):
    copy = apply("A measure", params={"models": {"ae": PARAMS["models"]["ae"]}})
    assert len(copy.files) == 2
    metrics = evaluate(copy, "ae", prepared)
    codes = np.load(copy.root / "evaluation/ae/codes/test.npy")
    assert metrics["sparsity"] == pytest.approx((np.abs(codes) < 0.1).mean())
    shown = copy.stage("compare", "--models", "models", "--evaluation", "evaluation", "--out", "comparison")
    assert "Sparsity" in shown
    assert f"{metrics['sparsity']:.2f}" in shown


def test_a_data_set_is_one_file(apply, tmp_path):
    files = {
        "train-images": idx(images(30, (9, 8))),
        "train-labels": idx(np.arange(30) % 2),
        "t10k-images": idx(images(20, (9, 8), seed=1)),
        "t10k-labels": idx(np.arange(20) % 2),
    }
    (tmp_path / "mirror").mkdir()
    for name, content in files.items():
        (tmp_path / "mirror" / f"{name}-idx{3 if 'images' in name else 1}-ubyte.gz").write_bytes(content)
    data = {"data": {"name": "shapes", "mirror": str(tmp_path / "mirror")}}
    copy = apply("A data set", {f"<md5 of {name}>": md5(content) for name, content in files.items()}, data)
    assert len(copy.files) == 1
    copy.stage("download", "--out", "raw", "--cache", "downloads")
    copy.stage("prepare", "--raw", "raw", "--out", "data", "--card", "card")
    described = json.loads((copy.root / "data/dataset.json").read_text())
    assert described["classes"] == ["circle", "square"]
    np.testing.assert_array_equal(np.load(copy.root / "data/test/images.npy"), images(20, (9, 8), seed=1)[:, None])


def test_a_stage_is_five_files_with_its_component(apply, prepared):
    copy = apply("A stage")
    assert len(copy.files) == 5
    assert "brightness   Measure how bright the images are" in copy.stage("--help")
    shutil.copytree(prepared, copy.root / "data/prepared")
    [command] = re.findall(r"^\+    cmd: autoencoders (.*)$", RECIPES["A stage"], re.MULTILINE)
    copy.stage(*command.split())
    means = json.loads((copy.root / "reports/brightness/brightness.json").read_text())
    assert means["test"] == pytest.approx(np.load(prepared / "test" / "images.npy").mean() / 255)

    shutil.copy(ROOT / "params.yaml", copy.root / "params.yaml")
    image = f"images/autoencoders@sha256:{'0' * 64}"
    copy.python("-m", "pipeline", "compile", "--profile", "cpu", "--image", image, "--out", "pipeline.yaml")
    compiled = next(yaml.safe_load_all((copy.root / "pipeline.yaml").read_text()))
    assert compiled["root"]["dag"]["tasks"]["brightness"]["dependentTasks"] == ["prepare"]
    shutil.copytree(ROOT / "tests", copy.root / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    callers = ("tests/test_dependencies.py", "tests/test_mlproject.py", "tests/pipeline/test_parity.py")
    assert "8 passed" in copy.python("-m", "pytest", "-k", "brightness", "-p", "no:cacheprovider", *callers)
