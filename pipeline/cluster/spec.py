"""A run's pipeline spec: its tasks in the order in which they can run, the models, the limits of the pods."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components import component_names
from pipeline.cluster.nodes import Path

CHANNEL = "pipelinechannel--"
"""KFP's prefix of the names of inputs."""


@dataclass(frozen=True)
class Task:
    """A task, a loop or a nested pipeline."""

    name: str
    shown: str
    """The name that people gave it: `models` for KFP's ``for-loop-1``."""
    after: tuple[str, ...] = ()
    """Names of the tasks beside it that must be done before."""
    tasks: tuple["Task", ...] = ()
    """What is in it, in the order in which it can run."""
    items: tuple[str, ...] | None = None
    """Of a loop: the names of what it goes over, if they are known."""
    is_loop: bool = False


@dataclass(frozen=True)
class Limits:
    """What a task's pod may use."""

    image: str = ""
    memory: str = ""
    timeout: float = 0.0
    """Seconds; 0: any time."""


@dataclass(frozen=True)
class Spec:
    """A pipeline, as far as it is known."""

    tasks: tuple[Task, ...] = ()
    limits: Mapping[str, Limits] = field(default_factory=dict)
    """By the tasks' names."""
    models: tuple[str, ...] | None = None
    """The run's, if they are known without its spec."""

    def at(self, path: Path) -> Task | None:
        """Return what is at `path`, in any iteration of the loops on it."""
        within, found = self.tasks, None
        for name, _ in path:
            found = next((task for task in within if task.name == name), None)
            if found is None:
                return None
            within = found.tasks
        return found

    def paths(self) -> Iterator[Path]:
        """Yield the path of each task for each item of the loops that it is in, as far as these are known."""
        return _paths(self.tasks, ())


def read_spec(run: Mapping[str, Any], spec: Mapping[str, Any] | None) -> Spec:
    """Return the pipeline of a run, which KFP's API describes as `run`; `spec` is None if it cannot be had."""
    given = (run.get("runtime_config") or {}).get("parameters") or {}
    if not spec:
        return Spec(models=_names(given.get("models_params")))
    pipeline, platform = spec.get("pipeline_spec", spec), spec.get("platform_spec", {})
    root = pipeline["root"]
    declared = root.get("inputDefinitions", {}).get("parameters", {})
    values = {name: given.get(name, declaration.get("defaultValue")) for name, declaration in declared.items()}
    return Spec(_tasks(root["dag"], pipeline["components"], values), _limits(pipeline, platform))


def _tasks(dag: Mapping[str, Any], components: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Task, ...]:
    tasks = {}
    for name, raw in dag.get("tasks", {}).items():
        inner = components[raw["componentRef"]["name"]].get("dag", {})
        items = raw.get("parameterIterator", {}).get("items", {}).get("inputParameter", "")
        tasks[name] = Task(
            name=name,
            shown=raw.get("taskInfo", {}).get("name", name),
            after=tuple(raw.get("dependentTasks", ())),
            tasks=_tasks(inner, components, values),
            items=_names(values.get(items.removeprefix(CHANNEL))),
            is_loop="parameterIterator" in raw or "artifactIterator" in raw,
        )
    return tuple(_in_order(tasks))


def _in_order(tasks: dict[str, Task]) -> Iterator[Task]:
    """Yield the tasks so that each comes after what it depends on, else in the order of the stages."""
    left = dict(tasks)
    while left:
        ready = [task for task in left.values() if not left.keys() & set(task.after)]
        first = min(ready, key=lambda task: (_stage_order(task), task.name))
        yield left.pop(first.name)


def _stage_order(task: Task) -> int:
    """Return the place of a task among the stages; a loop or nested pipeline has that of the first stage in it."""
    return min((_stage_order(inner) for inner in task.tasks), default=stage_number(task.name))


def stage_number(name: str) -> int:
    """Return the place of a stage in dvc.yaml's order; names that are not stages come last."""
    order = component_names()
    return order.index(name) if name in order else len(order)


def _paths(tasks: tuple[Task, ...], above: Path) -> Iterator[Path]:
    for task in tasks:
        if not task.tasks:
            yield (*above, (task.name, None))
        for item in range(len(task.items or ())) if task.is_loop else (None,):
            yield from _paths(task.tasks, (*above, (task.name, item)))


def _names(items: Any) -> tuple[str, ...] | None:
    """Return the names of a loop's items: mappings of one entry, as models are."""
    if not isinstance(items, list) or not all(isinstance(item, Mapping) and len(item) == 1 for item in items):
        return None
    return tuple(next(iter(item)) for item in items)


def _limits(pipeline: Mapping[str, Any], platform: Mapping[str, Any]) -> dict[str, Limits]:
    pods = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    found = {}
    for label, executor in pipeline["deploymentSpec"]["executors"].items():
        container = executor.get("container", {})
        found[label.removeprefix("exec-")] = Limits(
            image=container.get("image", ""),
            memory=container.get("resources", {}).get("resourceMemoryLimit", ""),
            timeout=float(pods.get(label, {}).get("activeDeadlineSeconds", 0)),
        )
    return found
