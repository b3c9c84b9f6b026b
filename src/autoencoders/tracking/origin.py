"""Where a run comes from: tags that tie it to commit, DVC stage, pipeline run and inputs."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

NOT_DIRT = (":(exclude,top,glob)**/dvc.lock", ":(exclude,top,glob)evaluation/*/metrics.json")
"""What the pipeline itself rewrites: that leaves the commit's code and parameters as they are."""

VARIABLES = {
    "dvc_stage": "DVC_STAGE",
    "dvc_experiment": "DVC_EXP_NAME",
    "kfp_run": "KFP_RUN_ID",
    "kfp_task": "KFP_TASK",
    "image": "AUTOENCODERS_IMAGE",
}
"""Tag → environment variable, set by what started the process."""


def origin_tags(description: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a model trained here and now.

    `params_hash` is over the parameters of this model and its training alone, `data_hash` over the arrays of all
    splits.
    """
    return {
        "model": description["name"],
        "kind": description["model"]["kind"],
        "data_hash": description["dataset"]["content_hash"],
        "params_hash": params_hash(description),
        "hardware": description["hardware"],
        **run_context(),
    }


def run_context() -> dict[str, str]:
    """Return the tags of anything run here and now: versions, commit, DVC stage and experiment, Kubeflow run and task,
    image.

    Where there is no git, as in an image, GIT_COMMIT and GIT_DIRTY say which commit the code is of.
    """
    tags = {"python": platform.python_version()}
    commit, dirty = _commit()
    if commit:
        tags |= {"git_commit": commit, "git_dirty": dirty, "mlflow.source.git.commit": commit}
    return tags | {tag: value for tag, variable in VARIABLES.items() if (value := os.environ.get(variable))}


def _commit() -> tuple[str, str]:
    """Return the commit, and "true" where tracked files differ from it."""
    if commit := _git("rev-parse", "HEAD"):
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", *NOT_DIRT)
        return commit, str(bool(changes)).lower()
    return os.environ.get("GIT_COMMIT", ""), os.environ.get("GIT_DIRTY", "false").lower()


def params_hash(description: Mapping[str, Any]) -> str:
    """Return a hash of the parameters that a model and its training have."""
    relevant = [description["model"], description["train"]]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
