"""Where a run and its model come from: tags with commit, stage and inputs, and the URLs of runs."""

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError, first_line, without_password
from autoencoders.model_folder import read_description, read_reference
from autoencoders.tracking.client import (
    ask_server,
    connect,
    local_database,
    no_database,
    require_server,
    run_url,
    tracking_uri,
)
from autoencoders.tracking.recorder import is_failure_of_mlflow
from autoencoders.tracking.store import PARENT, existing, experiment_ids, find_kubeflow_run, find_run, injected_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

REWRITTEN = (":(exclude,top,glob)**/dvc.lock", ":(exclude,top,glob)evaluation/*/metrics.json")
"""Files that the pipeline itself rewrites; such a change does not make the commit dirty."""
VARIABLES = {
    "dvc_stage": "DVC_STAGE",
    "dvc_experiment": "DVC_EXP_NAME",
    "kfp_run": "KFP_RUN_ID",
    "kfp_task": "KFP_TASK",
    "image": "AUTOENCODERS_IMAGE",
}
"""Tag → environment variable, set by what started the process."""
MODEL_PREFIX = "kfp_model."
"""Prefix of the tags of a Kubeflow pipeline's run that name the run of each of its models."""
PIPELINE_RUN = "pipeline"  # key of the pipeline's run in the result of `run_urls`

Origin = dict[str, Any]  # what is known of where a model comes from, in the order of display; text, but for parameters


def model_tags(description: Mapping[str, Any]) -> dict[str, str]:
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
    tags = {"python": platform.python_version(), "torch": version("torch")}
    commit, dirty = _commit()
    if commit:
        tags |= {"git_commit": commit, "git_dirty": dirty, "mlflow.source.git.commit": commit}
    return tags | {tag: value for tag, variable in VARIABLES.items() if (value := os.environ.get(variable))}


def params_hash(description: Mapping[str, Any]) -> str:
    """Return a hash of the parameters that a model and its training have."""
    relevant = [description["model"], description["train"]]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def _commit() -> tuple[str, str]:
    """Return the commit, and "true" where tracked files differ from it."""
    if commit := run_git("rev-parse", "HEAD"):
        changes = run_git("status", "--porcelain", "--untracked-files=no", "--", ":/", *REWRITTEN)
        return commit, str(bool(changes)).lower()
    return os.environ.get("GIT_COMMIT", ""), os.environ.get("GIT_DIRTY", "false").lower()


def run_git(*arguments: str) -> str:
    """Return what a git command prints; nothing where it fails, or there is no git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def run_urls(run_ids: Mapping[str, str], pipeline: str | None = None) -> dict[str, str]:
    """Return the URL of each run (name → id) and, under the key `pipeline`, that of the Kubeflow run `pipeline`.

    By default that is the Kubeflow run which this process is a task of. A run that this store lacks has the URL of the
    run that was re-created for it. Return nothing where no server shows pages, or it does not answer.
    """
    if run_url("", "") is None:
        return {}
    try:
        ask_server()
        client = connect()
        if pipeline is None and (injected := injected_run()):
            known = {PIPELINE_RUN: client.get_run(injected).data.tags.get(PARENT)}
        else:
            known = {PIPELINE_RUN: find_kubeflow_run(client, pipeline)}
        known |= {name: find_run(client, run_id) for name, run_id in run_ids.items()}
        found = {name: client.get_run(run_id).info for name, run_id in known.items() if run_id}
    except UserError:
        return {}
    except Exception as error:
        if is_failure_of_mlflow(error):
            return {}
        raise
    return {name: str(run_url(info.experiment_id, info.run_id)) for name, info in found.items()}


def origins(what: str) -> list[Origin]:
    """Return the origins of the models that `what` names: a model's folder, an MLflow run, or a Kubeflow run.

    Raise `UserError` where it is none of these, or MLflow does not answer.
    """
    require_server()
    is_folder, database = (Path(what) / "model.json").exists(), local_database()
    if database and not database.exists():  # connecting would make it
        if is_folder:
            return [_of_folder(None, Path(what))]
        raise no_database(what, database)
    client = connect()
    try:
        if is_folder:
            return [_of_folder(client, Path(what))]
        found = [_of_run(run) for run in _model_runs(client, what)]
    except Exception as error:
        if is_failure_of_mlflow(error):
            raise UserError(f"MLflow at {without_password(tracking_uri())} failed: {first_line(error)}") from None
        raise
    if not found:
        raise UserError(
            f"{what!r} is no folder of a trained model, and {without_password(tracking_uri())} has no run, and no run "
            "of a Kubeflow run, of that id."
        )
    return found


def _model_runs(client: "MlflowClient", what: str) -> list["Run"]:
    """Return the runs of trained models that `what` names, the oldest first."""
    if re.fullmatch(r"[0-9a-f]{32}", what):
        run_id = find_run(client, what)
        run = client.get_run(run_id) if run_id else None
        if run and "model" in run.data.tags:
            return [run]
        what = run.data.tags.get("kfp_run", what) if run else what
    if not re.fullmatch(r"[\w-]+", what):
        return []
    found = client.search_runs(experiment_ids(client), f"tags.kfp_run = '{what}'")
    models = {run.info.run_id: run for run in found if "model" in run.data.tags}
    for run_id in (value for run in found for tag, value in run.data.tags.items() if tag.startswith(MODEL_PREFIX)):
        if run_id not in models and existing(client, run_id):  # trained by an earlier pipeline
            models[run_id] = client.get_run(run_id)
    return sorted(models.values(), key=lambda run: run.info.start_time)


def _of_folder(client: "MlflowClient | None", folder: Path) -> Origin:
    """Return what the folder says, and the run in this store, if there is one."""
    description, reference = read_description(folder), read_reference(folder)
    run_id = find_run(client, reference["run_id"]) if client else None
    params = {**description["model"], **(description["train"] or {})}
    origin = _origin(description["name"], reference.get("tags", {}), params, description["weights_sha256"])
    return origin | _in_mlflow(client.get_run(run_id) if client and run_id else None, reference["run_id"])


def _of_run(run: "Run") -> Origin:
    own = ("model.", "train.")
    params = {key.partition(".")[2]: value for key, value in run.data.params.items() if key.startswith(own)}
    tags = run.data.tags
    return _origin(tags["model"], tags, params, tags.get("weights_sha256")) | _in_mlflow(run, run.info.run_id)


def _origin(name: str, tags: Mapping[str, str], params: Mapping[str, Any], weights: str | None) -> Origin:
    dirty = " (with changes that are not committed)" if tags.get("git_dirty") == "true" else ""
    known = {
        "model": name,
        "weights": weights,
        "commit": f"{tags['git_commit']}{dirty}" if "git_commit" in tags else None,
        "data": tags.get("data_hash"),
        "parameters": tags.get("params_hash"),
        "parameter values": {key: str(value) for key, value in params.items() if key != "train"},
        "image": tags.get("image"),
        "DVC stage": tags.get("dvc_stage"),
        "Kubeflow run": tags.get("kfp_run"),
        "Kubeflow task": tags.get("kfp_task"),
        "hardware": tags.get("hardware"),
        "Python": tags.get("python"),
        "torch": tags.get("torch"),
    }
    return {key: value for key, value in known.items() if value}


def _in_mlflow(run: "Run | None", run_id: str) -> Origin:
    if run is None:
        return {"MLflow run": f"{run_id} (not in this store: `autoencoders publish` makes it again)"}
    page = run_url(run.info.experiment_id, run.info.run_id)
    return {"MLflow run": run.info.run_id} | ({"MLflow page": page} if page else {})
