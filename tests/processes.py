"""Python in a process of its own: any program, or a training of a tiny network."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml


def run_python(program: str, *arguments: object, code: int = 0, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a program, which must end with this exit code."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == code, done.stderr[-3000:]
    return done


AE = {"kind": "autoencoder", "arch": "mlp", "hidden": [8], "latent": 2}


def training_command(folder: Path, prepared: Path, before: str = "", **train: int) -> list[str]:
    """Write params.yaml for a model `ae`; return the command that trains it in `folder`, once `before` has run."""
    (folder / "params.yaml").write_text(yaml.safe_dump({"device": "cpu", "train": train, "models": {"ae": AE}}))
    program = f"{before}\nfrom autoencoders.cli import main; main()"
    options = ["--model", "ae", "--data", str(prepared), "--checkpoints", "checkpoints", "--out", "ae"]
    return [sys.executable, "-c", program, "train", *options]


def wait_for_checkpoint(folder: Path, is_alive: Callable[[], bool], ending: str = "pt") -> list[Path]:
    """Wait until the training in `folder` has a file that ends so beside its checkpoints."""
    while not (found := list((folder / "checkpoints" / "ae").glob(f"*.{ending}"))):
        assert is_alive()
        time.sleep(0.02)
    return found
