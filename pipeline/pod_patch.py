"""A task's pod as KFP's driver describes it to Argo, of about the length that it has on a cluster."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

UUID, DIGEST = "0" * 36, "0" * 16
STORE = {
    "Provider": "minio", "Params": {"accessKeyKey": "accesskey", "disableSSL": "true", "endpoint": "0" * 22,
    "fromEnv": "false", "maxRetries": "5", "region": "minio", "secretKeyKey": "secretkey", "forcePathStyle": "true"},
}  # fmt: skip
"""What KFP notes with each artifact of the store that it is in."""
UNSEEN = 510
"""Characters of a pod's description that depend on the cluster: further options of KFP's launcher, security context."""


def executor_input(
    stage: str, component: Json, given: Mapping[str, Any], many: int, metadata: Mapping[str, int]
) -> str:
    """Return what KFP's launcher gets of a task's inputs and outputs, as JSON.

    `many` is the length of its lists, `metadata` the characters that tasks add to artifacts, by type.
    """
    definitions, outputs = component.get("inputDefinitions", {}), component.get("outputDefinitions", {})
    values = {}
    for name, definition in definitions.get("parameters", {}).items():
        is_list = definition["parameterType"] == "LIST"
        values[name] = given.get(name, [DIGEST] * many if is_list else DIGEST)
    artifacts = {}
    for name, definition in definitions.get("artifacts", {}).items():
        kind = definition["artifactType"]["schemaTitle"]
        held = {"display_name": name, "store_session_info": to_json(STORE)}
        more = "0" * metadata.get(kind, 0)
        artifact = {"name": "0000", "type": {"schemaTitle": kind}, "uri": _uri(name, name),
                    "metadata": {**held, **({"": more} if more else {})}}  # fmt: skip
        artifacts[name] = {"artifacts": [artifact] * (many if definition.get("isArtifactList") else 1)}
    made = {name: definition["artifactType"] for name, definition in outputs.get("artifacts", {}).items()}
    made["executor-logs"] = {"schemaTitle": "system.Artifact"}
    return to_json(
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


def pod_patch(container: Json, config: Json, component: Json, inputs: str) -> str:
    """Return the description of a task's pod that KFP's driver writes."""
    launcher = [
        "/kfp-launcher/launch", "--pipeline_name", "autoencoders", "--run_id", UUID, "--execution_id", "000",
        "--executor_input", inputs, "--component_spec", to_json(component), "--pod_name", "$(KFP_POD_NAME)",
        "--pod_uid", "$(KFP_POD_UID)", "--mlmd_server_address", "$(METADATA_GRPC_SERVICE_HOST)",
        "--mlmd_server_port", "$(METADATA_GRPC_SERVICE_PORT)", "--publish_logs", "true", "--",
    ]  # fmt: skip
    resources = container.get("resources", {})
    amounts = {"cpu": resources.get("resourceCpuLimit"), "memory": resources.get("resourceMemoryLimit")}
    volumes, mounts = _volumes(config)
    return to_json(
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


def _variables(config: Json) -> Iterator[Json]:
    for field in config.get("fieldPathAsEnv", []):
        yield {"name": field["name"], "valueFrom": {"fieldRef": {"fieldPath": field["fieldPath"]}}}
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
    for volume in config.get("emptyDirMounts", []):
        volumes.append(
            {
                "name": volume["volumeName"],
                "emptyDir": {key: volume[key] for key in ("medium", "sizeLimit") if key in volume},
            }
        )
        mounts.append({"name": volume["volumeName"], "mountPath": volume["mountPath"]})
    for volume in config.get("secretAsVolume", []):
        volumes.append({"name": volume["secretName"], "secret": {"secretName": volume["secretName"], "optional": True}})
        mounts.append({"name": volume["secretName"], "mountPath": volume["mountPath"]})
    for volume in config.get("pvcMount", []):
        volumes.append({"name": volume["constant"], "persistentVolumeClaim": {"claimName": volume["constant"]}})
        mounts.append({"name": volume["constant"], "mountPath": volume["mountPath"]})
    return volumes, mounts


def _uri(task: str, name: str) -> str:
    return f"minio://mlpipeline/v2/artifacts/autoencoders/{UUID}/{task}/{UUID}/{name}"


def to_json(value: Any) -> str:
    """Return `value` as Go writes JSON, which escapes what HTML gives a meaning to."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
