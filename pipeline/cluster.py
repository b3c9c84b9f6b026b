"""Talking to a Kubeflow Pipelines server: sending a run, following it, saying in one line what went wrong."""

import contextlib
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from autoencoders.errors import UserError, first_line, without_password
from autoencoders.tracking.links import ABOVE, pages

ENDPOINT = "KF_PIPELINES_ENDPOINT"
"""KFP's own environment variable for the server's address."""
TOKEN = "KFP_TOKEN"
"""Environment variable with a bearer token: on the command line, all users of the machine would see it."""
TIMEOUT = 10.0
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
PATIENCE = 300.0
"""Seconds for which the server may be away while a run is followed; the run itself goes on."""


@dataclass(frozen=True)
class Server:
    """Where the server is, and who asks."""

    host: str | None = None
    """None: in a cluster the one of that cluster, else the one that the kube config leads to."""
    token_file: Path | None = None
    namespace: str | None = None
    """Of the user, where the server has several."""

    @property
    def address(self) -> str | None:
        """The host with its scheme."""
        host = self.host or os.environ.get(ENDPOINT)
        if not host:
            return None
        return (host if host.startswith(("http://", "https://")) else f"https://{host}").rstrip("/")

    def token(self) -> str | None:
        """Return the bearer token; raises `UserError` where its file cannot be read."""
        if not self.token_file:
            return os.environ.get(TOKEN) or None
        try:
            return self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--token-file {self.token_file} cannot be read ({error}).") from None


@dataclass(frozen=True)
class Submission:
    """What is sent."""

    pipeline: str
    """The compiled pipeline."""
    arguments: dict[str, Any]
    experiment: str
    name: str
    service_account: str | None
    cron: str | None = None
    """Six fields, seconds first: a recurring run instead of one."""


class Cluster:
    """A connection to a server; raises `UserError` within seconds where it does not answer or refuses."""

    def __init__(self, server: Server) -> None:
        self._name = server.address or "the cluster's Kubeflow Pipelines server"
        _require(server)
        import kfp

        warnings.filterwarnings("ignore", category=FutureWarning, module="kfp")
        with self._telling():
            self._client = kfp.Client(
                host=server.address, existing_token=server.token(), namespace=server.namespace or "kubeflow"
            )
        self._namespace = server.namespace

    def submit(self, one: Submission) -> str:
        """Send a run, or with `cron` a recurring one, print links, and return its id."""
        with self._telling(), tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "autoencoders.yaml"
            file.write_text(one.pipeline, encoding="utf-8")
            experiment = self._client.create_experiment(one.experiment, namespace=self._namespace)
            common = {
                "pipeline_package_path": str(file),
                "params": one.arguments,
                "service_account": one.service_account,
            }
            if one.cron:
                made = self._client.create_recurring_run(
                    experiment.experiment_id, one.name, cron_expression=one.cron, no_catchup=True, **common
                )
                print(f"Recurring run {made.recurring_run_id}: {one.name}, {one.cron}")
                return str(made.recurring_run_id)
            return str(self._client.run_pipeline(experiment.experiment_id, one.name, **common).run_id)

    def show(self, run_id: str) -> int:
        """Print a run, the states of its tasks and what went wrong; returns 0 where nothing did, yet."""
        run = self._get(run_id)
        print(f"{run.display_name} ({run.run_id}): {run.state}")
        for task in _tasks(run):
            print(f"  {task.display_name:14} {_told(task)}")
        print(f"Run details: {self._link(run_id)}")
        return self._end(run)

    def follow(self, run_id: str, interval: float = 5.0) -> int:
        """Print each change of a task's state until the run has ended; returns 0 where it succeeded, else 1.

        (kfp's own waiting takes a cancelled run for one that goes on.)
        """
        seen: dict[str, str] = {}
        away: float | None = None
        while True:
            try:
                run = self._get(run_id)
                away = None
            except Unreachable as error:
                away = away or time.monotonic()
                if time.monotonic() - away > PATIENCE:
                    raise UserError(f"{error} The run goes on: look at it later with `status {run_id}`.") from None
                time.sleep(interval)
                continue
            for task in _tasks(run):
                if seen.get(task.task_id) != task.state:
                    seen[task.task_id] = task.state
                    print(f"{datetime.now():%H:%M:%S}  {task.display_name:14} {_told(task)}", flush=True)
            if run.state in ENDED:
                print(f"{run.display_name}: {run.state}. {self._link(run_id)}", flush=True)
                return self._end(run)
            time.sleep(interval)

    def _get(self, run_id: str) -> Any:
        with self._telling(f"there is no run {run_id!r}"):
            return self._client.get_run(run_id)

    def _end(self, run: Any) -> int:
        """Print where the run is in MLflow, and what went wrong; returns 1 where it has ended without success."""
        if page := _in_mlflow(run):
            print(f"In MLflow: {page}", flush=True)
        if run.error and run.error.message:
            print(f"error: {_line(run.error.message)}", file=sys.stderr)
        return int(run.state in ENDED and run.state != "SUCCEEDED")

    def _link(self, run_id: str) -> str:
        return f"{self._client._get_url_prefix()}/#/runs/details/{run_id}"

    @contextlib.contextmanager
    def _telling(self, missing: str = "it has no Kubeflow Pipelines API of version 2") -> Iterator[None]:
        """Turn what the client raises into one line."""
        from kfp_server_api.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        name = without_password(self._name)
        try:
            yield
        except ApiException as error:
            if error.status in (401, 403):
                raise UserError(_refusal(name, error.status)) from None
            if error.status == 404:
                raise UserError(f"{name}: {missing}.") from None
            if error.status in (502, 503, 504):
                raise Unreachable(f"{name} is in trouble (HTTP {error.status}).") from None
            raise UserError(f"{name} refuses: {_line(_message(error))}") from None
        except (HTTPError, TimeoutError, OSError) as error:
            raise Unreachable(f"{name} does not answer ({type(error).__name__}).") from None


