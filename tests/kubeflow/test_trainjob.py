"""A training on several nodes: the TrainJob that a task launches, at a double of the cluster that runs its command."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
from artifacts import Artifact
from compiled import PINNED, parse
from json_server import json_server
from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import TrainerClient
from kubeflow_trainer_api.models import TrainerV1alpha1ClusterTrainingRuntime as Runtime
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob as TrainJob
from pods import Cluster as Pods
from pods import of_pipeline

from autoencoders.kubeflow import trainjob
from autoencoders.kubeflow.launch import TRAINJOB, train_on_gpus
from pipeline.compiling import compile_pipeline
from pipeline.compiling import trainjob as settings_of
from pipeline.profiles import Profile

RUNTIME = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "ClusterTrainingRuntime",
    "metadata": {"name": "torch-distributed", "labels": {"trainer.kubeflow.org/framework": "torch"}},
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {}},
        "template": {"spec": {"replicatedJobs": [{
            "name": "node",
            "template": {
                "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
                "spec": {"template": {"spec": {"containers": [{"name": "node", "image": "pytorch/pytorch"}]}}},
            },
        }]}},
    },
}  # fmt: skip
PROFILE = {
    "image": PINNED,
    "checkpoints": {"claim": "shared"},
    "trainjob": {"nodes": 2},
    "default": {"secret_env": [{"secret": "mlflow", "keys": {"URI": "MLFLOW_TRACKING_URI"}}], "cpu": 1},
    "stages": {
        "train": {
            "cpu": 8,
            "memory": "32Gi",
            "accelerator": {"count": 4},
            "node_selector": {"pool": "gpu"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "image_pull_secrets": ["registry"],
            "env": {"NCCL_DEBUG": "WARN"},
        }
    },
}


class Cluster:
    """What was created and deleted; a job is run as its nodes would run it, as one node."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.host = ""
        self.refuses = False
        self.goes_on = False
        """Whether jobs are never done."""

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        name = path.rsplit("/", 1)[-1]
        if "/clustertrainingruntimes/" in path:
            return 200, RUNTIME
        if path.endswith("/trainjobs") and method == "POST":
            if self.refuses:
                return 403, {
                    "kind": "Status",
                    "status": "Failure",
                    "code": 403,
                    "reason": "Forbidden",
                    "message": FORBIDDEN,
                }
            self.jobs[body["metadata"]["name"]] = body
            return 201, body
        if "/trainjobs/" in path and method == "DELETE":
            self.deleted.append(name)
            return 200, {}
        if "/trainjobs/" in path:
            job = self.jobs[name]
            if self.goes_on:
                meta = {**job["metadata"], "namespace": "default", "creationTimestamp": NOW}
                return 200, {**job, "metadata": meta, "status": {}}
            done = [{"type": self.run(job), "status": "True", "reason": "r", "message": "m", "lastTransitionTime": NOW}]
            meta = {**job["metadata"], "namespace": "default", "creationTimestamp": NOW}
            return 200, {**job, "metadata": meta, "status": {"conditions": done}}
        if path.endswith("/pods"):
            return 200, {"apiVersion": "v1", "kind": "PodList", "items": [], "metadata": {}}
        return 404, {"message": "not found"}

    def run(self, job: dict[str, Any]) -> str:
        _, *command = job["spec"]["trainer"]["command"]
        command = [argument.replace("--nproc-per-node=4", "--nproc-per-node=1") for argument in command]
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, env=dict(os.environ), check=False
        )
        return "Failed" if done.returncode else "Complete"


NOW = "2026-01-01T00:00:00Z"
FORBIDDEN = (
    'trainjobs.trainer.kubeflow.org is forbidden: User "system:serviceaccount:kubeflow:pipeline-runner" cannot create '
    'resource "trainjobs" in API group "trainer.kubeflow.org" in the namespace "kubeflow"'
)


