"""Every stage is killed at random times, by every signal, and `dvc repro` then ends as though nothing had happened."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[1]
SHOTS = 20
"""Kills of each stage."""
START = 0.1
"""Seconds in which the interpreter starts: a signal before any module of the package is not the package's matter."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
STAGES = (
    *("check", "download", "prepare", "features", "train@pca", "train@ae", "train@vae"),
    *("evaluate@pca", "evaluate@ae", "evaluate@vae", "compare"),
    *("ladder@one-image", "ladder@one-hot", "ladder@auto-decoder", "ladder@beta"),
    *("ladder-of-models@linear", "ladder-of-models@generation", "plots", "report"),
)
PARAMS = """
device: cpu
data: {name: folder, folder: images, max_unreadable: 0.05}
prepare: {validation: 0.2, test: 0.2}
train: {steps: 360, batch_size: 16, learning_rate: 0.005, precision: fp32}
models:
  pca: {kind: pca, latent: 2}
  ae: {kind: autoencoder, arch: mlp, hidden: [32], latent: 2, loss: mse}
  vae: {kind: vae, arch: mlp, hidden: [32], latent: 2, likelihood: bernoulli}
features: {epochs: 1, images: 100}
evaluate: {importance_samples: 5, importance_images: 10, mixture_components: 2}
plots: {images: 4, grid: 5}
ladder:
  seed: 0
  one_image: {networks: [[2, 2]], steps: 10}
  one_hot: {counts: [4], steps: 10}
  auto_decoder: {images: 16, epochs: 1}
  linear: {latents: [2], epochs: 1}
  generation: {images: 4}
  beta: {betas: [0.1, 1.0], hidden: [8], decoder_hidden: [8], images: 32, epochs: 1}
tracking: {experiment: autoencoders}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """A project in which everything has run once."""
    root = tmp_path_factory.mktemp("faults")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "dvc.yaml", root)
    (root / "params.yaml").write_text(PARAMS)
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / "images" / name).mkdir(parents=True)
        for i in range(40):
            pixels = generator.integers(0, 255, (16, 16), np.uint8)
            Image.fromarray(pixels).save(root / "images" / name / f"{i}.png")
    for command in ("git init -q", "dvc init -q", "dvc config core.analytics false"):
        subprocess.run(command.split(), cwd=root, check=True)
    shutil.copy(ROOT / ".dvcignore", root)
    run(root)
    yield root
    shutil.rmtree(root)


def run(root: Path) -> None:
    done = subprocess.run(
        ["dvc", "repro"], cwd=root, env=environment(root), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def environment(root: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return {**kept, "PYTHONPATH": str(root / "src")}


def weights(root: Path) -> dict[str, str]:
    return {
        path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.glob("models/*/weights.safetensors"))
    }


def killed(root: Path, stage: str, after: float, number: signal.Signals) -> tuple[str, float]:
    """Have `dvc` run a stage and send that a signal so many seconds later; return what it printed and how long it ran.

    `dvc` itself gets none: killed while it writes dvc.lock, it leaves half of that, of which no stage knows.
    """
    output = root / "output"
    with output.open("w") as file:
        command = ["dvc", "repro", "--single-item", "--force", stage]
        process = subprocess.Popen(command, cwd=root, env=environment(root), stdout=file, stderr=file)
        while not (running := psutil.Process(process.pid).children(recursive=True)) and process.poll() is None:
            time.sleep(0.01)
        begun = time.monotonic()
        _, alive = psutil.wait_procs(running, after)
        ran = time.monotonic() - begun
        for victim in [*alive, *(child for parent in alive for child in below(parent))]:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.send_signal(number)
        process.wait()
        psutil.wait_procs(running)
    said = output.read_text()
    output.unlink()
    return said, ran


def below(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_killed_at_any_time_leaves_nothing_behind(project, stage):
    before, chance = weights(project), random.Random(stage)
    _, duration = killed(project, stage, 600, signal.SIGKILL)  # it ends by itself
    for shot in range(SHOTS):
        said, _ = killed(project, stage, chance.uniform(START, duration), SIGNALS[shot % len(SIGNALS)])
        own = said.partition("> autoencoders ")[2]
        assert "Traceback" not in own, own
    said, _ = killed(project, stage, 600, signal.SIGKILL)  # to its end: without force, DVC would take it from its cache
    assert f"failed to reproduce '{stage}'" not in said
    run(project)
    assert weights(project) == before
    assert [path for path in project.rglob("*.draft") if ".git" not in path.parts] == []
    assert not list(project.glob(".cache/checkpoints/*/*"))
    with sqlite3.connect(project / "mlflow.db") as store:
        assert store.execute("SELECT name, status FROM runs WHERE status = 'RUNNING'").fetchall() == []
    status = subprocess.run(["dvc", "status"], cwd=project, env=environment(project), capture_output=True, text=True)
    assert status.stdout == "Data and pipelines are up to date.\n"
