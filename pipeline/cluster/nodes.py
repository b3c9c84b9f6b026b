"""What runs in a cluster for a pipeline: Argo's nodes, by their full names.

``wf(0).root(0).for-loop-1(0).iteration-iterations(2:2)(0).iteration-item(0).train(0).executor(1)`` is such a name: the
path to a node. ``(n)`` is the n-th attempt at what stands before it, where KFP's manifests let Argo try again; older
ones do not, and have no such twins. ``(2:2)`` is an iteration of a loop. Of a task `train` there are a driver, a pod of
KFP's that prepares it, and an executor, the pod that runs it."""

import base64
import gzip
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pipeline.times import moment

LOOP = "iteration-iterations"
ITEM = "iteration-item"
DRIVER = "-driver"
OUTER_DRIVERS = ("root-driver", "iteration-driver", "iteration-item-driver")
"""Drivers of the pipeline, of a loop, and of one of its iterations: of what they stand in."""
SEGMENT = re.compile(r"(?P<name>[^()]+)(?:\((?P<index>\d+):[^()]*\))?(?:\((?P<attempt>\d+)\))?")

Step = tuple[str, int | None]
"""The name of a task, a nested pipeline or a loop, and which iteration of the loop."""
Path = tuple[Step, ...]
"""From the pipeline to one of its tasks; that of the pipeline itself is empty."""
Role = Literal["task", "driver", "executor"]


@dataclass(frozen=True)
class Node:
    """One node of Argo's."""

    name: str
    phase: str
    """Argo's word: Pending, Running, Succeeded, Failed, Error, Skipped (from KFP's cache), Omitted (never ran)."""
    message: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    pod: str = ""
    """The name of its pod, if it has one and the name is known."""
    log: str = ""
    """Where Argo has put the pod's log, in the artifact store."""
    maybe: frozenset[str] = frozenset()
    """Other phases that it may be in: nodes that began in one moment cannot always be distinguished."""


@dataclass
class Parts:
    """The nodes of one task, loop or nested pipeline."""

    task: list[Node] = field(default_factory=list)
    drivers: list[Node] = field(default_factory=list)
    executors: list[Node] = field(default_factory=list)
    whole: list[Node] = field(default_factory=list)
    """Of a driver or executor with several attempts: the node of all of them."""


def locate(name: str) -> tuple[Path, Role, int | None]:
    """Return a node's task, its role, and the number of the attempt (None: the node is of all attempts).

    Raise `ValueError` for what is no name of a node.
    """
    path: list[Step] = []
    role: Role = "task"
    attempt: int | None = None
    for segment in name.split(".")[1:]:
        found = SEGMENT.fullmatch(segment)
        if not found:
            raise ValueError(f"{name!r} is no name of a node")
        base, index, attempt = found["name"], found["index"], int(found["attempt"]) if found["attempt"] else None
        if base == "root" or base == ITEM:
            continue
        if base == LOOP:
            if index is not None:
                path[-1] = (path[-1][0], int(index))
        elif base == "executor":
            role = "executor"
        elif base.endswith(DRIVER):
            role = "driver"
            if base not in OUTER_DRIVERS:
                path.append((base.removesuffix(DRIVER), None))
        else:
            path.append((base, None))
    return tuple(path), role, attempt


def gather(nodes: Collection[Node]) -> dict[Path, Parts]:
    """Return the nodes of each task, loop and nested pipeline, oldest first.

    Drivers and executors are pods: the attempts, where a node has such.
    """
    found: dict[Path, Parts] = {}
    twins = {re.sub(r"\(\d+\)$", "", node.name) for node in nodes if node.name.endswith(")")}
    for node in sorted(nodes, key=lambda node: (node.started is None, node.started, node.name)):
        path, role, attempt = locate(node.name)
        parts = found.setdefault(path, Parts())
        if role == "task":
            if attempt is None:
                parts.task.append(node)
        elif attempt is not None or node.name not in twins:
            (parts.executors if role == "executor" else parts.drivers).append(node)
        else:
            parts.whole.append(node)
    return found


def workflow_nodes(workflow: dict[str, Any]) -> list[Node]:
    """Return the nodes of a Workflow, also where Argo has packed them because they are many."""
    status = workflow.get("status") or {}
    raw = status.get("nodes") or _unpack(status.get("compressedNodes"))
    name = workflow["metadata"]["name"]
    return [_node(name, node) for node in raw.values()]


def _unpack(packed: str | None) -> dict[str, Any]:
    return json.loads(gzip.decompress(base64.b64decode(packed))) if packed else {}


def _node(workflow: str, node: dict[str, Any]) -> Node:
    stored = [
        artifact.get("s3", {}).get("key", "")
        for artifact in (node.get("outputs") or {}).get("artifacts") or ()
        if artifact["name"] == "main-logs"
    ]
    return Node(
        name=node["name"],
        phase=node.get("phase") or "Pending",
        message=node.get("message") or "",
        started=moment(node.get("startedAt")),
        ended=moment(node.get("finishedAt")),
        pod=pod_name(workflow, node.get("templateName", ""), node["id"]) if node["type"] == "Pod" else "",
        log=stored[0] if stored else "",
    )


def pod_name(workflow: str, template: str, node_id: str) -> str:
    """Return the name of a node's pod: the node's id with the name of its template in it."""
    return f"{workflow}-{template}-{node_id.rsplit('-', 1)[1]}"
