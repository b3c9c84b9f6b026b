"""A run's tasks, one for each model, with drivers and attempts folded into their task."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from autoencoders.text import join_words
from pipeline.cluster import reasons
from pipeline.cluster.nodes import Node, Parts, Path, gather
from pipeline.cluster.reasons import PodContext, Reason, explain
from pipeline.cluster.spec import Limits, Spec, stage_number
from pipeline.cluster.states import State, TaskView

GRACE = 15.0
"""Seconds before a pod that does not start counts as a fault: an image may be pulled at the second try."""
UNSEEN = 45.0
"""Seconds after which a pod that KFP's API does not report as running counts as waiting."""
SKEW = timedelta(seconds=5)
"""Seconds by which the clocks of a cluster's parts may differ."""
MAX_NAMES = 3
"""Names that are listed before "and more"."""
MAY_GO_ON = "may be tried again"
"""The note of a task whose last attempt failed, until Argo says whether there is another."""


@dataclass(frozen=True)
class Context:
    """What else is known when the nodes of a run are read."""

    spec: Spec
    namespace: str
    now: datetime
    has_reasons: bool
    """Whether the nodes have messages: Argo's Workflow does, KFP's API does not."""
    is_live: bool = True
    """Whether the nodes are certainly up to date."""
    stopped: datetime | None = None
    """When somebody had the run stopped."""
    mounts: Mapping[str, str] = field(default_factory=dict)
    """What the events of a pod say of its volumes, by its name."""

    def age(self, node: Node) -> float:
        """Return for how many seconds there has been a node."""
        return (self.now - node.started).total_seconds() if node.started else 0.0

    def of_pod(self, stage: str) -> PodContext:
        """Return what messages about a stage's pods are about."""
        return PodContext(stage, self.namespace, self.spec.limits.get(stage, Limits()))


def view(nodes: Collection[Node], context: Context) -> list[TaskView]:
    """Return the tasks of a run in the order in which they can run, model by model."""
    parts = gather(nodes)
    known = list(context.spec.paths())
    groups = {path[:depth] for path in (*known, *parts) for depth in range(len(path))}
    others = [path for path in parts if path not in known]  # in the order in which they began
    order = {path: _order(path, context.spec, parts) for path in (*known, *others)}
    tasks = {path: _task(path, parts.get(path, Parts()), context) for path in sorted(order, key=order.__getitem__)}
    # A loop or a nested pipeline says nothing of itself, but where KFP's driver of it has failed or cannot start.
    tasks = {
        path: task
        for path, task in tasks.items()
        if not _is_group(path, groups) or (task.is_driver and task.state in (State.FAILED, State.WAITING))
    }
    return [
        replace(task, note=_after(path, context.spec, tasks)) if task.state == State.NOT_STARTED else task
        for path, task in tasks.items()
    ]


def _after(path: Path, spec: Spec, tasks: Mapping[Path, TaskView]) -> str:
    """Return what has to be done before a task that has not started."""
    for depth in range(len(path), 0, -1):
        above, task = path[: depth - 1], spec.at(path[:depth])
        left = [
            other.shown
            for name in (task.after if task else ())
            if (other := spec.at((*above, (name, None)))) and not _is_done((*above, (name, None)), tasks)
        ]
        if len(left) > MAX_NAMES + 1:
            left = [*left[:MAX_NAMES], f"{len(left) - MAX_NAMES} more"]
        if left:
            return f"after {join_words(left)}"
    return ""


def _is_done(path: Path, tasks: Mapping[Path, TaskView]) -> bool:
    """Return whether all that is at `path` is done, in all iterations of a loop there."""
    *above, (name, _) = path
    return all(
        task.state in (State.DONE, State.REUSED)
        for other, task in tasks.items()
        if other[: len(above)] == tuple(above) and len(other) > len(above) and other[len(above)][0] == name
    )


def _is_group(path: Path, groups: Collection[Path]) -> bool:
    """Return whether a loop or a nested pipeline is at `path`, or the pipeline itself."""
    return path in groups or not path or path[-1][0].startswith("for-loop-")


def _order(path: Path, spec: Spec, parts: Collection[Path]) -> tuple[tuple[int, int], ...]:
    """Return what sorts a path: by the pipeline spec, or, if that does not have it, by the stages' order."""
    key, tasks = [], spec.tasks
    for depth, (name, item) in enumerate(path):
        names = [task.name for task in tasks]
        if name in names:
            rank = names.index(name)
            tasks = tasks[rank].tasks
        else:
            like = [step for step, _ in path[: depth + 1]]
            below = [other for other in parts if [step for step, _ in other[: depth + 1]] == like]
            rank, tasks = len(names) + min((stage_number(other[-1][0]) for other in below), default=0), ()
        key.append((rank, -1 if item is None else item))
    return tuple(key)


