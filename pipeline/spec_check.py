"""Checks of the compiled pipeline that KFP's SDK does not make: whether a cluster would run it.

The SDK compares the types of inputs and outputs, but not those of a loop's items. KFP's launcher and Kubernetes have
rules of their own. What breaks one of them is found here, before it is sent.
"""

import re
from collections import Counter
from typing import Any

from autoencoders.errors import UserError

Json = dict[str, Any]

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Of a Kubernetes volume, which KFP names after its secret or claim."""
KFPS_OWN = re.compile(r"KFP_POD_.*|METADATA_GRPC_.*|MLFLOW_TRACKING_URI|MLFLOW_RUN_ID|KFP_MLFLOW_CONFIG")
"""Variables that KFP, or its MLflow plugin, sets in every pod."""


def check(spec: Json, platform: Json) -> None:
    """Raise `UserError` if a cluster would refuse or fail the compiled pipeline."""
    problems = _check_tasks(spec, spec["root"], "")
    for label, config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        container = spec["deploymentSpec"]["executors"][label]["container"]
        problems += [f"{label.removeprefix('exec-')}: {problem}" for problem in _check_pod(container, config)]
    if problems:
        raise UserError(f"a cluster would not run this pipeline. {'; '.join(problems)}.")


def _check_tasks(spec: Json, graph: Json, within: str) -> list[str]:
    """Return what is wrong with the tasks of a pipeline or a loop."""
    problems = []
    for name, task in graph["dag"]["tasks"].items():
        component, where = spec["components"][task["componentRef"]["name"]], f"{within}{name}"
        for target, source in task.get("inputs", {}).get("parameters", {}).items():
            wanted, found = _types(component)[target], _type_of(source, spec, graph)
            if found not in (wanted, None) and wanted != "STRING":  # a driver turns anything into text
                problems.append(f"{where}: {target} wants {wanted}, and gets {found}")
        if "dag" in component:
            problems += _check_tasks(spec, component, f"{where} › ")
        elif _has_only_lists(component):
            problems.append(f"{where} has only lists of artifacts as inputs: give it one that is no list")
    return problems


def _types(component: Json, side: str = "input") -> dict[str, str]:
    definitions = component.get(f"{side}Definitions", {}).get("parameters", {})
    return {name: definition["parameterType"] for name, definition in definitions.items()}


def _type_of(source: Json, spec: Json, graph: Json) -> str | None:
    """Return the type of what a task of `graph` gets from `source`; None if it is a constant."""
    if "componentInputParameter" in source:
        return _types(graph)[source["componentInputParameter"]]
    if "taskOutputParameter" not in source:
        return None
    producer = graph["dag"]["tasks"][source["taskOutputParameter"]["producerTask"]]
    if "parameterIterator" in producer:
        return "LIST"
    component = spec["components"][producer["componentRef"]["name"]]
    return _types(component, "output")[source["taskOutputParameter"]["outputParameterKey"]]


def _has_only_lists(component: Json) -> bool:
    """Return whether all inputs of a task that are artifacts are lists.

    KFP's launcher opens the store of an earlier run by the first artifact of each input. If the others of a list come
    from the cache and the first does not, it fails.
    """
    artifacts = component.get("inputDefinitions", {}).get("artifacts", {})
    return bool(artifacts) and all(artifact.get("isArtifactList") for artifact in artifacts.values())


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
