"""How much Argo keeps of a run: the size of its Workflow object, estimated from the compiled pipeline.

Above `LIMIT` Argo packs the states of its nodes, and the task list of KFP's API stops changing: KFP's server does not
unpack them. With KFP's manifests, which have everything tried again, each task is six nodes, and the description of its
pod (`pod-spec-patch`) stands in each of them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

LIMIT = 1024 * 1024
"""Bytes of a Workflow above which Argo packs its nodes (its MAX_WORKFLOW_SIZE)."""
ARGUMENT = 128 * 1024
"""Bytes of one argument of a process in Linux (MAX_ARG_STRLEN): a task's inputs are one."""
UUID, HASH, DIGEST = "0" * 36, "0" * 10, "0" * 16
WORKFLOW = "autoencoders-00000"
STORE = {
    "Provider": "minio", "Params": {"accessKeyKey": "accesskey", "disableSSL": "true", "endpoint": "0" * 22,
    "fromEnv": "false", "maxRetries": "5", "region": "minio", "secretKeyKey": "secretkey", "forcePathStyle": "true"},
}  # fmt: skip
"""What KFP notes with each artifact of the store that it is in."""
UNSEEN = 510
"""Characters of a pod's description that depend on the cluster: further options of KFP's launcher, security context."""
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
    arguments = {name: one["defaultValue"] for name, one in spec["root"]["inputDefinitions"]["parameters"].items()}
    one, two = (
        estimate(spec, platform, {**arguments, "models_params": arguments["models_params"][:1] * count}).total
        for count in (1, 2)
    )
    return max(0, 1 + (LIMIT - one) // (two - one))


class _Run:
    def __init__(self, spec: Json, platform: Json, arguments: Mapping[str, Any], metadata: Mapping[str, int]) -> None:
        self._spec, self._metadata = spec, metadata
        self._arguments = arguments
        self._containers = {name: one["container"] for name, one in spec["deploymentSpec"]["executors"].items()}
        self._platform = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        self._patches: dict[str, int] = {}
        self._inputs: dict[str, int] = {}

    def size(self) -> WorkflowSize:
        root = self._spec["root"]
        driver = {
            "component": _json(root),
            "runtime-config": _json(self._arguments),
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
        driver = {"component": _json(component), "task": _json(task), "driver-type": "DAG"}
        nodes = _driver(f"{name}-driver", "system-dag-driver", driver)
        return nodes + self._dag(name, task["componentRef"]["name"], component, given)

    def _loop(self, name: str, task: Json, component: Json, given: Mapping[str, Any]) -> list[Json]:
        iterator = task["parameterIterator"]
        items = given[iterator["items"]["inputParameter"]]
        driver = {"component": _json(component), "task": _json(task), "driver-type": "DAG"}
        nodes = _twins(name, "comp-for-loop-1-for-loop-1-iterator", {"parent-dag-id": "000"}, 6 + len(items))
        nodes += _driver(f"{name}(0).iteration-driver", "system-dag-driver", driver)
        nodes.append(_node(f"{name}(0).iteration-iterations", "TaskGroup", "comp-for-loop-1-iteration", {}, len(items)))
        for at, item in enumerate(items):
            one = f"{name}(0).iteration-iterations({at}:{at})"
            nodes += _twins(one, "comp-for-loop-1-iteration", {"parent-dag-id": "000", "iteration-index": str(at)}, 1)
            nodes += _driver(f"{one}(0).iteration-item-driver", "system-dag-driver", driver)
            values = {**given, iterator["itemInput"]: item}
            nodes += self._dag(f"{one}(0).iteration-item", "comp-for-loop-1", component, values)
        return nodes

    def _container(self, name: str, stage: str, task: Json, component: Json, given: Mapping[str, Any]) -> list[Json]:
        label = component["executorLabel"]
        container, config = self._containers[label], self._platform.get(label, {})
        inputs = self._executor_input(stage, task, component, given)
        patch = self._patch(container, config, component, inputs)
        self._patches[stage] = max(len(patch), self._patches.get(stage, 0))
        self._inputs[stage] = max(len(inputs.encode()), self._inputs.get(stage, 0))
        driver = {"component": _json(component), "task": _json(task), "container": _json(container),
                  "task-name": stage, "iteration-index": "-1", "kubernetes-config": _json(config)}  # fmt: skip
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

    def _executor_input(self, stage: str, task: Json, component: Json, given: Mapping[str, Any]) -> str:
        """Return what KFP's launcher gets of a task's inputs and outputs, as JSON."""
        definitions, outputs = component.get("inputDefinitions", {}), component.get("outputDefinitions", {})
        many = max((len(value) for value in self._arguments.values() if isinstance(value, list)), default=1)
        values = {}
        for name, one in definitions.get("parameters", {}).items():
            is_list = one["parameterType"] == "LIST"
            values[name] = given.get(name, [DIGEST] * many if is_list else DIGEST)
        artifacts = {}
        for name, one in definitions.get("artifacts", {}).items():
            kind = one["artifactType"]["schemaTitle"]
            held = {"display_name": name, "store_session_info": _json(STORE)}
            more = "0" * self._metadata.get(kind, 0)
            artifact = {"name": "0000", "type": {"schemaTitle": kind}, "uri": _uri(name, name),
                        "metadata": {**held, **({"": more} if more else {})}}  # fmt: skip
            artifacts[name] = {"artifacts": [artifact] * (many if one.get("isArtifactList") else 1)}
        made = {name: one["artifactType"] for name, one in outputs.get("artifacts", {}).items()}
        made["executor-logs"] = {"schemaTitle": "system.Artifact"}
        return _json(
            {
                "inputs": {"parameterValues": values, "artifacts": artifacts},
                "outputs": {
                    "artifacts": {
                        name: {"artifacts": [{"name": name, "type": kind, "uri": _uri(stage, name), "metadata": {}}]}
                        for name, kind in made.items()
                    },
                    "parameters": {
                        name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in outputs.get("parameters", {})
                    },
                    "outputFile": "/tmp/kfp_outputs/output_metadata.json",
                },
            }
        )

    def _patch(self, container: Json, config: Json, component: Json, inputs: str) -> str:
        """Return the description of a task's pod that KFP's driver writes."""
        launcher = [
            "/kfp-launcher/launch", "--pipeline_name", "autoencoders", "--run_id", UUID, "--execution_id", "000",
            "--executor_input", inputs, "--component_spec", _json(component), "--pod_name", "$(KFP_POD_NAME)",
            "--pod_uid", "$(KFP_POD_UID)", "--mlmd_server_address", "$(METADATA_GRPC_SERVICE_HOST)",
            "--mlmd_server_port", "$(METADATA_GRPC_SERVICE_PORT)", "--publish_logs", "true", "--",
        ]  # fmt: skip
        resources = container.get("resources", {})
        amounts = {"cpu": resources.get("resourceCpuLimit"), "memory": resources.get("resourceMemoryLimit")}
        volumes, mounts = _volumes(config)
        return _json(
            {
                "volumes": volumes,
                "containers": [
                    {
                        "name": "main",
                        "image": container["image"],
                        "command": launcher,
                        "args": [*container.get("command", []), *container.get("args", [])],
                        "env": [*container.get("env", []), *_variables(config)],
                        "resources": {"limits": amounts, "requests": amounts},
                        "volumeMounts": mounts,
                        "securityContext": config.get("securityContext"),
                        "": "0" * UNSEEN,
                    }
                ],
                **{key: config[key] for key in ("nodeSelector", "tolerations", "nodeAffinity") if key in config},
                "activeDeadlineSeconds": config.get("activeDeadlineSeconds"),
            }
        )

    def _specification(self) -> int:
        """Return the bytes of the Workflow's own description: components, containers, tasks and templates."""
        parts = [*self._spec["components"].values(), self._spec["root"], *self._containers.values()]
        values = [_json(one) for one in (*parts, *self._platform.values())]
        tasks = [task for part in parts for task in part.get("dag", {}).get("tasks", {}).values()]
        return (
            _size({"arguments": values, "tasks": [_json(task) for task in tasks]}) + TEMPLATES + len(tasks) * DAG_TASK
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


def _variables(config: Json) -> Iterator[Json]:
    for one in config.get("fieldPathAsEnv", []):
        yield {"name": one["name"], "valueFrom": {"fieldRef": {"fieldPath": one["fieldPath"]}}}
    for secret in config.get("secretAsEnv", []):
        for key in secret["keyToEnv"]:
            reference = {
                "name": secret["secretName"],
                "key": key["secretKey"],
                "optional": secret.get("optional", False),
            }
            yield {"name": key["envVar"], "valueFrom": {"secretKeyRef": reference}}


def _volumes(config: Json) -> tuple[list[Json], list[Json]]:
    """Return the volumes of a pod, and where they are mounted."""
    volumes: list[Json] = []
    mounts: list[Json] = []
    for one in config.get("emptyDirMounts", []):
        volumes.append(
            {"name": one["volumeName"], "emptyDir": {key: one[key] for key in ("medium", "sizeLimit") if key in one}}
        )
        mounts.append({"name": one["volumeName"], "mountPath": one["mountPath"]})
    for one in config.get("secretAsVolume", []):
        volumes.append({"name": one["secretName"], "secret": {"secretName": one["secretName"], "optional": True}})
        mounts.append({"name": one["secretName"], "mountPath": one["mountPath"]})
    for one in config.get("pvcMount", []):
        volumes.append({"name": one["constant"], "persistentVolumeClaim": {"claimName": one["constant"]}})
        mounts.append({"name": one["constant"], "mountPath": one["mountPath"]})
    return volumes, mounts


def _uri(task: str, name: str) -> str:
    return f"minio://mlpipeline/v2/artifacts/autoencoders/{UUID}/{task}/{UUID}/{name}"


def _json(value: Any) -> str:
    """Return `value` as Go writes JSON, which escapes what HTML gives a meaning to."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _size(value: Any) -> int:
    return len(_json(value).encode()) + len(f'"{WORKFLOW}-{HASH}":,')
