"""Checks of the compiled pipeline that KFP's SDK and `kfp.local` do not make: whether a cluster would run it.

KFP's driver resolves the inputs of a task when it is about to start, and then fails if their types do not match; its
launcher, Argo and Kubernetes have rules of their own. These checks find violations before anything is sent.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

from autoencoders.errors import UserError
from pipeline.workflow_size import ARGUMENT, LIMIT, WorkflowSize, estimate

Json = dict[str, Any]

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Of a Kubernetes volume, which KFP names after its secret or claim, and of a task."""
KINDS = {"STRUCT": dict, "LIST": list, "BOOLEAN": bool, "STRING": str, "NUMBER_INTEGER": float, "NUMBER_DOUBLE": float}
"""The Python types of values of each of KFP's types, as read from JSON, which has one type of number."""
WORDS = {dict: "struct", list: "list", bool: "bool", str: "string", float: "number", type(None): "null"}
KFPS_OWN = re.compile(r"KFP_POD_.*|METADATA_GRPC_.*|MLFLOW_TRACKING_URI|MLFLOW_RUN_ID|KFP_MLFLOW_CONFIG")
"""Variables that KFP, or its MLflow plugin, sets in every pod."""


def check(spec: Json, platform: Json, arguments: Mapping[str, Any]) -> WorkflowSize:
    """Return the size of a run of the compiled pipeline; raise `UserError` if a cluster would refuse or fail it."""
    values, problems = _resolved(spec["root"], "the pipeline", arguments)
    if not problems:  # the tasks would only repeat the faults of the arguments
        problems = _check_tasks(spec, spec["root"], values, "")
    for label, config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        container = spec["deploymentSpec"]["executors"][label]["container"]
        problems += [f"{label.removeprefix('exec-')}: {problem}" for problem in _check_pod(container, config)]
    problems += _check_deadlines(spec, platform)
    if problems:
        raise UserError(f"a cluster would not run this pipeline. {'; '.join(problems)}.")
    size = estimate(spec, platform, values)
    _check_size(size)
    return size


def _check_size(size: WorkflowSize) -> None:
    """Raise `UserError` if the run is larger than Argo and Linux allow."""
    stage, largest = max(size.inputs.items(), key=lambda stage: stage[1])
    if largest > ARGUMENT:
        raise UserError(
            f"the inputs of {stage} are about {largest // 1024} KiB, of which a process takes {ARGUMENT // 1024}. "
            "Train fewer models in one pipeline."
        )
    if size.spec > LIMIT:
        raise UserError(f"the pipeline is about {size.spec // 1024} KiB, of which Argo takes {LIMIT // 1024}.")


def _check_tasks(spec: Json, component: Json, values: Mapping[str, Any], within: str) -> list[str]:
    """Return what is wrong with the tasks of a graph whose inputs have `values`."""
    tasks, problems = component["dag"]["tasks"], []
    outputs: dict[tuple[str, str], Any] = {}
    order = TopologicalSorter({name: task.get("dependentTasks", ()) for name, task in tasks.items()})
    for name in order.static_order():
        task, inner = tasks[name], spec["components"][tasks[name]["componentRef"]["name"]]
        where = f"{within}{name}"
        if not LABEL.fullmatch(name):
            problems.append(f"{where}: no name for a task in Kubernetes")
        given, missing = _given(task, values, outputs)
        problems += [f"{where}: {problem}" for problem in missing]
        items: list[Mapping[str, Any]] = [given]
        if iterator := task.get("parameterIterator"):
            items, wrong = _iterations(iterator, given)
            problems += [f"{where}: {problem}" for problem in wrong]
        for item in items:
            resolved, wrong = _resolved(inner, where, item)
            problems += wrong
            if "dag" in inner:
                problems += _check_tasks(spec, inner, resolved, f"{where} › ")
        problems += _check_lists(inner, where)
        for key, value in _outputs(spec, inner).items():
            outputs[name, key] = [value] if iterator else value
    return list(dict.fromkeys(problems))


def _given(task: Json, values: Mapping[str, Any], outputs: Mapping[tuple[str, str], Any]) -> tuple[Json, list[str]]:
    """Return the values of a task's inputs by their names, and a line for each that has none."""
    given, problems = {}, []
    for target, source in task.get("inputs", {}).get("parameters", {}).items():
        if "componentInputParameter" in source:
            name = source["componentInputParameter"]
            if name in values:
                given[target] = values[name]
        elif "taskOutputParameter" in source:
            of = source["taskOutputParameter"]
            key = (of["producerTask"], of["outputParameterKey"])
            if key not in outputs:
                problems.append(f"{target} comes from {key[0]}, which has no output {key[1]}")
            else:
                given[target] = outputs[key]
        else:
            given[target] = source["runtimeValue"]["constant"]
    return given, problems


