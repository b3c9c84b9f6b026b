"""Addresses of runs' pages in MLflow, for those who read of them in Kubeflow Pipelines."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from autoencoders.errors import UserError
from autoencoders.tracking.client import ask_server, connect, run_page
from autoencoders.tracking.launch import PIPELINE, injected_run, plugin_run
from autoencoders.tracking.recorder import is_failure_of_mlflow
from autoencoders.tracking.store import PARENT, existing, recreated, tagged

if TYPE_CHECKING:
    from mlflow import MlflowClient

ABOVE = "pipeline"
"""Name of the pipeline's run among others."""


def pages(run_ids: Mapping[str, str], pipeline: str | None = None) -> dict[str, str]:
    """Return the page of each run (name → id), and as `pipeline` that of the Kubeflow run `pipeline`'s.

    Without it, the Kubeflow run is the one that this process is a task of. A run that this store lacks has the page of
    the one that was re-created for it. Where no server shows pages or it does not answer, there are none: nothing fails
    for the want of a link.
    """
    if run_page("", "") is None:
        return {}
    try:
        ask_server()
        client = connect()
        known = {ABOVE: _run_of_pipeline(client, pipeline)}
        known |= {name: existing(client, run_id) or recreated(client, run_id) for name, run_id in run_ids.items()}
        found = {name: client.get_run(run_id).info for name, run_id in known.items() if run_id}
    except UserError:
        return {}
    except Exception as error:
        if is_failure_of_mlflow(error):
            return {}
        raise
    return {name: str(run_page(info.experiment_id, info.run_id)) for name, info in found.items()}


def _run_of_pipeline(client: "MlflowClient", pipeline: str | None) -> str | None:
    if pipeline is None and (injected := injected_run()):
        return client.get_run(injected).data.tags.get(PARENT)
    if pipeline is None and (of_plugin := plugin_run(client)):
        return of_plugin
    pipeline = pipeline or os.environ.get("KFP_RUN_ID")
    return tagged(client, PIPELINE, pipeline) if pipeline else None