class Unreachable(UserError):
    """The server does not answer, and may do so later."""


def _require(server: Server) -> None:
    """Raise `UserError` within seconds: kfp's client asks five times, five seconds apart."""
    if server.address is None:
        kube = Path(os.environ.get("KUBECONFIG", "~/.kube/config")).expanduser()
        if "KUBERNETES_SERVICE_HOST" not in os.environ and not kube.exists():
            raise UserError(
                f"which server? Name it with --host or {ENDPOINT}, such as --host http://localhost:8080 behind "
                "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`."
            )
        return
    name, token = without_password(server.address), server.token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = requests.get(f"{server.address}/apis/v2beta1/healthz", headers=headers, timeout=TIMEOUT)
    except (requests.RequestException, UnicodeError) as error:
        raise UserError(
            f"{name} does not answer ({type(error).__name__}). Is the address right, and the port forwarded?"
        ) from None
    if answer.status_code in (401, 403):
        raise UserError(_refusal(name, answer.status_code))
    if answer.status_code != 200 or "json" not in answer.headers.get("content-type", ""):
        raise UserError(
            f"{name} is no Kubeflow Pipelines server of version 2 (HTTP {answer.status_code} for its health)."
        )


def _refusal(name: str, status: int) -> str:
    return (
        f"{name} refuses access (HTTP {status}). Give a token with --token-file or {TOKEN}; where the server has "
        "several users, name yours with --namespace."
    )


def _tasks(run: Any) -> list[Any]:
    """Return the tasks of stages, without those that KFP adds to drive and to group them."""
    details = (run.run_details.task_details if run.run_details else None) or []
    own, groups = ("root", "executor"), ("for-loop-", "iteration")
    return [
        task
        for task in details
        if task.display_name
        and task.display_name not in own
        and not task.display_name.startswith(groups)
        and "driver" not in task.display_name
    ]


def _in_mlflow(run: Any) -> str | None:
    """Return the address of a run's page in MLflow, where KFP's plugin tells it or MLFLOW_TRACKING_URI leads there."""
    plugin = (run.plugins_output or {}).get("mlflow")
    address = ((plugin.entries if plugin else None) or {}).get("run_url")
    return str(address.value) if address else pages({}, run.run_id).get(ABOVE)


def _told(task: Any) -> str:
    why = f": {_line(task.error.message)}" if task.error and task.error.message else ""
    return f"{task.state}{why}"


def _message(error: Any) -> str:
    """Return the message in the body of KFP's answer."""
    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        return str(error.reason)
    return str(body.get("message") or body.get("error") or error.reason) if isinstance(body, dict) else str(body)


def _line(text: str) -> str:
    return first_line(Exception(" ".join(text.split())))
