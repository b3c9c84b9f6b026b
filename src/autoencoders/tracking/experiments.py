"""What is looked at before a stage works for hours: that MLflow can take what comes of it."""

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from autoencoders.tracking import database
from autoencoders.tracking.client import database as local_database
from autoencoders.tracking.client import get, require_server, server_address
from autoencoders.tracking.launch import injected_run
from autoencoders.tracking.store import LADDER, deleted_experiment


def require_store(experiment: str) -> None:
    """Raise `UserError` where MLflow does not answer, its database cannot be written, or an experiment is deleted.

    `experiment` is the one of the models. The ladder's is looked at as well: its runs come last of all.
    """
    require_server(writes=True)
    for name, number in _deleted(_names(experiment)):
        raise deleted_experiment(name, number)


def _names(experiment: str) -> list[str]:
    """Return the names of the experiments that runs will be in; below a launcher's run they are in its experiment."""
    if injected_run():
        return []
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or experiment
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        name = _name_of(number) or name
    return [name] if os.environ.get("KFP_RUN_ID") else [name, name + LADDER]


def _deleted(names: Sequence[str]) -> list[tuple[str, str]]:
    if file := local_database():
        return database.deleted(file, names)
    found = [(name, _asked("get-by-name", experiment_name=name)) for name in names]
    return [(name, str(one["experiment_id"])) for name, one in found if one.get("lifecycle_stage") == "deleted"]


def _name_of(number: str) -> str | None:
    if file := local_database():
        return database.name_of(file, number)
    return _asked("get", experiment_id=number).get("name")


def _asked(method: str, **query: str) -> dict[str, Any]:
    """Return an experiment as MLflow's server describes it; an empty answer where it does not know or does not say."""
    import requests

    if server_address() is None:
        return {}
    try:
        found = get(f"/api/2.0/mlflow/experiments/{method}?{urlencode(query)}").json().get("experiment", {})
    except (requests.RequestException, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}