@pytest.fixture
def cluster(monkeypatch) -> Iterator[Cluster]:
    double = Cluster()
    with json_server(double.answer) as double.host:
        configuration = kubernetes.client.Configuration(host=double.host)
        config = KubernetesBackendConfig(namespace="default", client_configuration=configuration)
        monkeypatch.setattr(trainjob, "_client", lambda: TrainerClient(config))
        yield double


@pytest.fixture
def launch(cluster, repository_params, prepared, tmp_path, monkeypatch, store) -> Any:
    """Train as the component does, with the settings of the profile; the shared volume is a folder."""
    settings = settings_of(Profile.model_validate(PROFILE), repository_params)
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv(TRAINJOB, json.dumps({**settings, "path": str(tmp_path / "shared"), "interval": 1}))
    monkeypatch.setenv("MLFLOW_RUN_ID", "")

    def call(entry: dict[str, Any], **changed: Any) -> Path:
        parts = {"models": {"m": entry}, "train": {"steps": 2.0, "precision": "fp32"}, "device": "cpu", **changed}
        folders = {"checkpoints": tmp_path / "shared" / "c", "out": tmp_path / "out" / "m"}
        train_on_gpus(parts, model="m", data=Artifact(str(prepared)), **folders)
        return tmp_path / "out" / "m"

    return call


VAE = {"kind": "vae", "latent": 2.0, "hidden": [8.0]}


