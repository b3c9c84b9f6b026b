"""Experiments and runs in MLflow's store: found, created, and checked before a stage works for hours."""

import getpass
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from autoencoders.errors import UserError
from autoencoders.tracking.client import artifact_root, get, local_database, require_server, server_address
from autoencoders.tracking.database import deleted_experiments, experiment_name
from autoencoders.tracking.notes import NOTE, experiment_note, ladder_note

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"  # MLflow's tag of a run that belongs below another
SOURCE_RUN = "autoencoders.source_run_id"
"""Tag of a re-created run: the id of the run that first recorded the training."""
PIPELINE = "kfp_pipeline"
"""Tag of the run of a Kubeflow pipeline: the Kubeflow run's id, which the runs of its tasks have in `kfp_run`."""
PLUGIN_VARIABLE = "KFP_MLFLOW_CONFIG"
"""Environment variable: the settings of Kubeflow's plugin for MLflow as JSON, in all pods where it is enabled."""
LADDER_SUFFIX = "-ladder"  # ending of the experiment of the ladder's rungs and the report


def injected_run() -> str | None:
    """Return the run that a launcher (`mlflow run`, Kubeflow Pipelines) made for this process to join."""
    return os.environ.get("MLFLOW_RUN_ID") or None


def is_of_pipeline() -> bool:
    """Return whether an injected run is the whole pipeline's: DVC, which runs this stage, has inherited it."""
    return "DVC_STAGE" in os.environ


def launched_alone() -> bool:
    """Return whether a launcher made a run for just this stage."""
    return injected_run() is not None and not is_of_pipeline()


def is_missing(error: Exception) -> bool:
    """Return whether MLflow raised `error` because the thing does not exist, or its name cannot be one."""
    return getattr(error, "error_code", None) in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def existing(client: "MlflowClient", run_id: str) -> str | None:
    """Return `run_id` where the store has that run and nobody deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if is_missing(error):
            return None
        raise
    return run_id if run.info.lifecycle_stage == "active" else None


def find_run(client: "MlflowClient", run_id: str) -> str | None:
    """Return `run_id` where the store has that run, else the run that was re-created for it, or None."""
    return existing(client, run_id) or tagged(client, SOURCE_RUN, run_id)


def tagged(client: "MlflowClient", tag: str, value: str) -> str | None:
    """Return the oldest run of any experiment that has this tag with this value."""
    order, having = ["attributes.start_time ASC"], f"tags.`{tag}` = '{value}'"
    found = client.search_runs(experiment_ids(client), having, max_results=1, order_by=order)
    return found[0].info.run_id if found else None


def plugin_run(client: "MlflowClient") -> str | None:
    """Return the run that Kubeflow's plugin for MLflow made for this pipeline, if the plugin records in this store.

    Each pod of the pipeline has its id, though by default the plugin sets none of MLflow's own variables there.
    """
    try:
        settings = json.loads(os.environ.get(PLUGIN_VARIABLE) or "{}")
    except ValueError:
        return None
    values = {key.lower(): value for key, value in settings.items()} if isinstance(settings, dict) else {}
    run_id = values.get("parentrunid")
    return existing(client, run_id) if isinstance(run_id, str) and run_id else None


def find_kubeflow_run(client: "MlflowClient", pipeline: str | None = None) -> str | None:
    """Return the run of the Kubeflow run `pipeline`, by default of the one that this process is a task of.

    The latter was made by Kubeflow's plugin, or by a task.
    """
    own = os.environ.get("KFP_RUN_ID")
    if pipeline is None and own and (found := plugin_run(client)):
        return found
    pipeline = pipeline or own
    return tagged(client, PIPELINE, pipeline) if pipeline else None


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
    """Create a run, as a child of `parent` and in its experiment where given; `start` is in milliseconds since 1970.

    Runs of the `ladder` have an experiment of their own, so that the other one holds comparable models only.
    """
    tags = {**tags, "mlflow.source.name": "autoencoders", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    if parent:
        tags[PARENT] = parent
        number = client.get_run(parent).info.experiment_id
    else:
        number = experiment_id(client, experiment, LADDER_SUFFIX if ladder else "")
    return client.create_run(number, start, tags, run_name=name).info.run_id


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def experiment_ids(client: "MlflowClient") -> list[str]:
    """Return the ids of all experiments."""
    return [experiment.experiment_id for experiment in client.search_experiments()]


def experiment_id(client: "MlflowClient", name: str, ending: str = "") -> str:
    """Return the id of the experiment `name` with `ending`, created if need be.

    MLFLOW_EXPERIMENT_ID and MLFLOW_EXPERIMENT_NAME override `name`.
    """
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    if injected := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        if not ending:
            return client.get_experiment(injected).experiment_id
        name = client.get_experiment(injected).name
    models, name = name, name + ending
    note = ladder_note(models) if ending else experiment_note(name + LADDER_SUFFIX)
    found = client.get_experiment_by_name(name)
    if found is None:
        # Artifacts beside a local database need an absolute path: MLflow's default depends on the current folder.
        root = artifact_root()
        try:
            return client.create_experiment(name, artifact_location=root.as_uri() if root else None, tags={NOTE: note})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise _deleted_experiment(name, found.experiment_id)
    if NOTE not in found.tags:  # made by `mlflow run`, or by an earlier version
        client.set_experiment_tag(found.experiment_id, NOTE, note)
    return found.experiment_id


def require_store(experiment: str) -> None:
    """Raise `UserError` where MLflow does not answer, its database cannot be written, or an experiment is deleted.

    `experiment` is that of the models; the ladder's, whose runs come last, is checked as well. MLflow is not imported.
    """
    require_server(writes=True)
    for name, number in _deleted(_experiment_names(experiment)):
        raise _deleted_experiment(name, number)


def _experiment_names(experiment: str) -> list[str]:
    """Return the names of the experiments that runs will be in; none below a launcher's run, whose own exists."""
    if injected_run():
        return []
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or experiment
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        file = local_database()
        name = (experiment_name(file, number) if file else _ask("get", experiment_id=number).get("name")) or name
    return [name] if os.environ.get("KFP_RUN_ID") else [name, name + LADDER_SUFFIX]


def _deleted(names: list[str]) -> list[tuple[str, str]]:
    if file := local_database():
        return deleted_experiments(file, names)
    answers = {name: _ask("get-by-name", experiment_name=name) for name in names}
    deleted = {name: found for name, found in answers.items() if found.get("lifecycle_stage") == "deleted"}
    return [(name, str(found["experiment_id"])) for name, found in deleted.items()]


def _ask(method: str, **query: str) -> dict[str, Any]:
    """Return an experiment as MLflow's server describes it; an empty dictionary where it gives none."""
    import requests

    if server_address() is None:
        return {}
    try:
        found = get(f"/api/2.0/mlflow/experiments/{method}?{urlencode(query)}").json().get("experiment", {})
    except (requests.RequestException, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _deleted_experiment(name: str, number: str) -> UserError:
    return UserError(
        f"the MLflow experiment {name!r} is deleted. Restore it with `mlflow experiments restore -x {number}`, or set "
        "tracking.experiment to another name."
    )
