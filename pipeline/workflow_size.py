"""How much Argo keeps of a run: the size of its Workflow object, estimated from the compiled pipeline.

Above `LIMIT` Argo packs the states of its nodes, and the task list of KFP's API stops changing: KFP's server does not
unpack them. With KFP's manifests, which have everything tried again, each task is six nodes, and the description of its
pod (`pod-spec-patch`) stands in each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.pod_patch import executor_input, pod_patch, to_json

Json = dict[str, Any]

LIMIT = 1024 * 1024
"""Bytes of a Workflow above which Argo packs its nodes (its MAX_WORKFLOW_SIZE)."""
ARGUMENT = 128 * 1024
"""Bytes of one argument of a process in Linux (MAX_ARG_STRLEN): a task's inputs are one."""
HASH = "0" * 10
WORKFLOW = "autoencoders-00000"
METADATA = {"system.Model": 80}
"""Characters that this project's tasks add to artifacts by type: a display name, the run in MLflow."""


@dataclass(frozen=True)
class WorkflowSize:
    """Bytes of a Workflow object at the end of a run."""

    nodes: int
    spec: int
    patches: Mapping[str, int]
    """Stage → characters of the description of its pod, at most."""
    inputs: Mapping[str, int]
    """Stage → bytes of its inputs and outputs, which its pod gets as one argument, at most."""

    @property
    def total(self) -> int:
        """Nodes and specification."""
        return self.nodes + self.spec


def estimate(
    spec: Json, platform: Json, arguments: Mapping[str, Any], metadata: Mapping[str, int] = METADATA
) -> WorkflowSize:
    """Return the size of a run of the compiled pipeline with `arguments`, where no task is reused or tried again."""
    return _Run(spec, platform, arguments, metadata).size()