@pytest.mark.cluster
def test_a_job_trains_with_the_image_and_command_and_its_model_comes_back(launch, cluster, tmp_path, monkeypatch):
    found = json.loads((launch(VAE) / "model.json").read_text())
    [(name, job)] = cluster.jobs.items()
    assert cluster.deleted == [name]
    assert list((tmp_path / "shared").iterdir()) == []
    monkeypatch.delenv(TRAINJOB)
    (tmp_path / "out").rename(tmp_path / "first")
    alone = json.loads((launch(VAE) / "model.json").read_text())
    assert (found["weights_sha256"], found["train"]["steps"]) == (alone["weights_sha256"], 2)

    assert job == TrainJob.from_dict(job).to_dict(), "the published schema knows fewer fields"
    trainer = job["spec"]["trainer"]
    assert (trainer["image"], trainer["numNodes"]) == (PINNED, 2)
    assert trainer["resourcesPerNode"]["limits"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": 4}
    assert trainer["command"][:6] == [
        "python3", "-m", "torch.distributed.run", "--nproc-per-node=4", "-m", "autoencoders"
    ]  # fmt: skip
    assert job["spec"]["runtimeRef"]["name"] == "torch-distributed"
    [patch] = job["spec"]["runtimePatches"]
    [node] = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    assert (node["name"], pod["nodeSelector"]) == ("node", {"pool": "gpu"})
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["volumes"] == [{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}]
    [container] = pod["containers"]
    env = {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}
    secret = {"secretKeyRef": {"name": "mlflow", "key": "URI", "optional": False}}
    assert (env["NCCL_DEBUG"], env["OMP_NUM_THREADS"], env["MLFLOW_TRACKING_URI"]) == ("WARN", "8", secret)
    assert (env["KFP_TASK"], env["AUTOENCODERS_IMAGE"]) == ("train", PINNED)


def test_the_runtime_of_the_double_is_of_the_published_schema():
    assert Runtime.from_dict(RUNTIME).to_dict() == RUNTIME


@pytest.mark.cluster
def test_a_job_that_fails_or_is_refused_is_one_line_and_leaves_nothing(launch, cluster, tmp_path, capsys):
    rights = (
        "Give the pipeline's service account a Role that may get trainingruntimes and clustertrainingruntimes; create, "
        "get and delete trainjobs (all of trainer.kubeflow.org); and list pods."
    )
    for refuses, said in (
        (False, "TrainJob NAME is Failed. Its pods' logs say more."),
        (True, f"Failed to create TrainJob: default/NAME: {FORBIDDEN}. {rights}"),
    ):
        cluster.refuses = refuses
        with pytest.raises(SystemExit) as ended:
            launch(VAE, train={"steps": 2.0, "learning_rate": 1.0, "precision": "fp32"}, device="cuda")
        assert ended.value.code == 2
        last = capsys.readouterr().err.strip().splitlines()[-1]
        [name] = set(re.findall("autoencoders-[0-9a-f]{10}", last))
        assert last == f"error: TrainJob {name}: {said.replace('NAME', name)}"
    assert len(cluster.deleted) == 2
    assert list((tmp_path / "shared").iterdir()) == []


LAUNCHER = """
import kubernetes.client, sys
from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import TrainerClient
from autoencoders.kubeflow import launch, trainjob

class Data:
    path = sys.argv[2]

configuration = kubernetes.client.Configuration(host=sys.argv[1])
config = KubernetesBackendConfig(namespace="default", client_configuration=configuration)
trainjob._client = lambda: TrainerClient(config)
launch.train_on_gpus(
    {"models": {"m": {"kind": "vae", "latent": 2.0}}, "train": {}, "device": "cpu"},
    model="m", data=Data, checkpoints=launch.checkpoints(), out="out",
)
"""


@pytest.mark.cluster
def test_a_launcher_that_must_stop_deletes_its_job_and_waits_to_be_killed(
    cluster, repository_params, prepared, client, store, tmp_path, monkeypatch
):
    cluster.goes_on = True
    settings = settings_of(Profile.model_validate(PROFILE), repository_params)
    (tmp_path / "claim").mkdir()
    monkeypatch.setenv(TRAINJOB, json.dumps({**settings, "path": str(tmp_path / "claim"), "interval": 1}))
    pod = Pods(tmp_path, prepared, store, str(tmp_path / "claim")).start("a", LAUNCHER, cluster.host, str(prepared))
    pod.wait_for(lambda: cluster.jobs)
    try:
        pod.stop()
        pod.wait_until_stopped()
        assert [*cluster.jobs] == cluster.deleted
        assert of_pipeline(client, "a") == ("KILLED", "train m", "exit code 143")
        assert list((tmp_path / "claim").iterdir()) == []
    finally:
        pod.kill()


def test_a_node_gets_what_is_known_only_here_and_no_secret_in_plain(monkeypatch):
    for name in trainjob.OF_TASK:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KFP_RUN_ID", "a-run")
    monkeypatch.setenv("KFP_MLFLOW_CONFIG", "{}")
    monkeypatch.setenv("MLFLOW_RUN_ID", "of the task")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow")
    given = [{"name": "MLFLOW_RUN_ID", "value": "of the profile"}]
    added = {variable["name"]: variable["value"] for variable in trainjob._environment(given)[1:]}
    plain = {"KFP_RUN_ID": "a-run", "KFP_MLFLOW_CONFIG": "{}"}
    assert added == {**plain, "MLFLOW_TRACKING_URI": "http://me:secret@mlflow"}  # as the plugin has it
    monkeypatch.setattr(trainjob, "filled", {"MLFLOW_TRACKING_URI"})
    assert {variable["name"]: variable["value"] for variable in trainjob._environment(given)[1:]} == plain


def test_principal_components_need_no_job(launch, cluster):
    assert (launch({"kind": "pca", "latent": 2.0}) / "model.json").exists()
    assert cluster.jobs == {}


def test_the_task_that_waits_for_a_job_takes_no_gpu(repository_params):
    pipeline = parse(compile_pipeline(Profile.model_validate(PROFILE), repository_params))
    container = pipeline.containers["train"]
    assert (container.resources.resource_cpu_limit, container.resources.accelerator.resource_count) == ("1", "")
    assert dict(pipeline.kubernetes["train"].node_selector.labels) == {}
    [settings] = [variable.value for variable in container.env if variable.name == TRAINJOB]
    assert (json.loads(settings)["nodes"], json.loads(settings)["processes"]) == (2, 4)
    assert json.loads(settings) == settings_of(Profile.model_validate(PROFILE), repository_params)


def test_a_job_needs_the_volume_that_it_shares():
    with pytest.raises(ValueError, match="`checkpoints` must name a `claim`"):
        Profile.model_validate({**PROFILE, "checkpoints": None})
