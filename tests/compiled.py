"""Compiled pipelines, read strictly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

ROOT = Path(__file__).parents[1]
PINNED = f"registry.example/autoencoders@sha256:{'a' * 64}"


@dataclass
class Compiled:
    """A compiled pipeline, read by KFP's own protobuf messages, which refuse unknown fields."""

    spec: pb.PipelineSpec
    containers: dict[str, Any]
    """Stage → PipelineContainerSpec."""
    kubernetes: dict[str, Any]
    """Stage → KubernetesExecutorConfig."""
    tasks: dict[str, Any]
    """Stage → PipelineTaskSpec, of the graph and of the loop in it."""
    text: str


def parse(text: str) -> Compiled:
    first, second = yaml.safe_load_all(text)
    spec = json_format.ParseDict(first, pb.PipelineSpec())
    deployment = pb.PipelineDeploymentConfig()
    json_format.Parse(json_format.MessageToJson(spec.deployment_spec), deployment)
    platform = json_format.ParseDict(second, pb.PlatformSpec()).platforms["kubernetes"].deployment_spec
    tasks = {}
    for dag in (spec.root.dag, *(component.dag for component in spec.components.values())):
        tasks.update({name: task for name, task in dag.tasks.items() if not name.startswith("for-loop")})
    configs = {
        name.removeprefix("exec-"): json_format.ParseDict(
            json_format.MessageToDict(executor), kubernetes_pb.KubernetesExecutorConfig()
        )
        for name, executor in platform.executors.items()
    }
    containers = {name.removeprefix("exec-"): executor.container for name, executor in deployment.executors.items()}
    return Compiled(spec, containers, configs, tasks, text)