def _task(path: Path, parts: Parts, context: Context) -> TaskView:
    name, stage = _name(path, context.spec), path[-1][0] if path else ""
    if not (parts.task or parts.drivers or parts.executors):
        return TaskView(name, stage, State.NOT_STARTED)
    driver = parts.drivers[-1] if parts.drivers else None
    if parts.executors:
        return _executed(TaskView(name, stage, State.STARTING, pod=parts.executors[-1]), parts, context)
    if driver and driver.phase != "Omitted":
        return _prepared(TaskView(name, stage, State.STARTING, pod=driver, is_driver=True), driver, parts, context)
    omitted = any(node.phase == "Omitted" for node in (*parts.task, *parts.drivers))
    return TaskView(name, stage, State.NOT_RUN if omitted else State.STARTING)


def _name(path: Path, spec: Spec) -> str:
    """Return the task's name with those of the items of the loops that it is in: ``train vae``, or ``train #3``."""
    items = []
    for depth, (_, item) in enumerate(path, 1):
        if item is not None:
            task = spec.at(path[:depth])
            names = (task.items if task else spec.models) or ()
            items.append(names[item] if item < len(names) else f"#{item + 1}")
    last = spec.at(path)
    return " ".join([last.shown if last else path[-1][0] if path else "the pipeline", *items])


def _prepared(task: TaskView, driver: Node, parts: Parts, context: Context) -> TaskView:
    """Return a task that has no pod of its own yet: KFP's driver prepares it."""
    task = replace(task, since=driver.started, is_active=driver.phase == "Running" or "Running" in driver.maybe)
    if driver.phase in ("Failed", "Error"):
        return _ended_badly(task, driver, parts.drivers, parts, context)
    return _pending(task, driver, context) if driver.phase == "Pending" and not driver.maybe else task


def _executed(task: TaskView, parts: Parts, context: Context) -> TaskView:
    first, last = parts.executors[0], parts.executors[-1]
    earlier = _earlier(parts.executors[:-1])
    if last.phase == "Skipped":
        return replace(task, state=State.REUSED, ended=last.ended)
    if last.phase == "Omitted":
        return replace(task, state=State.NOT_RUN)
    if last.phase == "Succeeded" and not last.maybe:
        note = f"{len(parts.executors)} attempts" if earlier else ""
        return replace(task, state=State.DONE, note=note, since=first.started, ended=last.ended)
    task = replace(task, since=last.started, note=earlier)
    phases = {last.phase} | last.maybe
    if phases == {"Pending"}:
        return _pending(task, last, context)
    task = replace(task, is_active=True)
    if "Pending" in phases:
        return replace(task, note="or running: KFP does not say which of the pods run")
    if phases & {"Failed", "Error"} and not last.maybe:
        task = replace(task, since=first.started, is_active=False)
        return _ended_badly(task, last, parts.executors, parts, context)
    return replace(task, state=State.RUNNING)


def _earlier(attempts: list[Node]) -> str:
    """Return which attempt follows these, and how the last of them ended."""
    if not attempts:
        return ""
    which = f"attempt {len(attempts) + 1}"
    message = attempts[-1].message
    if not message:
        return which
    before = "the first pod" if len(attempts) == 1 else "the pod before"
    why = "was lost" if reasons.LOST.match(message) else f"failed, {explain(message, PodContext('', '')).text}"
    return f"{which}: {before} {why}"


def _pending(task: TaskView, pod: Node, context: Context) -> TaskView:
    message = context.mounts.get(pod.pod) or pod.message
    if context.has_reasons and not reasons.STARTING.fullmatch(message) and context.age(pod) >= GRACE:
        return replace(task, state=State.WAITING, reason=explain(message, context.of_pod(task.stage)))
    if not context.has_reasons and context.is_live and context.age(pod) >= UNSEEN:
        return replace(task, state=State.WAITING, reason=Reason("its pod is not reported as running"))
    return task


def _ended_badly(task: TaskView, pod: Node, attempts: list[Node], parts: Parts, context: Context) -> TaskView:
    whole = parts.whole[-1] if parts.whole else pod
    message = whole.message if "Max duration" in whole.message or not pod.message else pod.message
    was_stopped = context.stopped is not None and (pod.ended is None or pod.ended >= context.stopped - SKEW)
    if reasons.STOPPED.match(message) or (was_stopped and not message):
        return replace(task, state=State.STOPPED, ended=pod.ended, note="")
    if task.is_driver:
        reason: Reason | None = Reason("KFP could not prepare it")
    else:
        reason = explain(message, context.of_pod(task.stage)) if message else None
    note = f"{len(attempts)} attempts" if len(attempts) > 1 else ""
    if whole.ended is None:
        note = MAY_GO_ON
    return replace(task, state=State.FAILED, reason=reason, ended=pod.ended, note=note)