def _iterations(iterator: Json, given: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the values of each round of a loop."""
    source = iterator["items"]
    items = json.loads(source["raw"]) if "raw" in source else given.get(source["inputParameter"])
    if not isinstance(items, list) or not items:
        return [], [f"loops over {_kind(items)}, which is no list of at least one"]
    return [{**given, iterator["itemInput"]: item} for item in items], []


def _resolved(component: Json, where: str, given: Mapping[str, Any]) -> tuple[Json, list[str]]:
    """Return the inputs of a component as a driver passes them on, and what it refuses of the values `given`."""
    resolved, problems = {}, []
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    for name, definition in definitions.items():
        value = given.get(name, definition.get("defaultValue"))
        if name not in given and "defaultValue" not in definition:
            if not definition.get("isOptional"):
                problems.append(f"{where}: {name} has no value")
            continue
        wanted = definition["parameterType"]
        if value is None:
            problems.append(f"{where}: {name} is null, which KFP refuses: leave it out")
        elif _holds_null(value):
            problems.append(f"{where}: {name} holds a null, which KFP refuses: leave the key out")
        elif wanted == "STRING" and not isinstance(value, str):
            resolved[name] = json.dumps(value)  # a driver turns anything into text for an input that is text
        elif _kind(value) != WORDS[KINDS[wanted]]:
            problems.append(f"{where}: {name} wants {wanted}, and gets {_kind(value)}")
            resolved[name] = KINDS[wanted]()
        else:
            resolved[name] = value
    unknown = [name for name in given if name not in definitions]
    problems += [f"{where}: there is no input {name}" for name in unknown]
    return resolved, problems


def _outputs(spec: Json, component: Json) -> Json:
    """Return a value of the right kind for each parameter that a component puts out."""
    definitions = component.get("outputDefinitions", {}).get("parameters", {})
    return {name: KINDS[definition["parameterType"]]() for name, definition in definitions.items()}


def _holds_null(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(_holds_null(inner) for inner in (value.values() if isinstance(value, dict) else value))
    return value is None


def _kind(value: Any) -> str:
    return WORDS[float if isinstance(value, int) and not isinstance(value, bool) else type(value)]


def _check_lists(component: Json, where: str) -> list[str]:
    """Return what is wrong with a task whose only inputs are lists of artifacts.

    KFP's launcher opens the store of an earlier run by the first artifact of each input. If the others of a list come
    from the cache and the first does not, it fails.
    """
    artifacts = component.get("inputDefinitions", {}).get("artifacts", {})
    only_lists = artifacts and all(artifact.get("isArtifactList") for artifact in artifacts.values())
    if "dag" in component or not only_lists:
        return []
    return [f"{where} has only lists of artifacts as inputs: give it one that is no list"]


def _check_pod(container: Json, config: Json) -> list[str]:
    """Return what Kubernetes would refuse in the pod of a task."""
    variables = Counter(variable["name"] for variable in container.get("env", ()))
    variables.update(variable["name"] for variable in config.get("fieldPathAsEnv", ()))
    variables.update(key["envVar"] for secret in config.get("secretAsEnv", ()) for key in secret["keyToEnv"])
    problems = [f"the variable {name} is set {count} times" for name, count in variables.items() if count > 1]
    problems += [f"the variable {name} is KFP's own" for name in variables if KFPS_OWN.fullmatch(name)]
    volumes = Counter(volume["constant"] for volume in config.get("pvcMount", ()))
    volumes.update(volume["secretName"] for volume in config.get("secretAsVolume", ()))
    volumes.update(volume["volumeName"] for volume in config.get("emptyDirMounts", ()))
    for name, count in volumes.items():
        if count > 1:
            problems.append(f"{name} is mounted {count} times, which KFP cannot do")
        if not LABEL.fullmatch(name):
            rule = "lower-case letters, digits and hyphens, at most 63"
            problems.append(f"{name} cannot be mounted: its name must be {rule}")
    paths = Counter(volume["mountPath"].rstrip("/") for mounts in ("pvcMount", "secretAsVolume", "emptyDirMounts")
                    for volume in config.get(mounts, ()))  # fmt: skip
    return problems + [f"{count} volumes are mounted at {path}" for path, count in paths.items() if count > 1]


def _check_deadlines(spec: Json, platform: Json) -> list[str]:
    """Return the tasks whose attempts do not fit into KFP's longest backoff, the deadline of all of them together."""
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    problems = []
    for component in (spec["root"], *spec["components"].values()):
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
            if label is None or not (retry := task.get("retryPolicy")):
                continue
            timeout = int(configs.get(label, {}).get("activeDeadlineSeconds", 0))
            allowed, count = int(retry["backoffMaxDuration"].removesuffix("s")), retry["maxRetryCount"]
            if allowed <= (count + 1) * timeout:
                problems.append(f"{name}: {count} further attempts of {timeout} s do not fit into {allowed} s")
    return problems
