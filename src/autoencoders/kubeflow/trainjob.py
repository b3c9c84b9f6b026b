"""A training on several nodes: a `TrainJob` of Kubeflow Trainer with this image, launched by a task that waits for it.

Task and job share a volume: the data goes there, the model comes back from there.
"""

import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError
from autoencoders.runtime.pod import SECRETS, filled
from autoencoders.tracking.store import PLUGIN_VARIABLE

if TYPE_CHECKING:
    from kubeflow.trainer import TrainerClient

OF_TASK = (
    "KFP_RUN_ID",
    "KFP_TASK",
    PLUGIN_VARIABLE,
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_WORKSPACE",
    "MLFLOW_TRACKING_URI",
)
"""Variables that are known only once the task runs: its run, its task, and what KFP's MLflow plugin injects."""
RIGHTS = (
    "Give the pipeline's service account a Role that may get trainingruntimes and clustertrainingruntimes; create, get "
    "and delete trainjobs (all of trainer.kubeflow.org); and list pods."
)
MAX_SECONDS = 7 * 24 * 3600
"""Seconds that a task waits for a job; the profile's `timeout` ends it before."""
NODE = "node"
"""Name of the job and the container that train, in the runtime `torch-distributed`."""


def train_on_nodes(
    settings: Mapping[str, Any], params: str, *, model: str, data: Path, checkpoints: Path | str, out: Path
) -> None:
    """Train `model` with the parameters `params` (YAML) on the nodes of `settings`, and write its folder to `out`.

    `settings` are what `pipeline.compiling` makes of a profile's `trainjob`.

    Raise `UserError` if the cluster refuses the job, or the job fails.
    """
    shared = Path(settings["path"])
    with tempfile.TemporaryDirectory(prefix="trainjob-", dir=shared) as scratch:
        work = Path(scratch)
        work.chmod(0o777)
        shutil.copytree(data, work / "data")
        (work / "params.yaml").write_text(params, encoding="utf-8")
        options = {"params": work / "params.yaml", "model": model, "data": work / "data", "checkpoints": checkpoints}
        _run(_client(), settings, [f"--{key}={value}" for key, value in {**options, "out": work / "out"}.items()])
        shutil.copytree(work / "out", out)


def _client() -> "TrainerClient":
    from kubeflow.trainer import TrainerClient

    return TrainerClient()


def _run(client: "TrainerClient", settings: Mapping[str, Any], options: list[str]) -> None:
    """Create a job, wait until it is complete, and delete it, whatever happens."""
    name = f"autoencoders-{uuid.uuid4().hex[:10]}"
    try:
        _create(client, name, settings, options)
        print(f"TrainJob {name}: {settings['nodes']} nodes, {settings['processes']} processes on each", flush=True)
        client.wait_for_job_status(name, timeout=MAX_SECONDS, polling_interval=settings.get("interval", 10))
    except (RuntimeError, TimeoutError) as error:
        raise UserError(f"TrainJob {name}: {_reason(error)}") from None
    finally:
        _delete(client, name)


def _reason(error: Exception) -> str:
    """Return the refusal of the Kubernetes API with the rights that are missing, else how the job ended."""
    cause = error.__cause__
    if cause is None:
        return f"{error}. Its pods' logs say more."
    try:
        message = str(json.loads(getattr(cause, "body", ""))["message"])
    except (TypeError, ValueError, KeyError):
        message = " ".join(str(cause).split())[:500] or type(cause).__name__
    help_ = f" {RIGHTS}" if getattr(cause, "status", None) == 403 else ""
    return f"{error}: {message.rstrip('.')}.{help_}"


def _create(client: "TrainerClient", name: str, settings: Mapping[str, Any], options: list[str]) -> None:
    from kubeflow.trainer import CustomTrainerContainer
    from kubeflow.trainer import options as patch

    # The runtime sets the variables PET_…, by which torchrun finds the other nodes.
    command = ["python3", "-m", "torch.distributed.run", f"--nproc-per-node={settings['processes']}"]
    volumes: list[dict[str, Any]] = [
        {"name": "shared", "persistentVolumeClaim": {"claimName": settings["claim"]}},
        *({"name": name, "secret": {"secretName": name, "optional": True}} for name in settings["secrets"]),
    ]
    mounts = [
        {"name": "shared", "mountPath": settings["path"]},
        *({"name": name, "mountPath": str(SECRETS / name)} for name in settings["secrets"]),
    ]
    container = patch.ContainerPatch(name=NODE, env=_environment(settings["env"]), volume_mounts=mounts)
    pod = patch.PodSpecPatch(
        volumes=volumes,
        containers=[container],
        node_selector=settings.get("node_selector"),
        tolerations=settings.get("tolerations"),
        image_pull_secrets=settings.get("image_pull_secrets"),
    )
    job = patch.JobTemplatePatch(spec=patch.JobSpecPatch(template=patch.PodTemplatePatch(spec=pod)))
    jobs = patch.JobSetSpecPatch(replicated_jobs=[patch.ReplicatedJobPatch(name=NODE, template=job)])
    runtime = patch.TrainingRuntimeSpecPatch(template=patch.JobSetTemplatePatch(spec=jobs))
    client.train(
        runtime=settings["runtime"],
        trainer=CustomTrainerContainer(
            image=settings["image"], num_nodes=settings["nodes"], resources_per_node=settings["resources"]
        ),
        options=[
            patch.Name(name),
            patch.TrainerCommand([*command, "-m", "autoencoders", "train", *options]),
            patch.RuntimePatch(runtime),
        ],
    )


def _environment(env: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the variables of the settings and those of `OF_TASK` that this task has."""
    known = {variable["name"] for variable in env} | filled  # the latter from a secret, which the nodes have, too
    return env + [
        {"name": name, "value": os.environ[name]} for name in OF_TASK if name not in known and name in os.environ
    ]


def _delete(client: "TrainerClient", name: str) -> None:
    try:
        client.delete_job(name)
    except Exception as error:  # it was never created, or the cluster is away: what failed before matters more
        print(f"TrainJob {name} could not be deleted ({type(error).__name__})", file=sys.stderr)
