"""The size of a run's Workflow object in Argo, estimated from the compiled pipeline.

Above `LIMIT` Argo packs the states of its nodes, and the task list of KFP's API stops changing: KFP's server does not
unpack them. With KFP's manifests, which allow retries of everything, each task is six nodes, and each of them holds the
description of the task's pod (`pod-spec-patch`). The numbers of bytes here are those of recorded Workflows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

LIMIT = 1024 * 1024
"""Bytes of a Workflow above which Argo packs its nodes (its MAX_WORKFLOW_SIZE)."""
ARGUMENT = 128 * 1024
"""Bytes of one argument of a process in Linux (MAX_ARG_STRLEN): a task's inputs are one."""
METADATA = {"system.Model": 80}
"""Characters that this project's tasks add to artifacts by type: a display name, the run in MLflow."""

NODE, CHILD, PARAMETER = 600, 32, 24
"""Bytes of a node without its name, of each of its children, and of each of its long parameters without the value."""
POD_NODE = 200
"""Bytes more of a node that has a pod, or stands for attempts that have: where its log is."""
POD = 800
"""Characters of a pod's description that are the same for all tasks: KFP's launcher and its options."""
TEMPLATES, DAG_TASK = 16_000, 1_200
"""Bytes of a Workflow's templates, and of the two tasks that Argo makes of each of ours."""
UUID, DIGEST = "0" * 36, "0" * 16
STORE = {
    "Provider": "minio", "Params": {"accessKeyKey": "accesskey", "disableSSL": "true", "endpoint": "0" * 22,
    "fromEnv": "false", "maxRetries": "5", "region": "minio", "secretKeyKey": "secretkey", "forcePathStyle": "true"},
}  # fmt: skip
"""What KFP notes with each artifact of the store that it is in."""


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
    run = _Run(spec, platform, arguments, metadata)
    run.add_graph("root", spec["root"], arguments, {"runtime-config": _to_json(arguments)})
    return WorkflowSize(run.nodes, _specification(spec, platform), run.patches, run.inputs)


def models_within_limit(spec: Json, platform: Json) -> int:
    """Return the number of models, of the pipeline's default ones, up to which KFP's task list stays complete."""
    arguments = {
        name: definition["defaultValue"] for name, definition in spec["root"]["inputDefinitions"]["parameters"].items()
    }
    one, two = (
        estimate(spec, platform, {**arguments, "models_params": arguments["models_params"][:1] * count}).total
        for count in (1, 2)
    )
    return max(0, 1 + (LIMIT - one) // (two - one))


@dataclass
class _Run:
    """Adds up the nodes of a run."""

    spec: Json
    platform: Json
    arguments: Mapping[str, Any]
    metadata: Mapping[str, int]
    nodes: int = 0
    patches: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)

    def add_graph(self, name: str, graph: Json, values: Mapping[str, Any], driver: Mapping[str, str]) -> None:
        """Add the pipeline, or one iteration of its loop, and all that is in it."""
        tasks = graph["dag"]["tasks"]
        self._add_twins(f"{name}-driver", {"component": _to_json(graph), **driver}, POD_NODE)
        self._add_twins(name, {}, CHILD * len(tasks))
        for task_name, task in tasks.items():
            component = self.spec["components"][task["componentRef"]["name"]]
            add = self._add_loop if "parameterIterator" in task else self._add_task
            add(f"{name}(0).{task_name}", task_name, task, component, _given(task, values))

    def _add_loop(self, name: str, _: str, task: Json, component: Json, given: Mapping[str, Any]) -> None:
        iterator, driver = task["parameterIterator"], {"task": _to_json(task)}
        items = given[iterator["items"]["inputParameter"]]
        self._add_twins(f"{name}(0).iteration-driver", {"component": _to_json(component), **driver}, POD_NODE)
        self._add_twins(name, {}, CHILD * len(items))
        for at, item in enumerate(items):
            iteration = f"{name}(0).iteration-iterations({at}:{at})"
            self._add_twins(iteration, {})
            self.add_graph(f"{iteration}(0).iteration-item", component, {**given, iterator["itemInput"]: item}, driver)

    def _add_task(self, name: str, stage: str, task: Json, component: Json, given: Mapping[str, Any]) -> None:
        label = component["executorLabel"]
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        config = self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].get(label, {})
        models = max((len(value) for value in self.arguments.values() if isinstance(value, list)), default=1)
        inputs = _executor_input(stage, component, given, models, self.metadata)
        patch = _to_json([inputs, _to_json(component), container, config, "0" * POD])
        self.patches[stage] = max(len(patch), self.patches.get(stage, 0))
        self.inputs[stage] = max(len(inputs.encode()), self.inputs.get(stage, 0))
        driver = {
            "component": _to_json(component),
            "task": _to_json(task),
            "container": _to_json(container),
            "kubernetes-config": _to_json(config),
        }
        self._add_twins(f"{name}-driver", {**driver, "pod-spec-patch": patch}, POD_NODE)
        self._add_twins(name, {"pod-spec-patch": patch})
        self._add_twins(f"{name}(0).executor", {"pod-spec-patch": patch}, POD_NODE)

    def _add_twins(self, name: str, parameters: Mapping[str, str], more: int = 0) -> None:
        """Add the node of all attempts at a task, and the node of its only attempt."""
        for node in (name, f"{name}(0)"):
            values = sum(PARAMETER + _size(key) + _size(value) for key, value in parameters.items())
            self.nodes += NODE + len(node) + len(node.rpartition(".")[2]) + values + more


