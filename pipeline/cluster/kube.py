"""The Kubernetes API, where this user may ask it: Argo's Workflows, logs and events of pods, and what exists.

What cannot be read fails nothing: the reason is kept or raised, to be shown.
"""

import json
import logging
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from autoencoders.errors import first_line, without_password
from pipeline import times

TIMEOUT = (3, 15)
"""Seconds to connect, and to wait for an answer."""
AGAIN = timedelta(minutes=5)
"""After this, a cluster that did not answer, or refused, is asked again."""
ROLE = "a Role with get and list on workflows, and get on pods/log, shows it: docs/kubernetes.md"
LOG_LINES = 400
MOUNT_TROUBLE = ("FailedMount", "FailedAttachVolume")


def kube_config() -> str | None:
    """Return the files of the kube config, as KUBECONFIG lists them, where one of them exists."""
    files = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    return files if any(Path(file).is_file() for file in files.split(os.pathsep)) else None


def failure_kind(error: Exception) -> str:
    """Return the name of the cause of a network error: the refusal or the timeout."""
    return type(getattr(error, "reason", None) or error).__name__


class Unseen(Exception):
    """Something cannot be read; `status` is that of HTTP, or 0 if there was no answer."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


class Kube:
    """The cluster that the kube config leads to, or the one around this process, and one namespace in it."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.no_workflow = ""
        """Why Workflows cannot be read; empty if they can, or were not read yet."""
        self.cluster = "the cluster"
        self._who = "the kube config"
        self._api: Any = None
        self._asked: datetime | None = None

    def workflow(self, run_id: str) -> dict[str, Any] | None:
        """Return Argo's Workflow of a run, or None if it cannot be read."""
        if self.no_workflow and self._asked and times.now() - self._asked < AGAIN:
            return None
        self._asked, self.no_workflow = times.now(), ""
        try:
            path = f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/workflows"
            items = self._json(path, labelSelector=f"pipeline/runid={run_id}").get("items") or []
        except Unseen as error:
            self.no_workflow = self._why(error)
            return None
        if not items:
            self.no_workflow = (
                f"{self.cluster} has no Workflow of this run in namespace {self.namespace} (another cluster, another "
                "--namespace, or it was cleaned up)"
            )
        return items[0] if items else None

    def log(self, pod: str) -> list[str]:
        """Return the last lines of a pod's log; raise `Unseen` if it cannot be read."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        try:
            text = self._get(path, container="main", tailLines=LOG_LINES)
        except Unseen as error:
            why = {
                404: "its pod is gone",
                403: f"{self._who} may not get pods/log in namespace {self.namespace}",
            }.get(error.status, str(error))
            raise Unseen(why, error.status) from None
        return text.decode("utf-8", "replace").splitlines()

    def mount_trouble(self, pod: str) -> str:
        """Return the message of a pod's last event if that is of a volume that cannot be mounted, else nothing."""
        try:
            answer = self._json(
                f"/api/v1/namespaces/{self.namespace}/events", fieldSelector=f"involvedObject.name={pod}"
            )
        except Unseen:
            return ""
        events = sorted(answer.get("items") or (), key=lambda event: event.get("lastTimestamp") or "")
        last = f"{events[-1].get('reason')}: {events[-1].get('message')}" if events else ""
        return last if last.startswith(MOUNT_TROUBLE) else ""

    def lacks(self, kind: str, name: str) -> bool:
        """Return whether the namespace certainly has no `secrets`, `services`, … of that name."""
        try:
            self._get(f"/api/v1/namespaces/{self.namespace}/{kind}/{name}")
        except Unseen as error:
            return error.status == 404
        return False

    def _why(self, error: Unseen) -> str:
        if error.status == 403:
            return f"{self._who} may not list workflows.argoproj.io in namespace {self.namespace} ({ROLE})"
        if error.status == 401:
            return f"{self._who}'s login is not accepted by {self.cluster} (HTTP 401)"
        if error.status == 404:
            return f"{self.cluster} has no Argo Workflows: it is another cluster than KFP's"
        return str(error)

    def _json(self, path: str, **query: Any) -> dict[str, Any]:
        try:
            found = json.loads(self._get(path, **query))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unseen(f"{self.cluster} does not answer as Kubernetes does")
        return found

    def _get(self, path: str, **query: Any) -> bytes:
        self._connect()
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = self._api.call_api(
                path, "GET", query_params=list(query.items()), header_params={"Accept": "*/*"},
                auth_settings=["BearerToken"], _preload_content=False, _request_timeout=TIMEOUT,
            )  # fmt: skip
            return bytes((answer[0] if isinstance(answer, tuple) else answer).data)
        except ApiException as error:
            raise Unseen(f"{self.cluster} answers with HTTP {error.status}", int(error.status or 0)) from None
        except (HTTPError, OSError, AttributeError) as error:
            raise Unseen(f"{self.cluster} does not answer ({failure_kind(error)})") from None

    def _connect(self) -> None:
        if self._api:
            return
        import kubernetes
        import urllib3

        logging.getLogger("urllib3").setLevel(logging.ERROR)
        configuration, files = kubernetes.client.Configuration(), kube_config()
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ:
                self._who = "this pod's service account"
                kubernetes.config.load_incluster_config(client_configuration=configuration)
            elif files:
                kubernetes.config.load_kube_config(files, client_configuration=configuration)
        except Exception as error:  # of whatever reads the file, or runs the program that it names for a login
            raise Unseen(f"{self._who} cannot be used ({first_line(error)})") from None
        if "KUBERNETES_SERVICE_HOST" not in os.environ and not files:
            raise Unseen("there is no kube config here (which rights show it: docs/kubernetes.md)")
        configuration.retries = urllib3.Retry(connect=0, read=0, redirect=2)
        self.cluster = f"the cluster of {self._who} ({without_password(configuration.host)})"
        self._api = kubernetes.client.ApiClient(configuration)
