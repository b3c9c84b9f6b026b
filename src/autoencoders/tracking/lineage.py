"""What a trained model came from (commit, data, parameters, image, Kubeflow run, MLflow run), from any end of it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError, first_line, without_password
from autoencoders.tracking import runs
from autoencoders.tracking.client import connect, require_server, run_page, tracking_uri
from autoencoders.tracking.recorder import is_failure_of_mlflow
from autoencoders.tracking.store import existing, recreated

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Origin = dict[str, str]
"""What is known, in the order in which it is shown."""


def origins(what: str) -> list[Origin]:
    """Return where the models come from that `what` names: a model's folder, an MLflow run, or a Kubeflow run.

    Raises `UserError` where it is none of these, or MLflow does not answer.
    """
    require_server()
    client = connect()
    try:
        if (Path(what) / "model.json").exists():
            return [_of_folder(client, Path(what))]
        found = [_of_run(run) for run in _runs(client, what)]
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


def _runs(client: "MlflowClient", what: str) -> list["Run"]:
    """Return the runs of trained models that `what` names, the oldest first."""
    if re.fullmatch(r"[0-9a-f]{32}", what):
        run_id = existing(client, what) or recreated(client, what)
        run = client.get_run(run_id) if run_id else None
        if run and "model" in run.data.tags:
            return [run]
        what = run.data.tags.get("kfp_run", what) if run else what
    if not re.fullmatch(r"[\w-]+", what):
        return []
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.kfp_run = '{what}'")
    models = {run.info.run_id: run for run in found if "model" in run.data.tags}
    for run_id in (value for run in found for tag, value in run.data.tags.items() if tag.startswith(runs.MODEL)):
        if run_id not in models and existing(client, run_id):  # trained by an earlier pipeline
            models[run_id] = client.get_run(run_id)
    return sorted(models.values(), key=lambda run: run.info.start_time)


def _of_folder(client: "MlflowClient", folder: Path) -> Origin:
    """Return what the folder says, and which run has it here."""
    description, reference = runs.read_folder(folder)
    run_id = runs.find(client, folder)
    params = {**description["model"], **(description["train"] or {})}
    said = _origin(description["name"], reference.get("tags", {}), params, description["weights_sha256"])
    return said | _mlflow(client.get_run(run_id) if run_id else None, reference["run_id"])


def _of_run(run: "Run") -> Origin:
    params = {key.partition(".")[2]: value for key, value in run.data.params.items() if not key.startswith("data.")}
    tags = run.data.tags
    return _origin(tags["model"], tags, params, tags.get("weights_sha256")) | _mlflow(run, run.info.run_id)


def _origin(name: str, tags: Mapping[str, str], params: Mapping[str, Any], weights: str | None) -> Origin:
    dirty = " (with changes that are not committed)" if tags.get("git_dirty") == "true" else ""
    said = {
        "model": name,
        "weights": weights,
        "commit": f"{tags['git_commit']}{dirty}" if "git_commit" in tags else None,
        "data": tags.get("data_hash"),
        "parameters": tags.get("params_hash"),
        "": ", ".join(f"{key} {value}" for key, value in params.items() if key != "train"),
        "image": tags.get("image"),
        "DVC stage": tags.get("dvc_stage"),
        "Kubeflow run": tags.get("kfp_run"),
        "Kubeflow task": tags.get("kfp_task"),
        "hardware": tags.get("hardware"),
    }
    return {key: value for key, value in said.items() if value}


def _mlflow(run: "Run | None", run_id: str) -> Origin:
    if run is None:
        return {"MLflow run": f"{run_id} (not in this store: `autoencoders publish` makes it again)"}
    page = run_page(run.info.experiment_id, run.info.run_id)
    return {"MLflow run": run.info.run_id} | ({"MLflow page": page} if page else {})
