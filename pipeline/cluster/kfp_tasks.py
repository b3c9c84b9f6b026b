"""The tasks of a run as KFP's API lists them, as nodes.

Its tasks are Argo's nodes without their full names: `train` does not name its model or the loop around it.
But each lists its children by their ids, and an id is a hash of a full name. So names are guessed, from the run's
downwards, and a guess whose hash is among the ids is right.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.cluster.nodes import Node
from pipeline.times import moment

PHASES = {
    "PENDING": "Pending", "RUNNING": "Running", "SUCCEEDED": "Succeeded", "SKIPPED": "Skipped", "FAILED": "Failed",
    "CANCELING": "Running", "CANCELED": "Failed", "PAUSED": "Running",
}  # fmt: skip
SAME_MOMENT = 2.0
"""Seconds within which Argo makes a node and its first attempt."""
IMPOSSIBLE = 1e6
FNV_BASIS, FNV_PRIME = 0x811C9DC5, 0x01000193


@dataclass(frozen=True)
class TaskList:
    """What KFP's API lists of a run."""

    nodes: list[Node]
    changed: datetime | None
    """When the server last learned of a change."""
    executions: list[datetime]
    """When the executions that ML Metadata knows have ended; not from the cache, and of attempts that were finished."""

    @property
    def is_whole(self) -> bool:
        """Whether the pipeline itself has ended, as far as the list knows."""
        return any("." not in node.name and not node.name.endswith(")") and node.ended for node in self.nodes)


def read_tasks(run: dict[str, Any]) -> TaskList:
    """Return the tasks in KFP's answer for a run."""
    details = (run.get("run_details") or {}).get("task_details") or []
    tasks = [task for task in details if task.get("display_name")]
    changes = [moment(entry.get("update_time")) for task in tasks for entry in task.get("state_history") or ()]
    ends = [moment(task.get("end_time")) for task in details if task.get("execution_id")]
    return TaskList(
        nodes=_nodes(tasks),
        changed=max((change for change in changes if change), default=None),
        executions=sorted(end for end in ends if end),
    )


def fnv1a(text: str, start: int = FNV_BASIS) -> int:
    """Return the 32 bit FNV-1a hash of `text`; `start` is the hash of what comes before it."""
    value = start
    for byte in text.encode():
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return value


def full_names(shown: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """Return the full names of the nodes with these `ids` (id → name), of which these names are `shown`."""
    open_ids, shown = set(ids), set(shown)
    workflow = next((name for name in shown if any(node.rpartition("-")[0] == name for node in open_ids)), None)
    if workflow is None:
        return {}
    plain = [f".{name}" for name in shown if not name.endswith(")")]
    numbered = [name for name in shown if name.endswith(")")]  # an attempt or an iteration: beside what it is of
    names = {workflow: workflow}
    todo = [workflow]
    while todo and open_ids:
        name = todo.pop()
        last, start = name.rpartition(".")[2], fnv1a(name)
        for tail in plain + [attempt[len(last) :] for attempt in numbered if attempt.startswith(f"{last}(")]:
            node = f"{workflow}-{fnv1a(tail, start)}"
            if node in open_ids:
                open_ids.remove(node)
                names[node] = name + tail
                todo.append(name + tail)
    return names


def _nodes(tasks: list[dict[str, Any]]) -> list[Node]:
    children = [[child["pod_name"] for child in task.get("child_tasks") or ()] for task in tasks]
    names = full_names((task["display_name"] for task in tasks), (child for row in children for child in row))
    open_names: dict[str, set[str]] = {}
    for name in names.values():
        open_names.setdefault(name.rpartition(".")[2], set()).add(name)
    found: dict[str, Node] = {}
    rest = []
    for task, row in zip(tasks, children, strict=True):
        fitting = _fitting(open_names.get(task["display_name"], set()), [names[node] for node in row if node in names])
        if len(fitting) == 1:
            [name] = fitting
            found[name] = _node(name, task)
        else:
            rest.append(task)
    for shown in {task["display_name"] for task in rest}:
        left = sorted(open_names.get(shown, set()) - found.keys())
        of_them = [task for task in rest if task["display_name"] == shown]
        found |= _by_time(left, of_them, found, names.values())
    return list(found.values())


def _fitting(names: set[str], children: list[str]) -> set[str]:
    """Return those of `names` whose node can have these children: in it, attempts at it, or next to it."""
    if len(names) > 1 and children:
        within = {name for name in names if any(child.startswith((f"{name}.", f"{name}(")) for child in children)}
        around = {child.rpartition(".")[0] for child in children}
        return within or {name for name in names if {name.rpartition(".")[0]} == around}
    return names


def _by_time(
    names: list[str], tasks: list[dict[str, Any]], found: dict[str, Node], known: Collection[str]
) -> dict[str, Node]:
    """Return nodes for tasks without children, such as pods: each where what it is in began and ended as it did.

    Where two began in one moment and could change places, each may be in the other's state.
    """
    nodes = [_node("", task) for task in tasks]
    cost = {(name, at): _misfit(node, name, found, known) for name in names for at, node in enumerate(nodes)}
    places: dict[str, int] = {}
    for name, at in sorted(cost, key=lambda pair: (cost[pair], pair)):
        if name not in places and at not in places.values():
            places[name] = at

    def others(name: str, at: int) -> frozenset[str]:
        changes = [there for other, there in places.items() if cost[name, there] + cost[other, at] < IMPOSSIBLE]
        return frozenset(nodes[there].phase for there in changes) - {nodes[at].phase}

    return {name: _node(name, tasks[at], others(name, at)) for name, at in places.items()}


def _misfit(node: Node, name: str, found: dict[str, Node], known: Collection[str]) -> float:
    """Return how badly a node fits a name: the seconds between its beginning and that of the parent of the name."""
    attempt = re.fullmatch(r"(.+)\((\d+)\)", name)
    parent = found.get(attempt[1] if attempt else name.rpartition(".")[0])
    if not (parent and parent.started and node.started):
        return IMPOSSIBLE
    seconds = (node.started - parent.started).total_seconds()
    if attempt and attempt[2] != "0" and seconds > 0:
        seconds = 0  # a further attempt begins at any time
    is_last = attempt is not None and f"{attempt[1]}({int(attempt[2]) + 1})" not in known
    if (
        abs(seconds) > SAME_MOMENT
        or (parent.ended and (not node.ended or node.ended > parent.ended))
        or (parent.ended and is_last and parent.phase != node.phase)
    ):
        return IMPOSSIBLE + abs(seconds)
    return abs(seconds) + (0 if parent.ended or not node.ended else 0.5)


def _node(name: str, task: dict[str, Any], maybe: frozenset[str] = frozenset()) -> Node:
    ended = moment(task.get("end_time"))
    state = task.get("state")
    return Node(
        name=name,
        phase=PHASES.get(state, "Pending") if state else "Omitted" if ended else "Pending",
        started=moment(task.get("start_time")),
        ended=ended,
        maybe=maybe,
    )
