"""Finding and making experiments and runs in MLflow's store."""

import getpass
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from autoencoders.errors import UserError
from autoencoders.tracking.client import artifact_root

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"
"""MLflow's tag of a run that belongs below another."""
SOURCE_RUN = "autoencoders.source_run_id"
"""Tag of a re-created run: the id of the run that first recorded the training."""

LADDER = "-ladder"
"""Ending of the experiment of the ladder's rungs and the report."""


def existing(client: "MlflowClient", run_id: str) -> str | None:
    """Return `run_id` where the store has that run and nobody deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return run_id if run.info.lifecycle_stage == "active" else None


def recreated(client: "MlflowClient", source: str) -> str | None:
    """Return the run that was re-created for the run `source` of another store."""
    return tagged(client, SOURCE_RUN, source)


def tagged(client: "MlflowClient", tag: str, value: str) -> str | None:
    """Return a run of any experiment that has this tag with this value."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`{tag}` = '{value}'", max_results=1)
    return found[0].info.run_id if found else None


def create_run(
    client: "MlflowClient",
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    *,
    parent: str | None = None,
    start: int | None = None,
    ladder: bool = False,
) -> str:
    """Create a run, below `parent` and in its experiment where there is one; `start` is in milliseconds since 1970.

    Those of the `ladder` have an experiment of their own, so that the other one holds models only, which compare.
    """
    tags = {**tags, "mlflow.source.name": "autoencoders", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    if parent:
        tags[PARENT] = parent
        place = client.get_run(parent).info.experiment_id
    else:
        place = experiment_id(client, experiment, LADDER if ladder else "")
    return client.create_run(place, start, tags, run_name=name).info.run_id


def experiment_id(client: "MlflowClient", name: str, ending: str = "") -> str:
    """Return the id of the experiment `name` with `ending`, created if need be.

    MLFLOW_EXPERIMENT_ID and _NAME go before `name`.
    """
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    if injected := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        if not ending:
            return client.get_experiment(injected).experiment_id
        name = client.get_experiment(injected).name
    name += ending
    found = client.get_experiment_by_name(name)
    if found is None:
        # Beside a local database the artifacts need an absolute place: MLflow's default depends on the current folder.
        place = artifact_root()
        try:
            return client.create_experiment(name, artifact_location=place.as_uri() if place else None)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise deleted_experiment(name, found.experiment_id)
    return found.experiment_id


def deleted_experiment(name: str, number: str) -> UserError:
    """Return what is said of an experiment that somebody deleted in MLflow."""
    return UserError(
        f"the MLflow experiment {name!r} is deleted. Restore it with `mlflow experiments restore -x {number}`, or set "
        "tracking.experiment to another name."
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
