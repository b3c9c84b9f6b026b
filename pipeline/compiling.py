"""The pipeline as the file that Kubeflow Pipelines takes: graph, parameters and placement."""

import json
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict
from kfp import dsl, kubernetes
from kfp.dsl.base_component import BaseComponent
from kubernetes.utils import parse_quantity

from autoencoders.data.catalog import FOLDER
from autoencoders.errors import UserError
from autoencoders.kubeflow.inputs import to_kfp_inputs
from autoencoders.kubeflow.launch import CHECKPOINTS, TRAINJOB
from autoencoders.params import Params, Tracking
from autoencoders.runtime.pod import SECRETS, TRACKING_URI
from autoencoders.text import join_words
from components import component_names, load_component
from pipeline.graph import build
from pipeline.profiles import Checkpoints, Placement, Profile
from pipeline.spec_check import check
from pipeline.times import parse_duration

HEADING = "# Compiled by `python -m pipeline compile`: components, graph, defaults and placement.\n"
RECORDING = ("train", "ladder", "report")
"""Stages whose results name the image that made them."""
NEVER_CACHED = ("report",)
"""Stages with an effect outside of their artifacts: the report records the run in MLflow."""
MAX_INPUT_BYTES = 128 * 1024
"""Of one argument of a process in Linux (MAX_ARG_STRLEN): the inputs of a task are one."""
BYTES_OF_RESULT = 580
"""What the inputs of `compare` hold of a model besides its parameters: an artifact, with its store, and a digest."""


def on_devices(profile: Profile, params: Params) -> Params:
    """Return `params` with a device in place of `auto`: cuda if `profile` gives GPUs, else cpu.

    A task whose GPU is missing then stops, instead of training on the CPU. KFP's cache compares only names; with the
    device among them, it does not take a CPU's result for a GPU's. Raise `UserError` if `device` and the profile
    contradict each other.
    """
    found = _devices(profile)
    if params.device == "auto":
        return params.model_copy(update={"device": "cuda" if "cuda" in found.values() else "cpu"})
    asked = params.device.partition(":")[0]
    if wrong := [stage for stage, device in found.items() if device != asked]:
        given = "reserves GPUs for" if asked == "cpu" else "gives no GPU to"
        raise UserError(
            f"device: {params.device}, but the placement profile {given} {join_words(wrong)}. Set device: auto, or "
            "choose another profile."
        )
    return params


def _placed(profile: Profile, params: Params, cache: bool) -> BaseComponent:
    """Return the pipeline whose tasks run as `profile` says; without `cache`, KFP takes no result of an earlier run."""

    def place_task(stage: str, task: dsl.PipelineTask) -> None:
        task.set_container_image(profile.image)
        task.set_caching_options(cache and _may_cache(stage, profile, params))
        elsewhere = stage == "train" and profile.trainjob
        placement = profile.of(stage)
        if elsewhere:  # the pod only waits for the job: it is small, but lives for as long as the job trains
            placement = profile.default.model_copy(update={"timeout": placement.timeout, "retry": placement.retry})
        kubernetes.set_security_context(task, run_as_non_root=True)
        # KFP can ask for no read-only root; where a cluster's policy does, this is all that a task needs besides.
        kubernetes.empty_dir_mount(task, "tmp", "/tmp")
        _set_resources(task, placement)
        _set_nodes(task, placement)
        _set_environment(task, placement, _task_variables(stage, profile, params, placement))
        if stage == "train" and profile.checkpoints:
            _set_checkpoints(task, profile.checkpoints)
        if elsewhere:
            task.set_env_variable(TRAINJOB, json.dumps(trainjob(profile, params), sort_keys=True))

    device = params.device.partition(":")[0]
    others = {stage: other for stage, other in _devices(profile).items() if other != device}
    return build(params, place_task, profile.pipeline_root, others)


def _devices(profile: Profile) -> dict[str, str]:
    """Return where each stage computes that takes `device`; the report only names it."""
    stages = [stage for stage in component_names() if stage not in NEVER_CACHED]
    computing = [stage for stage in stages if "device" in (load_component(stage).component_spec.inputs or {})]
    return {stage: "cuda" if profile.of(stage).accelerator else "cpu" for stage in computing}


def compile_pipeline(profile: Profile, params: Params, cache: bool = True) -> str:
    """Return the compiled pipeline: YAML of two documents, the same bytes for the same input and version of KFP.

    Raise `UserError` if a cluster would refuse or fail it.
    """
    params = on_devices(profile, params)
    _check_size(params)
    placed = _placed(profile, params, cache)
    spec, platform = MessageToDict(placed.pipeline_spec), MessageToDict(placed.platform_spec)
    _make_lean(spec, platform)
    check(spec, platform)
    return HEADING + yaml.safe_dump_all([spec, platform], sort_keys=True, allow_unicode=True)


def _check_size(params: Params) -> None:
    """Raise `UserError` if the task that gathers all models would have more inputs than a process takes."""
    models = to_kfp_inputs(params)["models_params"]
    size = len(json.dumps(models)) + len(models) * BYTES_OF_RESULT
    if size > MAX_INPUT_BYTES:
        raise UserError(
            f"the inputs of compare are about {size // 1024} KiB, of which a process takes {MAX_INPUT_BYTES // 1024}. "
            "Train fewer models in one pipeline."
        )


