"""A task in a pod: a process with the environment of one, that trains as the component does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

STEPS = 720
PROGRAM = """
import sys
from pathlib import Path
from autoencoders.kubeflow import launch
from autoencoders.training import checkpoint, object_store

class Data:
    path = sys.argv[1]

launch._gpus = lambda device: int(sys.argv[2])
checkpoint.POLL_INTERVAL, object_store.RENEW_INTERVAL, object_store.LEASE_TIMEOUT = .05, .1, {expired}
vae = {{"kind": "vae", "latent": 2.0, "hidden": [8.0]}}
train = {{"steps": {steps}, "batch_size": 5.0, "precision": "fp32"}}
launch.train_on_gpus(
    {{"models": {{"vae": vae}}, "train": train, "device": "cpu"}},
    model="vae", data=Data, checkpoints=launch.checkpoints("identity"), out=Path("out/vae"),
)
"""
WAITING = "stopped: what is done is kept. Waiting to be killed, so that Kubeflow tries again."
LONGEST_WAIT = 180
"""Seconds after which a test that hangs has failed."""


class Pod:
    """The pod of a task; `claim` is where its checkpoints go: the path of a volume, or the URL of an object store."""

    def __init__(
        self, folder: Path, program: str, environment: dict[str, str], *arguments: str, output: int | None = None
    ) -> None:
        folder.mkdir()
        self.folder, self.log = folder, folder / "log"
        (folder / "sitecustomize.py").write_text("from autoencoders.runtime import progress; progress.EVERY = 0")
        python_path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, *arguments],
                cwd=folder,
                env={**os.environ, "KUBERNETES_SERVICE_HOST": "10.0.0.1", "PYTHONPATH": python_path, **environment},
                stdout=output or log,
                stderr=output or log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """What Kubernetes does first with a pod that it deletes."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """What it does next, or a node's loss."""
        for process in self.processes():
            process.kill()
        self.process.wait()

    def pause(self) -> None:
        for process in self.processes():
            process.suspend()

    def go_on(self) -> None:
        for process in self.processes():
            process.resume()

    def processes(self) -> list[psutil.Process]:
        if self.process.poll() is not None:
            return []
        pod = psutil.Process(self.process.pid)
        return [pod, *pod.children(recursive=True)]

    def said(self) -> list[str]:
        return self.log.read_text().splitlines()

    def wait_for(self, what: Callable[[], object]) -> None:
        """Wait until something is so, which it must be while the process lives."""
        given_up = time.monotonic() + LONGEST_WAIT
        while not what():
            assert self.process.poll() is None and time.monotonic() < given_up, self.log.read_text()
            time.sleep(0.01)

    def wait_until_stopped(self) -> None:
        self.wait_for(lambda: WAITING in self.said())
        assert self.process.poll() is None

    def end(self) -> Path:
        """The folder of the model, once the task has succeeded."""
        assert self.process.wait(120) == 0, self.log.read_text()
        return self.folder / "out" / "vae"


class Cluster:
    """Starts pods that share a claim and MLflow's store."""

    def __init__(self, root: Path, prepared: Path, store: str, claim: str) -> None:
        self.root, self.prepared, self.store, self.claim = root, prepared, store, claim
        self.pods: list[Pod] = []
        self.expired = 60
        """Seconds after which a lease that is not renewed has expired."""

    def train(self, pipeline: str, gpus: int = 1, steps: int = STEPS, output: int | None = None) -> Pod:
        program = PROGRAM.format(steps=steps, expired=self.expired)
        return self.start(pipeline, program, str(self.prepared), str(gpus), output=output)

    def start(self, pipeline: str, program: str, *arguments: str, output: int | None = None) -> Pod:
        """`output` is where the process prints, in place of the pod's log."""
        environment = {
            "KFP_RUN_ID": pipeline,
            "AUTOENCODERS_CHECKPOINTS": self.claim,
            "MLFLOW_TRACKING_URI": self.store,
        }
        pod = Pod(self.root / f"pod-{len(self.pods)}", program, environment, *arguments, output=output)
        self.pods.append(pod)
        return pod

    def kept(self) -> list[str]:
        """What there is on the claim: files and folders of a volume, objects of a store."""
        if not self.claim.startswith("s3://"):
            return [str(path) for path in Path(self.claim).rglob("*")]
        from servers import s3_client

        bucket, _, prefix = self.claim.removeprefix("s3://").partition("/")
        client = s3_client(os.environ["MLFLOW_S3_ENDPOINT_URL"])
        return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]

    def has_checkpoint(self) -> bool:
        return any(name.endswith(".pt") for name in self.kept())


def runs(client: MlflowClient, pipeline: str = "") -> list[Run]:
    """All runs of models, or just the run of a Kubeflow pipeline as a whole."""
    experiment = client.get_experiment_by_name("autoencoders")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    return [
        run
        for run in found
        if ("model" in run.data.tags if not pipeline else run.data.tags.get("kfp_pipeline") == pipeline)
    ]


def of_pipeline(client: MlflowClient, pipeline: str) -> tuple[str, str | None, str | None]:
    """Status of the pipeline's run, the task that failed, and what that said."""
    [run] = runs(client, pipeline)
    return run.info.status, run.data.tags.get("kfp_failed_task"), run.data.tags.get("kfp_error")
