"""What a real cluster answered (`recordings/README.md` says what is what)."""

import base64
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"


@cache
def recording(name: str) -> Any:
    """A file of the recordings."""
    return json.loads(gzip.decompress((RECORDINGS / f"{name}.json.gz").read_bytes()))


def nodes(workflow: str) -> dict[str, Any]:
    """The nodes of a recorded Workflow, by their names without the workflow's, unpacked where Argo had packed them."""
    recorded = recording(f"workflow-{workflow}")
    status, name = recorded["status"], recorded["metadata"]["name"]
    packed = status.get("compressedNodes")
    found = json.loads(gzip.decompress(base64.b64decode(packed))) if packed else status["nodes"]
    return {node["name"].removeprefix(name): node for node in found.values()}


def lengths(node: dict[str, Any]) -> dict[str, int]:
    """The length of each of a node's parameters: a long one was recorded as `(4624 characters)`."""
    parameters = [one for io in ("inputs", "outputs") for one in node.get(io, {}).get("parameters", ())]
    return {one["name"]: length(one["value"]) for one in parameters}


def length(value: str) -> int:
    words = value.split()
    return int(words[0][1:]) if len(words) == 2 and words[1] == "characters)" else len(value)
