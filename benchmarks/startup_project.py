"""A copy of the project on which the whole pipeline runs in seconds: tiny pictures, and a parameter of everything."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = {
    "pca": {"kind": "pca", "latent": 3},
    "vae": {"kind": "vae", "latent": 3, "hidden": [8], "beta": 1.0},
}


def small_project(folder: Path, models: Mapping[str, Any] = MODELS) -> None:
    """Make `folder` a repository with this one's pipeline, its code, 150 pictures of 9×8 and small `models`."""
    shutil.copytree(REPOSITORY / ".dvc" / "plots", folder / ".dvc" / "plots")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"name": "folder", "folder": "pictures"}
    params["prepare"] |= {"validation": 0.2, "test": 0.4}
    params["train"] |= {"steps": 8, "batch_size": 16}
    params["features"] |= {"epochs": 1, "images": 100}
    params["evaluate"] |= {"importance_samples": 3, "importance_images": 10, "mixture_components": 2}
    params["models"] = dict(models)
    params["ladder"]["one_image"] |= {"networks": [[4, 2]], "steps": 10}
    params["ladder"]["one_hot"] |= {"counts": [2, 8], "steps": 10}
    params["ladder"]["auto_decoder"] |= {"images": 20, "epochs": 2}
    params["ladder"]["linear"] |= {"latents": [2], "epochs": 2}
    params["ladder"]["beta"] |= {"betas": [0.1, 10.0], "latent": 3, "hidden": [8], "decoder_hidden": [8], "epochs": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    _draw_pictures(folder / "pictures")
    for command in (
        "init -q", "config user.name t", "config user.email t@example.org", "add -A", "commit -qm start",
    ):  # fmt: skip
        subprocess.run(["git", *command.split()], cwd=folder, check=True)


def _draw_pictures(folder: Path) -> None:
    """Two classes, one brighter than the other."""
    generator = np.random.default_rng(0)
    for index in range(150):
        label = index % 2
        path = folder / f"kind-{label}" / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((80 * label + generator.integers(0, 100, (9, 8))).astype(np.uint8)).save(path)