def models_within_limit(spec: Json, platform: Json) -> int:
    """Return up to how many models, of the pipeline's default ones, KFP's task list lives to the end of a run."""
    arguments = {
        name: definition["defaultValue"] for name, definition in spec["root"]["inputDefinitions"]["parameters"].items()
    }
    one, two = (
        estimate(spec, platform, {**arguments, "models_params": arguments["models_params"][:1] * count}).total
        for count in (1, 2)
    )
    return max(0, 1 + (LIMIT - one) // (two - one))


class _Run:
    def __init__(self, spec: Json, platform: Json, arguments: Mapping[str, Any], metadata: Mapping[str, int]) -> None:
        self._spec, self._metadata = spec, metadata
        self._arguments = arguments
        self._containers = {
            name: executor["container"] for name, executor in spec["deploymentSpec"]["executors"].items()
        }
        self._platform = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        self._many = max((len(value) for value in arguments.values() if isinstance(value, list)), default=1)
        self._patches: dict[str, int] = {}
        self._inputs: dict[str, int] = {}

    def size(self) -> WorkflowSize:
        root = self._spec["root"]
        driver = {
            "component": to_json(root),
            "runtime-config": to_json(self._arguments),
            "task": "",
            "driver-type": "ROOT_DAG",
        }
        top = _twins(WORKFLOW, "entrypoint", {}, 1)
        top += _driver(f"{WORKFLOW}(0).root-driver", "system-dag-driver", driver)
        top += self._dag(f"{WORKFLOW}(0).root", "root", root, self._arguments)
        return WorkflowSize(sum(map(_size, top)), self._specification(), self._patches, self._inputs)

    def _dag(self, name: str, template: str, component: Json, values: Mapping[str, Any]) -> list[Json]:
        tasks = component["dag"]["tasks"]
        nodes = _twins(name, template, {"parent-dag-id": "000"}, len(tasks))
        for task_name, task in tasks.items():
            inner = self._spec["components"][task["componentRef"]["name"]]
            given = {
                target: values[source["componentInputParameter"]]
                for target, source in task.get("inputs", {}).get("parameters", {}).items()
                if source.get("componentInputParameter") in values
            }
            given |= {
                target: source["runtimeValue"]["constant"]
                for target, source in task.get("inputs", {}).get("parameters", {}).items()
                if "runtimeValue" in source
            }
            nodes += self._task(f"{name}(0).{task_name}", task_name, task, inner, given)
        return nodes

    def _task(self, name: str, task_name: str, task: Json, component: Json, given: Mapping[str, Any]) -> list[Json]:
        if "parameterIterator" in task:
            return self._loop(name, task, component, given)
        if "dag" not in component:
            return self._container(name, task_name, task, component, given)
        driver = {"component": to_json(component), "task": to_json(task), "driver-type": "DAG"}
        nodes = _driver(f"{name}-driver", "system-dag-driver", driver)
        return nodes + self._dag(name, task["componentRef"]["name"], component, given)

    def _loop(self, name: str, task: Json, component: Json, given: Mapping[str, Any]) -> list[Json]:
        iterator = task["parameterIterator"]
        items = given[iterator["items"]["inputParameter"]]
        driver = {"component": to_json(component), "task": to_json(task), "driver-type": "DAG"}
        nodes = _twins(name, "comp-for-loop-1-for-loop-1-iterator", {"parent-dag-id": "000"}, 6 + len(items))
        nodes += _driver(f"{name}(0).iteration-driver", "system-dag-driver", driver)
        nodes.append(_node(f"{name}(0).iteration-iterations", "TaskGroup", "comp-for-loop-1-iteration", {}, len(items)))
        for at, item in enumerate(items):
            iteration = f"{name}(0).iteration-iterations({at}:{at})"
            nodes += _twins(
                iteration, "comp-for-loop-1-iteration", {"parent-dag-id": "000", "iteration-index": str(at)}, 1
            )
            nodes += _driver(f"{iteration}(0).iteration-item-driver", "system-dag-driver", driver)
            values = {**given, iterator["itemInput"]: item}
            nodes += self._dag(f"{iteration}(0).iteration-item", "comp-for-loop-1", component, values)
        return nodes

    def _container(self, name: str, stage: str, task: Json, component: Json, given: Mapping[str, Any]) -> list[Json]:
        label = component["executorLabel"]
        container, config = self._containers[label], self._platform.get(label, {})
        inputs = executor_input(stage, component, given, self._many, self._metadata)
        patch = pod_patch(container, config, component, inputs)
        self._patches[stage] = max(len(patch), self._patches.get(stage, 0))
        self._inputs[stage] = max(len(inputs.encode()), self._inputs.get(stage, 0))
        driver = {"component": to_json(component), "task": to_json(task), "container": to_json(container),
                  "task-name": stage, "iteration-index": "-1", "kubernetes-config": to_json(config)}  # fmt: skip
        retry = {"retry-max-count": "0", "retry-backoff-duration": "00", "retry-backoff-factor": "0",
                 "retry-backoff-max-duration": "000"}  # fmt: skip
        whole = {"pod-spec-patch": patch, "cached-decision": "false", **retry}
        nodes = _driver(f"{name}-driver", "system-container-driver", driver, patch)
        nodes += _twins(name, "retry-system-container-executor", whole, 2)
        executor = {"pod-spec-patch": patch, **retry}
        pod = f"{name}(0).executor"
        nodes.append(_node(pod, "Retry", "retry-system-container-impl", executor, 1, logs=True))
        nodes.append(_node(f"{pod}(0)", "Pod", "retry-system-container-impl", executor, 0, logs=True))
        return nodes

    def _specification(self) -> int:
        """Return the bytes of the Workflow's own description: components, containers, tasks and templates."""
        parts = [*self._spec["components"].values(), self._spec["root"], *self._containers.values()]
        values = [to_json(part) for part in (*parts, *self._platform.values())]
        tasks = [task for part in parts for task in part.get("dag", {}).get("tasks", {}).values()]
        return (
            _size({"arguments": values, "tasks": [to_json(task) for task in tasks]}) + TEMPLATES + len(tasks) * DAG_TASK
        )


TEMPLATES, DAG_TASK = 16_000, 1_200
"""Bytes of a Workflow's templates, and of the two tasks that Argo makes of each of ours."""


def _driver(name: str, template: str, inputs: Mapping[str, str], patch: str | None = None) -> list[Json]:
    """Return the two nodes of the pod that prepares a task, or a group of tasks."""
    return [
        _node(name, "Retry", template, inputs, 1, logs=True, patch=patch),
        _node(f"{name}(0)", "Pod", template, inputs, 1, logs=True, patch=patch),
    ]


def _twins(name: str, template: str, inputs: Mapping[str, str], children: int) -> list[Json]:
    return [_node(name, "Retry", template, inputs, 1), _node(f"{name}(0)", "DAG", template, inputs, children)]


def _node(
    name: str,
    kind: str,
    template: str,
    inputs: Mapping[str, str],
    children: int,
    *,
    logs: bool = False,
    patch: str | None = None,
) -> Json:
    """Return a node as Argo keeps it, its values of about the length that they have."""
    key = f"private-artifacts/kubeflow/{WORKFLOW}/0000/00/00/{WORKFLOW}-{template}-{HASH}/main.log"
    node: Json = {
        "id": f"{WORKFLOW}-{HASH}", "name": name, "displayName": name.rpartition(".")[2], "type": kind,
        "templateName": template, "templateScope": f"local/{WORKFLOW}", "phase": "Succeeded",
        "boundaryID": f"{WORKFLOW}-{HASH}", "startedAt": "0000-00-00T00:00:00Z", "finishedAt": "0000-00-00T00:00:00Z",
        "progress": "0/0", "resourcesDuration": {"cpu": 0, "memory": 0},
        "children": [f"{WORKFLOW}-{HASH}"] * children,
    }  # fmt: skip
    if inputs:
        node["inputs"] = {"parameters": [{"name": key, "value": value} for key, value in inputs.items()]}
    if logs:
        node["outputs"] = {"artifacts": [{"name": "main-logs", "s3": {"key": key}}], "exitCode": "0"}
        if kind == "Pod":
            node |= {"nodeFlag": {"retried": True}, "hostNodeName": "node1", "taskResultSynced": True}
    if patch is not None:
        names = {"pod-spec-patch": patch, "cached-decision": "false", "condition": "nil"}
        node["outputs"]["parameters"] = [
            {"name": key, "value": value, "valueFrom": {"path": f"/tmp/outputs/{key}", "default": ""}}
            for key, value in names.items()
        ]
    return node


def _size(value: Any) -> int:
    return len(to_json(value).encode()) + len(f'"{WORKFLOW}-{HASH}":,')
