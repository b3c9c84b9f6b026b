"""Asking the server of Kubeflow Pipelines, from inside a task, how a run ended."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KFP_SERVER = "http://ml-pipeline.kubeflow:8888"
"""The usual address of Kubeflow Pipelines' server, for pods of other namespaces than its own."""
TOKEN_FILE = "/var/run/secrets/kubeflow/pipelines/token"
REQUEST_TIMEOUT = 2.0  # seconds


def ended_status(pipeline: str) -> str | None:
    """Return MLflow's status for the Kubeflow run `pipeline`; None where it has not ended, or is unknown there.

    Raise `OSError` where the server does not answer.
    """
    import requests

    host, port = (os.environ.get(f"ML_PIPELINE_SERVICE_{what}") for what in ("HOST", "PORT"))
    server = f"http://{host}:{port}" if host and port else KFP_SERVER
    token = Path(os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or TOKEN_FILE)
    headers = {"Authorization": f"Bearer {token.read_text(encoding='utf-8').strip()}"} if token.exists() else {}
    answer = requests.get(f"{server}/apis/v2beta1/runs/{pipeline}", headers=headers, timeout=REQUEST_TIMEOUT)
    run = answer.json() if answer.ok else None
    return status_in(run) if isinstance(run, dict) else None


def status_in(run: Mapping[str, Any]) -> str | None:
    """Return MLflow's status for a Kubeflow run as its server describes it; None for one that has not ended.

    A run that was terminated by hand ends as FAILED there; that it was CANCELING before distinguishes it.
    """
    history = [step.get("state") for step in run.get("state_history") or []]
    state = "CANCELED" if run.get("state") == "FAILED" and "CANCELING" in history else run.get("state")
    return {"SUCCEEDED": "FINISHED", "FAILED": "FAILED", "CANCELED": "KILLED"}.get(str(state))
