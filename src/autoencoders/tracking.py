"""Runs in MLflow; the only module that imports it.

A run never holds anything that the model's folder does not hold first, so a server that goes away costs nothing:
`publish` brings a run up to date from folders, as often as one likes, and makes runs that do not exist yet.
"""

import csv
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.params import Params

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # MLflow's 7 would stall a training for minutes

if TYPE_CHECKING:
    from mlflow import MlflowClient

SOURCE_RUN = "autoencoders.source_run_id"
"""Tag of a re-created run: the id of the run that first recorded the training."""
WEIGHTS = "autoencoders.weights_sha256"
"""Tag of a run whose model is logged: the hash of the weights."""
MODEL_ARTIFACT = "model"

Row = Mapping[str, float]


def repository_root() -> Path:
    """Return the folder of `dvc.yaml` that runs belong to; for a DVC experiment in a copy, the original's."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").exists()), here)


def connect(check: bool = True) -> "MlflowClient":
    """Return a client of `MLFLOW_TRACKING_URI`, by default the database `mlflow.db` in the repository root.

    Raises `UserError` within seconds where a server does not answer.
    """
    default = repository_root() / "mlflow.db"
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{default}"
    if check and uri.startswith("http"):
        _require_answer(uri)
    if uri == f"sqlite:///{default}" and not default.exists():
        print(f"Creating MLflow's database {default} (once, about 10 s)", flush=True)
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)  # one line per migration otherwise
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient()


def _require_answer(uri: str) -> None:
    import requests

    fix = "Start it, correct MLFLOW_TRACKING_URI, or unset the variable to use the local database."
    shown = urlsplit(uri)._replace(netloc=urlsplit(uri).netloc.rpartition("@")[2]).geturl()  # no password in a log
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=5)
    except requests.RequestException as error:
        raise UserError(f"the MLflow server at {shown} does not answer ({type(error).__name__}). {fix}") from None
    if answer.status_code in (401, 403):
        raise UserError(
            f"the MLflow server at {shown} refuses access (HTTP {answer.status_code}). "
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; "
            "for an unknown host name, start the server with --allowed-hosts."
        )
    if answer.status_code >= 500:
        raise UserError(f"the MLflow server at {shown} is in trouble (HTTP {answer.status_code}). {fix}")


class Recorder:
    """Calls MLflow until it fails once: then says so, and leaves the rest to `autoencoders publish`."""

    def __init__(self) -> None:
        self.offline = False

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Run `action` unless MLflow has gone away; a failure is told once and raises nothing."""
        if self.offline:
            return None
        import requests
        from mlflow.exceptions import MlflowException

        try:
            return action()
        except (MlflowException, requests.RequestException, OSError) as error:
            self.offline = True
            first = str(error).splitlines()[0][:200]
            print(
                f"warning: MLflow stopped answering ({first}). The work goes on and nothing is lost: "
                "`autoencoders publish` records it once the server is back.",
                file=sys.stderr,
            )
            return None


class ModelRun(Recorder):
    """The MLflow run of one model's training; as a context manager it marks the run finished, failed or killed."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        super().__init__()
        self._client = client
        self.run_id = run_id
        self._monitor: Any = None

    def reference(self) -> dict[str, str]:
        """Return what `run.json` holds."""
        return {"run_id": self.run_id}

    def __enter__(self) -> "ModelRun":
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
        self._monitor = SystemMetricsMonitor(self.run_id, sampling_interval=5, resume_logging=True)
        self._monitor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.attempt(self._monitor.finish)
        interrupted = kind is not None and not issubclass(kind, Exception)
        status = "FINISHED" if kind is None else "KILLED" if interrupted else "FAILED"
        self.attempt(lambda: self._client.set_terminated(self.run_id, status))

    def log_epoch(self, row: Row) -> None:
        """Log the metrics of one epoch."""
        self.attempt(lambda: _log_history(self._client, self.run_id, [row]))

    def log_trained(self, folder: Path) -> None:
        """Bring the run up to date with the model's `folder`."""
        self.attempt(lambda: _sync_model(self._client, self.run_id, folder))


def start_model_run(
    params: Params, description: Mapping[str, Any], data: PreparedData, resume: str | None = None
) -> ModelRun:
    """Open the run of a model's training: the one to `resume`, the injected one, or a new one.

    Under `mlflow run -e train`, MLflow injects `MLFLOW_RUN_ID`: that run is the model's. Where DVC runs the stage, an
    injected run is the whole pipeline's: the model's run becomes its child.
    """
    client = connect()
    injected = os.environ.get("MLFLOW_RUN_ID")
    if resume and (run_id := _existing(client, resume)):
        client.update_run(run_id, status="RUNNING")
    elif injected and "DVC_STAGE" not in os.environ:
        run_id = injected
    else:
        run_id = _create_run(client, params.tracking.experiment, description["name"], parent=injected)
    _describe_run(client, run_id, description, data)
    return ModelRun(client, run_id)


