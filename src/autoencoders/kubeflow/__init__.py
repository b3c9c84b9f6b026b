"""What stands between a stage and the Kubeflow Pipelines component that calls it; KFP itself is not imported.

A component gets parts of `params.yaml` as values and folders as artifacts; `run` turns them into what the stage takes.
"""

import hashlib
import inspect
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from autoencoders import cli
from autoencoders.errors import Interrupted, UserError, first_line
from autoencoders.ladder.record import RUNGS
from autoencoders.params import PARAMETERS, Params, parse_params
from autoencoders.params.sections import Tracking
from autoencoders.runtime import pod  # before torch is imported: `cli` has threads wait asleep
from autoencoders.runtime.process import BROKEN_PIPE, STOPPED, exit_code, run_child

CHECKPOINTS = "AUTOENCODERS_CHECKPOINTS"
"""Environment variable: the folder for checkpoints, on a volume that outlives the pod, or an object store's URL."""
TRAINJOB = "AUTOENCODERS_TRAINJOB"
"""Environment variable: JSON, the nodes on which a task has its model trained; without it, in its own pod."""
OF_ONE_RUN = ("run.json", "history.csv")
"""Files that say when and where something ran: equal results differ in them."""

if pod.kfp_run():
    pod.wait_when_stopped()  # a stage's imports alone take seconds, in which there is nothing to tidy up yet


MODELS = "models.json"
"""File in what `compare` gathers: the models' parameters."""
Gathered = tuple[Path, Path, Path]


class Artifact(Protocol):
    """Of KFP's artifacts, what is used here."""

    path: str
    metadata: dict[str, Any]


def argument(part: str) -> str:
    """Return the name under which components and pipeline take a part of `params.yaml`: `ladder.beta` is
    `ladder_beta_params`, a single value keeps its name."""
    name = part.replace(".", "_")
    return name if part in ("device", "ladder.seed") else f"{name}_params"


def arguments(params: Params) -> dict[str, Any]:
    """Return the pipeline's arguments: the parts of `params` but for `tracking`, which is the environment's.

    Models are a list of mappings with one entry, since KFP's structures keep no order; keys that are null are left
    out, since they hold no null.
    """
    values: dict[str, Any] = {}
    for part in PARAMETERS:
        value: Any = params.model_dump(mode="json", exclude_none=True)
        for key in part.split("."):
            value = value[key]
        values[argument(part)] = [{name: entry} for name, entry in value.items()] if part == "models" else value
    del values[argument("tracking")]
    return values


def parameters(parts: Mapping[str, Any]) -> Params:
    """Validate parts of `params.yaml`, named by their paths in it, as KFP delivers them: all numbers are floats."""
    raw: dict[str, Any] = {}
    for part, value in parts.items():
        *outer, last = part.split(".")
        section = raw
        for key in outer:
            section = section.setdefault(key, {})
        if part == "models" and isinstance(value, list):
            value = {name: entry for model in value for name, entry in model.items()}
        section[last] = _with_integers(value)
    return parse_params(raw, "the pipeline's parameters", complete=False)


def _with_integers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_integers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def run(stage: Callable[..., None], parts: Mapping[str, Any], **given: Any) -> None:
    """Call `stage` with parts of `params.yaml` and with folders, as `given`.

    An artifact is the folder at its path. A user's mistake ends the process as it ends the command `autoencoders`; what
    fails is marked in MLflow's run of the whole pipeline, too. In a pod, one that was stopped waits to be killed.
    """
    os.environ["KFP_TASK"] = stage.__name__
    raised: list[BaseException] = []

    def call() -> None:
        try:
            pod.complete_environment()
            _require_store()
            stage(parameters(parts), **{name: _resolved(value) for name, value in given.items()})
        except BaseException as error:
            raised.append(error)
            raise

    try:
        code: Any = exit_code(call)
        said = "nobody reads its output" if code == BROKEN_PIPE else first_line(raised[0]) if code else ""
    except SystemExit as end:
        code, said = end.code, f"exit code {end.code}"
    except Exception as error:  # a mistake in this program, which has its traceback
        _mark_pipeline(given.get("model", ""), "FAILED", first_line(error))
        raise
    if code:
        dies = pod.kfp_run() and code in (128 + signal.SIGTERM, BROKEN_PIPE)
        if dies:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may be told after its output has lost its reader
        stopped = code in STOPPED or any(isinstance(error, Interrupted) for error in raised)
        _mark_pipeline(given.get("model", ""), "KILLED" if stopped else "FAILED", said)
        if dies:
            pod.wait_to_be_killed(code)
        sys.exit(code)
    if pod.kfp_run():
        pod.wait_when_stopped()  # what follows takes seconds, and is done again


def _mark_pipeline(model: Path | str, status: str, said: str) -> None:
    """Mark MLflow's run of the pipeline that this task belongs to, if any, as ended by what ended the task."""
    from autoencoders.tracking.kfp_status import break_off_pipeline, task_name

    break_off_pipeline(Tracking().experiment, task_name(Path(model).name), status, said)


def interrupted() -> None:
    """End MLflow's run of the pipeline whose tasks were interrupted from outside, and what they left running."""
    from autoencoders.tracking.kfp_status import interrupt_pipeline

    interrupt_pipeline(Tracking().experiment)


