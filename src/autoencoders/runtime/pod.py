"""What is special to a process in a pod: its environment, its run, and how it ends."""

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from autoencoders.runtime.process import print_to_stderr

TRACKING_URI = "AUTOENCODERS_TRACKING_URI"
"""Environment variable: MLflow's address, for pods. MLFLOW_TRACKING_URI goes before it: Kubeflow's plugin for MLflow
adds that one to pods, and Kubernetes refuses a pod in which the profile sets it, too."""
SECRETS = Path("/etc/autoencoders")
"""Folder below which secrets are mounted whose keys are environment variables: `<secret>/<variable>`."""
UNTIL_KILLED = 3600.0
"""Seconds for which a stopped task waits to be killed; then it ends by itself."""

filled: set[str] = set()
"""Variables that `complete_environment` has set: what runs on other nodes takes them from where this process did."""


def kfp_run() -> str | None:
    """Return the id of the Kubeflow run in whose pod this process is; None if it is in no pod of Kubeflow's."""
    return os.environ.get("KFP_RUN_ID") or None if os.environ.get("KUBERNETES_SERVICE_HOST") else None


def complete_environment() -> None:
    """Set what is not set: the variables of mounted secrets, and MLflow's address by `TRACKING_URI`."""
    for file in sorted(SECRETS.glob("*/*")):
        if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", file.name) and file.name not in os.environ and file.is_file():
            _set(file.name, os.fsdecode(file.read_bytes()).removesuffix("\n"))
    if not os.environ.get("MLFLOW_TRACKING_URI") and (uri := os.environ.get(TRACKING_URI)):
        _set("MLFLOW_TRACKING_URI", uri)


def _set(name: str, value: str) -> None:
    if "\0" not in value:  # a secret may hold what is no text
        os.environ[name] = value
        filled.add(name)


def wait_when_stopped() -> None:
    """From now on, have SIGTERM make this process wait to be killed, whatever it is doing."""
    signal.signal(signal.SIGTERM, lambda number, frame: wait_to_be_killed(128 + number))


def wait_to_be_killed(code: int) -> NoReturn:
    """Wait for SIGKILL, and exit with `code` if that does not come.

    Kubeflow Pipelines counts a task whose container exits as failed, with any code, and tries it again where its pod
    is lost: a drained node costs a run, unless the container is still there when the pod goes.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print_to_stderr("stopped: what is done is kept. Waiting to be killed, so that Kubeflow tries again.")
    time.sleep(UNTIL_KILLED)
    sys.exit(code)