def _given(task: Json, values: Mapping[str, Any]) -> Json:
    """Return the inputs of a task that have `values`, or are constants."""
    given = {}
    for target, source in task.get("inputs", {}).get("parameters", {}).items():
        if source.get("componentInputParameter") in values:
            given[target] = values[source["componentInputParameter"]]
        elif "runtimeValue" in source:
            given[target] = source["runtimeValue"]["constant"]
    return given


def _executor_input(
    stage: str, component: Json, given: Mapping[str, Any], models: int, metadata: Mapping[str, int]
) -> str:
    """Return what KFP's launcher gets of a task's inputs and outputs, as JSON, its lists of a value a model."""
    inputs, outputs = component.get("inputDefinitions", {}), component.get("outputDefinitions", {})
    values = {}
    for name, definition in inputs.get("parameters", {}).items():
        is_list = definition["parameterType"] == "LIST"
        values[name] = given.get(name, [DIGEST] * models if is_list else DIGEST)
    read = {}
    for name, definition in inputs.get("artifacts", {}).items():
        held = {"display_name": name, "store_session_info": _to_json(STORE)}
        held[""] = "0" * metadata.get(definition["artifactType"]["schemaTitle"], 0)
        artifact = _artifact(name, name, definition["artifactType"], held)
        read[name] = {"artifacts": [artifact] * (models if definition.get("isArtifactList") else 1)}
    types = {name: definition["artifactType"] for name, definition in outputs.get("artifacts", {}).items()}
    types["executor-logs"] = {"schemaTitle": "system.Artifact"}
    written = {name: {"artifacts": [_artifact(stage, name, kind, {})]} for name, kind in types.items()}
    files = {name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in outputs.get("parameters", {})}
    result = {"artifacts": written, "parameters": files, "outputFile": "/tmp/kfp_outputs/output_metadata.json"}
    return _to_json({"inputs": {"parameterValues": values, "artifacts": read}, "outputs": result})


def _artifact(task: str, name: str, kind: Json, metadata: Json) -> Json:
    uri = f"minio://mlpipeline/v2/artifacts/autoencoders/{UUID}/{task}/{UUID}/{name}"
    return {"name": name, "type": kind, "uri": uri, "metadata": metadata}


def _specification(spec: Json, platform: Json) -> int:
    """Return the bytes of the Workflow's own description: components, containers, tasks and templates."""
    containers = [executor["container"] for executor in spec["deploymentSpec"]["executors"].values()]
    parts = [*spec["components"].values(), spec["root"], *containers]
    parts += platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    tasks = [task for part in parts for task in part.get("dag", {}).get("tasks", {}).values()]
    return sum(_size(_to_json(part)) for part in parts + tasks) + TEMPLATES + len(tasks) * DAG_TASK


def _to_json(value: Any) -> str:
    """Return `value` as Go writes JSON, which escapes what HTML gives a meaning to."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _size(text: str) -> int:
    """Return the bytes of a text as a value in JSON."""
    return len(_to_json(text).encode())
