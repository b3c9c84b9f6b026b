"""What MLflow knows of a pipeline, if MLFLOW_TRACKING_URI is set. Nothing fails without it."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from autoencoders.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

Answer = TypeVar("Answer")
VARIABLE = "MLFLOW_TRACKING_URI"
WORDS = {"RUNNING": "running", "FINISHED": "done", "FAILED": "failed", "KILLED": "stopped", "SCHEDULED": "waiting"}


def page(run: dict[str, Any]) -> str | None:
    """Return the page in MLflow of a run of KFP's: of the run that KFP's plugin made for it, or that its tasks made."""
    plugin = ((run.get("plugins_output") or {}).get("mlflow") or {}).get("entries") or {}
    if address := (plugin.get("run_url") or {}).get("value"):
        return str(address)
    if not os.environ.get(VARIABLE):
        return None
    from autoencoders.tracking.lineage import PIPELINE_RUN, run_urls

    return run_urls({}, run["run_id"]).get(PIPELINE_RUN)


def close(run_id: str, succeeded: bool, stopped: bool, task: str, error: str) -> None:
    """End MLflow's run of a pipeline that has ended: no task can see whether it was the last one."""
    if not _has_store():
        return
    from autoencoders.tracking.pipeline_run import close_pipeline

    status = "FINISHED" if succeeded else "KILLED" if stopped else "FAILED"
    close_pipeline(pipeline=run_id, status=status, task=task, error=error)


def failure(run_id: str) -> tuple[str, str]:
    """Return which task failed and its error, as MLflow's run of the pipeline has them."""
    from autoencoders.tracking.pipeline_run import ERROR, FAILED_TASK
    from autoencoders.tracking.store import PIPELINE, tagged

    def ask(client: "MlflowClient") -> tuple[str, str]:
        found = tagged(client, PIPELINE, run_id)
        tags = client.get_run(found).data.tags if found else {}
        return tags.get(FAILED_TASK, ""), tags.get(ERROR, "")

    return _ask(ask) or ("", "")


def task_runs(run_id: str) -> list[str]:
    """Return the runs of a pipeline's tasks with their states: ``train vae done``."""

    def ask(client: "MlflowClient") -> list[str]:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(experiments, f"tags.kfp_run = '{run_id}'", order_by=["attributes.start_time"])
        return [
            " ".join(word for word in (tags.get("kfp_task"), tags.get("model"), WORDS.get(status, status)) if word)
            for tags, status in ((run.data.tags, run.info.status) for run in runs)
        ]

    return _ask(ask) or []


def require_server() -> None:
    """Raise `UserError` where MLFLOW_TRACKING_URI names a server that does not answer."""
    if not os.environ.get(VARIABLE):
        return
    from autoencoders.tracking.client import require_server

    try:
        require_server()
    except UserError as error:
        first = str(error).split(". ")[0]
        raise UserError(
            f"{first}. Start it or correct {VARIABLE}; if the pods' address of MLflow is another one, unset {VARIABLE} "
            "to submit without asking."
        ) from None


def _has_store() -> bool:
    """Return whether MLflow's store exists: to ask for a database that does not exist would make one."""
    if not os.environ.get(VARIABLE):
        return False
    from autoencoders.tracking.client import local_database

    file = local_database()
    return file is None or file.exists()


def _ask(question: Callable[["MlflowClient"], Answer]) -> Answer | None:
    if not _has_store():
        return None
    from autoencoders.tracking.client import connect, require_server
    from autoencoders.tracking.recorder import is_failure_of_mlflow

    try:
        require_server()
        return question(connect())
    except UserError:
        return None
    except Exception as error:
        if is_failure_of_mlflow(error):
            return None
        raise