def failed(task: str, said: str) -> None:
    """End MLflow's run of the pipeline one of whose tasks failed, in case the task was killed and could not say so."""
    from autoencoders.tracking.kfp_status import fail_pipeline

    fail_pipeline(Tracking().experiment, task, said)


def train_on_gpus(parts: Mapping[str, Any], **given: Any) -> None:
    """Call the stage `train`, in a process for each of the pod's GPUs, or on the nodes that the profile asks for."""
    pod.complete_environment()
    from autoencoders.stages.train import train

    [entry] = parts["models"].values()
    nodes, gpus = os.environ.get(TRAINJOB), _gpus(parts["device"])
    if entry["kind"] == "pca" or (not nodes and gpus < 2):
        run(train, parts, **given)
    elif nodes:
        run(_as_train(lambda params, **folders: _on_nodes(json.loads(nodes), params, folders)), parts, **given)
    else:
        run(_as_train(lambda params, **folders: _on_gpus(gpus, params, folders)), parts, **given)
    if isinstance(folder := given["checkpoints"], Path):
        with suppress(OSError):  # an equal training has come meanwhile, and has it
            folder.rmdir()


def _as_train(function: Callable[..., None]) -> Callable[..., None]:
    """Give `function`, which has others train, the stage's name."""
    function.__name__ = "train"
    return function


def _on_nodes(settings: dict[str, Any], params: Params, folders: dict[str, Any]) -> None:
    from autoencoders.kubeflow.trainjob import train_on_nodes

    train_on_nodes(settings, _as_yaml(params), **folders)


def _on_gpus(count: int, params: Params, folders: dict[str, Any]) -> None:
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


def _resolved(value: Any) -> Any:
    return Path(value.path) if hasattr(value, "path") else value


def _require_store() -> None:
    if os.environ.get("KFP_RUN_ID") and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise UserError(
            "MLFLOW_TRACKING_URI is not set: a database in the pod would be lost with it. Name a tracking server in "
            "the placement profile, under `secret_env` or `env`."
        )


def only(artifact: Artifact) -> Path:
    """Return the one named folder in an artifact; raises `UserError` where it holds anything else."""
    found = sorted(Path(artifact.path).iterdir()) if Path(artifact.path).is_dir() else []
    if len(found) != 1:
        raise UserError(
            f"{artifact.path} must hold one folder, found {len(found)}. Run the stage that writes it again."
        )
    return found[0]


def add_model(result: Artifact, model: Artifact) -> tuple[Path, Path]:
    """Copy the model into what `evaluate` leaves; return its folder there, and that for what is measured of it."""
    trained, root = only(model), Path(result.path)
    shutil.copytree(trained, root / "models" / trained.name)
    return root / "models" / trained.name, root / "evaluation" / trained.name


def gather(results: Artifact, measured: Iterable[Artifact], models_params: list[dict[str, Any]]) -> Gathered:
    """Copy what `evaluate` left of each model into one artifact, beside the models' parameters in their order."""
    for artifact in measured:
        shutil.copytree(artifact.path, results.path, dirs_exist_ok=True)
    (Path(results.path) / MODELS).write_text(json.dumps(models_params, sort_keys=True), encoding="utf-8")
    return gathered(results)


def gathered(results: Artifact) -> Gathered:
    """Return the folders of what `compare` gathered: models, evaluation, comparison."""
    root = Path(results.path)
    return root / "models", root / "evaluation", root / "comparison"


def models_of(results: Artifact) -> list[dict[str, Any]]:
    """Return section `models` of params.yaml, entry by entry, as it was when `compare` gathered them."""
    entries: list[dict[str, Any]] = json.loads((Path(results.path) / MODELS).read_text(encoding="utf-8"))
    return entries


def climb(parts: Mapping[str, Any], *, data: Artifact, results: Artifact, out: Artifact) -> None:
    """Call the stages of the ladder, one after another; each gets of the inputs what it takes."""
    models, evaluation, _ = gathered(results)

    def ladder(params: Params, **folders: Path) -> None:
        for name in RUNGS:
            rung = cli.stage(name)
            takes = inspect.signature(rung).parameters
            rung(params, **{key: path for key, path in folders.items() if key in takes}, out=Path(out.path) / name)

    run(ladder, parts, data=data, models=models, evaluation=evaluation)


def digest(artifact: Artifact) -> str:
    """Return 64 bits, in hex, of a hash over names and contents of an artifact's files, but for `OF_ONE_RUN`.

    KFP's cache key holds the names of artifacts, not what is in them: what reads an artifact takes its digest as well.
    """
    root, total = Path(artifact.path), hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.name not in OF_ONE_RUN):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return total.hexdigest()[:16]


def checkpoints(*identity: Any) -> Path | str:
    """Return the folder, or the URL, for the checkpoints of the training that `identity` tells from others.

    It is in what AUTOENCODERS_CHECKPOINTS names, where the pod that goes on finds it, else in a temporary folder.
    """
    from autoencoders.training.checkpoint_store import join_path

    pod.complete_environment()
    text = json.dumps(identity, sort_keys=True)
    root = os.environ.get(CHECKPOINTS) or Path(tempfile.gettempdir()) / "autoencoders-checkpoints"
    return join_path(root, hashlib.sha256(text.encode()).hexdigest()[:16])
