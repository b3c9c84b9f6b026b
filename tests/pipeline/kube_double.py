"""A double of the Kubernetes API: Argo's Workflow as it was recorded, logs and events of pods, what exists."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from json_server import json_server

from pipeline import times

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/kubeflow/workflows"


class KubeDouble:
    """What is answered."""

    def __init__(self) -> None:
        self.host = ""
        self.asked: list[str] = []
        self.queries: list[dict[str, str]] = []
        self.always: tuple[int, Any] | None = None
        """What every request is answered with."""
        self.workflow: Callable[[datetime], dict[str, Any] | None] = lambda moment: None
        """Argo's Workflow by the moment."""
        self.run_id = ""
        self.logs: dict[str, str] = {}
        """A pod's name, or the end of it → its log; others are gone."""
        self.events: dict[str, list[tuple[str, str]]] = {}
        """A pod's name → reasons and messages of its events."""
        self.objects: dict[str, set[str]] = {"services": {"ml-pipeline"}}
        """Kind → names of what exists."""
        self.forbidden: set[str] = set()
        """Kinds that may not be read."""

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        split = urlsplit(path)
        self.asked.append(split.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        self.queries.append(query)
        if self.always:
            return self.always
        kind, *name = split.path.removeprefix("/api/v1/namespaces/kubeflow/").split("/")
        if split.path == WORKFLOWS:
            kind = "workflows"
        elif name[1:] == ["log"]:
            kind = "pods/log"
        if kind in self.forbidden:
            return self._failure(403, "Forbidden", f'{kind} is forbidden: User "me" cannot read {kind} in "kubeflow"')
        if kind == "workflows":
            workflow = self.workflow(times.now())
            fits = workflow and query["labelSelector"] == f"pipeline/runid={self.run_id}"
            return 200, {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "WorkflowList",
                "items": [workflow] if fits else [],
            }
        if kind == "pods/log":
            found = [log for end, log in self.logs.items() if name[0].endswith(end)]
            return (200, found[0]) if found else self._failure(404, "NotFound", f'pods "{name[0]}" not found')
        if kind == "events":
            pod = query["fieldSelector"].removeprefix("involvedObject.name=")
            return 200, {
                "items": [{"reason": reason, "message": message} for reason, message in self.events.get(pod, ())]
            }
        if name and name[0] in self.objects.get(kind, ()):
            return 200, {"kind": kind, "metadata": {"name": name[0]}}
        return self._failure(404, "NotFound", f'{kind} "{"/".join(name)}" not found')

    def _failure(self, code: int, reason: str, message: str) -> tuple[int, Any]:
        """The body with which Kubernetes refuses."""
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return code, {**status, "message": message, "reason": reason, "code": code}


def write_kube_config(path: Path, host: str) -> None:
    """Write a kube config that leads to `host`."""
    cluster = {"name": "c", "cluster": {"server": host}}
    context = {"name": "c", "context": {"cluster": "c", "user": "me"}}
    user = {"name": "me", "user": {"token": "mine"}}
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [cluster], "contexts": [context],
        "users": [user],
    }))  # fmt: skip


@contextmanager
def kubernetes() -> Iterator[KubeDouble]:
    double = KubeDouble()
    with json_server(lambda *request: double.answer(*request), with_query=True) as double.host:
        yield double