def _create_run(client: "MlflowClient", experiment: str, name: str, parent: str | None = None) -> str:
    tags = {"mlflow.runName": name, "mlflow.source.name": "autoencoders", "mlflow.source.type": "LOCAL"}
    if parent:
        tags["mlflow.parentRunId"] = parent
        return client.create_run(client.get_run(parent).info.experiment_id, tags=tags).info.run_id
    return client.create_run(_experiment_id(client, experiment), tags=tags).info.run_id


def _experiment_id(client: "MlflowClient", name: str) -> str:
    import mlflow
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", name)
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        raise UserError(
            f"the MLflow experiment {name!r} is deleted. Restore it with "
            f"`mlflow experiments restore -x {found.experiment_id}`, or set tracking.experiment to another name."
        )
    if found is not None:
        return found.experiment_id
    # Beside a local database the artifacts need an absolute place: MLflow's default depends on the current folder.
    local = mlflow.get_tracking_uri().startswith("sqlite:///")
    place = (repository_root() / "mlartifacts").as_uri() if local else None
    try:
        return client.create_experiment(name, artifact_location=place)
    except MlflowException:  # another stage was faster
        created = client.get_experiment_by_name(name)
        if created is None:
            raise
        return created.experiment_id


def _existing(client: "MlflowClient", run_id: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return run_id if run.info.lifecycle_stage == "active" else None


def _describe_run(
    client: "MlflowClient", run_id: str, description: Mapping[str, Any], data: PreparedData | None
) -> None:
    """Set the run's parameters, tags and data set; setting them twice changes nothing."""
    from mlflow.entities import DatasetInput, InputTag, Param, RunTag
    from mlflow.entities import Dataset as DatasetEntity

    params = {f"model.{key}": value for key, value in description["model"].items() if key != "train"}
    params |= {f"train.{key}": value for key, value in (description["train"] or {}).items()}
    params |= {"data.name": description["dataset"]["name"], "data.shape": list(description["shape"])}
    tags = {
        "model": description["name"],
        "kind": description["model"]["kind"],
        "data_hash": description["dataset"]["content_hash"],
        "hardware": description["hardware"],
        "python": platform.python_version(),
        **_origin_tags(),
    }
    client.log_batch(
        run_id,
        params=[Param(key, str(value)) for key, value in params.items()],
        tags=[RunTag(key, str(value)) for key, value in tags.items()],
    )
    digest = description["dataset"]["content_hash"][:36]  # the longest digest that MLflow takes
    profile = json.dumps({"content_hash": description["dataset"]["content_hash"], **(data.info.counts if data else {})})
    source = json.dumps({"uri": str(data.root.resolve()) if data else description["dataset"]["name"]})
    dataset = DatasetEntity(description["dataset"]["name"], digest, "local", source, profile=profile)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _origin_tags() -> dict[str, str]:
    """Tags that tie a run to the commit, the DVC stage and experiment, and the stage's inputs."""
    tags = {}
    commit = _git("rev-parse", "HEAD")
    if commit:
        tags["git_commit"] = tags["mlflow.source.git.commit"] = commit
        tags["git_dirty"] = str(bool(_git("status", "--porcelain", "--untracked-files=no"))).lower()
    if stage := os.environ.get("DVC_STAGE"):
        tags["dvc_stage"] = stage
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags["dvc_experiment"] = experiment
    params = Path("params.yaml")
    if params.exists():
        import hashlib

        tags["params_hash"] = hashlib.sha256(params.read_bytes()).hexdigest()[:16]
    return tags


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _log_history(client: "MlflowClient", run_id: str, rows: Iterable[Row]) -> None:
    """Log rows of a history with the time at which each was measured: logging a row twice changes nothing."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name if "/" in name else f"train/{name}", float(value), int(row["timestamp"] * 1000), int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if name not in ("epoch", "timestamp") and value not in ("", None)
    ]
    for start in range(0, len(metrics), 1000):  # MLflow's limit for one batch
        client.log_batch(run_id, metrics[start : start + 1000])


def _sync_model(client: "MlflowClient", run_id: str, folder: Path) -> None:
    """Log what `folder` holds and the run lacks: history, validation results, the model itself."""
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if (folder / "history.csv").exists():
        with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
            rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        _log_history(client, run_id, rows)
    log_metrics(client, run_id, {f"best/{key}": value for key, value in description["validation"].items()})
    client.set_tag(run_id, "parameters", description["parameters"])
    if client.get_run(run_id).data.tags.get(WEIGHTS) != description["weights_sha256"]:
        _log_pyfunc(run_id, folder, description)
        client.set_tag(run_id, WEIGHTS, description["weights_sha256"])


def log_metrics(client: "MlflowClient", run_id: str, metrics: Mapping[str, float]) -> None:
    """Log final metrics, unless the run has just these values."""
    from mlflow.entities import Metric

    present = client.get_run(run_id).data.metrics
    now = int(time.time() * 1000)
    new = [Metric(key, value, now, 0) for key, value in metrics.items() if present.get(key) != value]
    if new:
        client.log_batch(run_id, new)


def _log_pyfunc(run_id: str, folder: Path, description: Mapping[str, Any]) -> None:
    """Log the model: images float32 (N, C, H, W) in [0, 1] in, reconstructions out, with the code that it needs."""
    import mlflow
    import numpy as np
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    spec = TensorSpec(np.dtype(np.float32), (-1, *description["shape"]))
    example = np.random.default_rng(0).random((2, *description["shape"]), dtype=np.float32)
    injected = os.environ.pop("MLFLOW_RUN_ID", None)
    try:
        with mlflow.start_run(run_id=run_id, log_system_metrics=False):
            mlflow.pyfunc.log_model(
                name=MODEL_ARTIFACT,
                loader_module="autoencoders.served",
                data_path=str(folder),
                code_paths=[str(Path(__file__).parent)],
                signature=ModelSignature(Schema([spec]), Schema([spec])),
                input_example=example,
                pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", "numpy", "safetensors"],
            )
    finally:
        if injected:
            os.environ["MLFLOW_RUN_ID"] = injected


def run_of(client: "MlflowClient", folder: Path, experiment: str) -> str:
    """Return the run of the model in `folder`; one that this store lacks is re-created from the folder."""
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    source = json.loads((folder / "run.json").read_text(encoding="utf-8"))["run_id"]
    if run_id := _existing(client, source):
        return run_id
    experiments = [found.experiment_id for found in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`{SOURCE_RUN}` = '{source}'", max_results=1)
    if found:
        return found[0].info.run_id
    run_id = _create_run(client, experiment, description["name"])
    client.set_tag(run_id, SOURCE_RUN, source)
    _describe_run(client, run_id, description, None)
    _sync_model(client, run_id, folder)
    client.set_terminated(run_id)
    return run_id


class FolderRuns(Recorder):
    """The runs of finished models, for the stages after training."""

    def __init__(self, experiment: str) -> None:
        super().__init__()
        self._client = connect()
        self._experiment = experiment

    def log_evaluation(self, model: Path, metrics: Mapping[str, float], files: Iterable[Path] = ()) -> None:
        """Log a model's `test/*` metrics and `files` to its run, and metrics to an injected run of this stage alone."""

        def action() -> None:
            run_id = run_of(self._client, model, self._experiment)
            named = {f"test/{key}": value for key, value in metrics.items()}
            log_metrics(self._client, run_id, named)
            injected = os.environ.get("MLFLOW_RUN_ID")
            if injected and "DVC_STAGE" not in os.environ:
                log_metrics(self._client, injected, named)
            for file in files:
                self._client.log_artifact(run_id, str(file), "evaluation")

        self.attempt(action)

    def log_figures(self, model: Path, figures: Iterable[Path]) -> None:
        """Log figures to a model's run."""

        def action() -> None:
            run_id = run_of(self._client, model, self._experiment)
            for figure in figures:
                self._client.log_artifact(run_id, str(figure), "figures")

        self.attempt(action)

    def publish_model(self, model: Path) -> None:
        """Bring the run of the model in the folder `model` up to date, and mark it finished."""

        def action() -> None:
            run_id = run_of(self._client, model, self._experiment)
            _sync_model(self._client, run_id, model)
            self._client.set_terminated(run_id)

        self.attempt(action)

    def register(self, name: str, model: Path, alias: str, metric: str) -> None:
        """Make the model the version of the registered model `name` that `alias` points to."""

        def action() -> None:
            import mlflow

            run_id = run_of(self._client, model, self._experiment)
            if not self._client.search_registered_models(f"name = '{name}'"):
                self._client.create_registered_model(name)
            versions = self._client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
            if versions:
                version = versions[0].version
            else:
                logged = self._client.get_run(run_id).outputs.model_outputs[-1].model_id
                version = mlflow.register_model(f"models:/{logged}", name).version
            self._client.set_registered_model_alias(name, alias, version)
            self._client.set_model_version_tag(name, version, "selected_by", metric)

        self.attempt(action)


def figures_of(folder: Path, model: str) -> list[Path]:
    """Return the figures that show `model`: those of all models, and its own, named `<figure>--<model>.png`."""
    return [path for path in sorted(folder.glob("*.png")) if path.stem.partition("--")[2] in ("", model)]


def registered_name(description: Mapping[str, Any]) -> str:
    """Return the name under which models of a data set are registered."""
    return f"{description['dataset']['name']}-autoencoders"
