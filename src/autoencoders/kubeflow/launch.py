"""How a component runs its stage in a pod: environment, checkpoints, exit codes, and MLflow's run of the pipeline."""

import hashlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from autoencoders import stages
from autoencoders.errors import Interrupted, UserError, first_line
from autoencoders.kubeflow.artifacts import Artifact, gathered
from autoencoders.kubeflow.inputs import from_kfp_inputs
from autoencoders.ladder.record import RUNGS
from autoencoders.params import Params
from autoencoders.params.sections import Tracking
from autoencoders.runtime import pod
from autoencoders.runtime.process import BROKEN_PIPE, STOPPED, configure_threads, exit_code, run_child

CHECKPOINTS = "AUTOENCODERS_CHECKPOINTS"
"""Environment variable: the folder for checkpoints, on a volume that outlives the pod, or an object store's URL."""
TRAINJOB = "AUTOENCODERS_TRAINJOB"
"""Environment variable: JSON, the nodes on which a task has its model trained; without it, in its own pod."""


def begin() -> None:
    """Set up the process of a task: before torch is imported, and before a stage's imports or copies, which take time.

    All functions here that start work begin so themselves.
    """
    configure_threads()
    if pod.kfp_run():
        pod.wait_when_stopped()


def run(stage: str | Callable[..., None], parts: Mapping[str, Any], **given: Any) -> None:
    """Call a stage, by its name or as a function, with parts of `params.yaml` and with folders, as `given`.

    An artifact is the folder at its path. A user's mistake ends the process as it ends the command `autoencoders`. A
    failure is marked in MLflow's run of the whole pipeline, too. In a pod, a stopped task waits to be killed.
    """
    begin()
    function = stages.find_stage(stage) if isinstance(stage, str) else stage
    os.environ["KFP_TASK"] = function.__name__
    model = Path(given.get("model", "")).name
    raised: list[BaseException] = []

    def call() -> None:
        try:
            pod.complete_environment()
            _require_store()
            folders = {name: Path(value.path) if hasattr(value, "path") else value for name, value in given.items()}
            function(from_kfp_inputs(parts), **folders)
        except BaseException as error:
            raised.append(error)
            raise

    try:
        code: Any = exit_code(call)
    except SystemExit as end:
        code, raised = end.code, []
    except Exception as error:  # a mistake in this program
        _mark_pipeline(model, "FAILED", first_line(error))
        raise
    if code:
        stopped = code in STOPPED or any(isinstance(error, Interrupted) for error in raised)
        _end(code, model, "KILLED" if stopped else "FAILED", _message(code, raised))
    if pod.kfp_run():
        pod.wait_when_stopped()  # what follows takes seconds, and is done again


def _message(code: Any, raised: list[BaseException]) -> str:
    """Return in a line what ended a task."""
    if code == BROKEN_PIPE:
        return "nobody reads its output"
    return first_line(raised[0]) if raised else f"exit code {code}"


def _end(code: Any, model: str, status: str, message: str) -> None:
    """Leave with an exit code other than 0, after a mark in MLflow's run of the pipeline."""
    dies = pod.kfp_run() and code in (128 + signal.SIGTERM, BROKEN_PIPE)
    if dies:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may come after the output has lost its reader
    _mark_pipeline(model, status, message)
    if dies:
        pod.wait_to_be_killed(code)
    sys.exit(code)


def _mark_pipeline(model: str, status: str, message: str) -> None:
    """Mark MLflow's run of the pipeline that this task belongs to, if any, as ended by what ended the task."""
    from autoencoders.tracking.pipeline_run import break_off_pipeline, task_name

    break_off_pipeline(Tracking().experiment, task_name(model), status, message)


def train_on_gpus(parts: Mapping[str, Any], **given: Any) -> None:
    """Call the stage `train`, in a process for each of the pod's GPUs, or on the nodes that the profile asks for."""
    begin()
    pod.complete_environment()
    nodes, gpus = os.environ.get(TRAINJOB), _gpus(parts["device"])

    def train(params: Params, **folders: Any) -> None:
        [entry] = params.models.values()
        if not entry.trained_in_steps or (not nodes and gpus < 2):
            stages.find_stage("train")(params, **folders)
        elif nodes:
            from autoencoders.kubeflow.trainjob import train_on_nodes

            train_on_nodes(json.loads(nodes), _as_yaml(params), **folders)
        else:
            _train_in_processes(gpus, params, folders)

    run(train, parts, **given)
    if isinstance(folder := given["checkpoints"], Path):
        with suppress(OSError):  # an equal training has come meanwhile, and has it
            folder.rmdir()


def _train_in_processes(count: int, params: Params, folders: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "params.yaml"
        file.write_text(_as_yaml(params), encoding="utf-8")
        options = [f"--{key}={value}" for key, value in {"params": file, **folders}.items()]
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        run_child([*launcher, "-m", "autoencoders", "train", *options])


def _gpus(device: str) -> int:
    import torch

    return torch.cuda.device_count() if device in ("auto", "cuda") else 1


def _as_yaml(params: Params) -> str:
    return json.dumps(params.model_dump(mode="json", exclude_none=True))  # JSON is YAML


def _require_store() -> None:
    if os.environ.get("KFP_RUN_ID") and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise UserError(
            "MLFLOW_TRACKING_URI is not set: a database in the pod would be lost with it. Name a tracking server in "
            "the placement profile, under `secret_env` or `env`."
        )


def climb(parts: Mapping[str, Any], *, data: Artifact, results: Artifact, out: Artifact) -> None:
    """Call the stage `ladder` for one rung after another; `out` gets a folder a rung."""
    models, evaluation, _ = gathered(results)

    def ladder(params: Params, **folders: Path) -> None:
        for rung in RUNGS:
            stages.find_stage("ladder")(params, rung=rung, **folders, out=Path(out.path) / rung)

    run(ladder, parts, data=data, models=models, evaluation=evaluation)


def checkpoints(*identity: Any) -> Path | str:
    """Return the folder, or the URL, for the checkpoints of the training that `identity` identifies.

    It is in what AUTOENCODERS_CHECKPOINTS names, where the pod that goes on finds it, else in a temporary folder.
    """
    begin()
    from autoencoders.training.checkpoint_store import join_path

    pod.complete_environment()
    text = json.dumps(identity, sort_keys=True)
    root = os.environ.get(CHECKPOINTS) or Path(tempfile.gettempdir()) / "autoencoders-checkpoints"
    return join_path(root, hashlib.sha256(text.encode()).hexdigest()[:16])
