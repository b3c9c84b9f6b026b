"""Argo's Workflow object as nodes: what runs, and why something does not."""

import base64
import gzip
import json
from typing import Any

from pipeline.cluster.nodes import Node
from pipeline.cluster.times import moment


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