def _make_lean(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    """Remove parts that nobody reads, and that Argo would keep six times for each task.

    Descriptions of the components' inputs and outputs (the pipeline's own stay), and the second of the two ways in
    which KFP's SDK names a secret.
    """
    for component in spec["components"].values():
        for definitions in (component.get("inputDefinitions", {}), component.get("outputDefinitions", {})):
            for definition in (*definitions.get("parameters", {}).values(), *definitions.get("artifacts", {}).values()):
                definition.pop("description", None)
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        for secret in (*config.get("secretAsEnv", ()), *config.get("secretAsVolume", ())):
            secret.pop("secretNameParameter", None)


def trainjob(profile: Profile, params: Params) -> dict[str, Any]:
    """Return what `autoencoders.kubeflow.trainjob` makes a job of Kubeflow Trainer from."""
    assert profile.trainjob
    assert profile.checkpoints
    placement = profile.of("train")
    gpus = placement.accelerator.count if placement.accelerator else 0
    resources: dict[str, Any] = {"cpu": placement.cpu, "memory": placement.memory}
    if placement.accelerator:
        resources[placement.accelerator.type] = gpus
    plain = {**_task_variables("train", profile, params, placement), **placement.env}
    return {
        **profile.trainjob.model_dump(),
        "image": profile.image,
        **profile.checkpoints.model_dump(include={"claim", "path"}),
        "processes": max(1, gpus),
        "resources": {name: value for name, value in resources.items() if value},
        "env": [{"name": name, "value": value} for name, value in plain.items()] + _secret_variables(placement),
        "secrets": [env.secret for env in placement.secret_env if not env.keys],
        "node_selector": placement.node_selector or None,
        "tolerations": [taint.model_dump(exclude_none=True, by_alias=True) for taint in placement.tolerations] or None,
        "image_pull_secrets": [{"name": name} for name in placement.image_pull_secrets] or None,
    }


def _secret_variables(placement: Placement) -> list[dict[str, Any]]:
    return [
        {
            "name": variable,
            "valueFrom": {"secretKeyRef": {"name": env.secret, "key": key, "optional": env.optional}},
        }
        for env in placement.secret_env
        for key, variable in env.keys.items()
    ]


def _may_cache(stage: str, profile: Profile, params: Params) -> bool:
    """Return whether KFP's cache key covers all: the code by the image's digest, the data by their digests."""
    reads_a_folder = stage == "download" and params.data.name == FOLDER
    return "@sha256:" in profile.image and stage not in NEVER_CACHED and not reads_a_folder


def _task_variables(stage: str, profile: Profile, params: Params, placement: Placement) -> dict[str, str]:
    """Return what tags a task's MLflow runs, the experiment that they go to, and the number of its threads."""
    image = {"AUTOENCODERS_IMAGE": profile.image} if stage in RECORDING else {}
    threads = {"OMP_NUM_THREADS": str(max(1, int(parse_quantity(placement.cpu))))} if placement.cpu else {}
    experiment = params.tracking.experiment
    chosen = {} if experiment == Tracking().experiment else {"MLFLOW_EXPERIMENT_NAME": experiment}
    return {**chosen, **image, **threads}


def _set_resources(task: dsl.PipelineTask, placement: Placement) -> None:
    if placement.cpu:
        task.set_cpu_request(placement.cpu).set_cpu_limit(placement.cpu)
    if placement.memory:
        task.set_memory_request(placement.memory).set_memory_limit(placement.memory)
    if placement.accelerator:
        task.set_accelerator_type(placement.accelerator.type).set_accelerator_limit(placement.accelerator.count)
    if placement.shared_memory:
        kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", "Memory", placement.shared_memory)
    for volume in placement.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path, volume.sub_path)
    if placement.retry:
        retry = placement.retry
        # KFP's longest backoff is no longest wait: it is the deadline of all attempts together, from the first's start.
        task.set_retry(retry.attempts, retry.backoff, retry.factor, f"{placement.deadline()}s")
    if placement.timeout:
        kubernetes.set_timeout(task, parse_duration(placement.timeout))


def _set_checkpoints(task: dsl.PipelineTask, kept: Checkpoints) -> None:
    if kept.claim:
        kubernetes.mount_pvc(task, kept.claim, kept.path)
    task.set_env_variable(CHECKPOINTS, kept.url or kept.path)


def _set_nodes(task: dsl.PipelineTask, placement: Placement) -> None:
    for label, value in placement.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for taint in placement.tolerations:
        kubernetes.add_toleration(task, taint.key, taint.operator, taint.value, taint.effect, taint.seconds)
    for affinity in placement.affinity:
        expressions: list[dict[str, Any]] = [expression.model_dump() for expression in affinity.expressions]
        kubernetes.add_node_affinity(task, match_expressions=expressions, weight=affinity.weight)


def _set_environment(task: dsl.PipelineTask, placement: Placement, own: dict[str, str]) -> None:
    kubernetes.use_field_path_as_env(task, "KFP_RUN_ID", "metadata.labels['pipeline/runid']")
    for name, value in {**own, **placement.env}.items():
        task.set_env_variable(_pod_variable(name), value)
    for env in placement.secret_env:
        if env.keys:
            named = {key: _pod_variable(variable) for key, variable in env.keys.items()}
            kubernetes.use_secret_as_env(task, env.secret, named, env.optional)
        else:
            kubernetes.use_secret_as_volume(task, env.secret, str(SECRETS / env.secret), env.optional)
    if placement.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, placement.image_pull_secrets)


def _pod_variable(variable: str) -> str:
    """Return the name of a variable in a pod's description, in which KFP's MLflow plugin sets MLFLOW_TRACKING_URI.

    Kubernetes refuses a pod in which one variable has both a value and a secret.
    """
    return TRACKING_URI if variable == "MLFLOW_TRACKING_URI" else variable
