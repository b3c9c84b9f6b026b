"""What a model's run holds. Logging something again changes nothing."""

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from autoencoders.model_folder.history import read_history
from autoencoders.tracking import registry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EpochMetrics = Mapping[str, float]


def describe(client: "MlflowClient", run_id: str, description: Mapping[str, Any], source: str | None = None) -> None:
    """Log the parameters and the data set of a model; the data came from the folder `source`."""
    params = {f"model.{key}": value for key, value in description["model"].items() if key != "train"}
    params |= {f"train.{key}": value for key, value in (description["train"] or {}).items()}
    params |= {"data.name": description["dataset"]["name"], "data.shape": list(description["shape"])}
    log_params(client, run_id, params)
    log_dataset(client, run_id, description, source)


def log_dataset(client: "MlflowClient", run_id: str, description: Mapping[str, Any], source: str | None = None) -> None:
    """Log the data set of a model or a rung as the run's input; the data came from the folder `source`."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name, content_hash = description["dataset"]["name"], description["dataset"]["content_hash"]
    dataset = Dataset(
        name,
        content_hash[:36],  # the longest digest that MLflow takes
        "local",
        source=json.dumps({"uri": source or name}),
        profile=json.dumps({"content_hash": content_hash, "shape": list(description["shape"])}),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def log_params(client: "MlflowClient", run_id: str, params: Mapping[str, Any]) -> None:
    """Log parameters in one call."""
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])


def set_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags in one call."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])


def log_history(client: "MlflowClient", run_id: str, rows: Iterable[EpochMetrics]) -> None:
    """Log rows of a history with the time at which each was measured: MLflow keeps equal metrics of one time once."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name if "/" in name else f"train/{name}", float(value), _milliseconds(row), int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if name not in ("epoch", "timestamp")
    ]
    log_all(client, run_id, metrics)


def log_metrics(client: "MlflowClient", run_id: str, metrics: Mapping[str, float]) -> None:
    """Log final metrics that the run does not have with exactly these values."""
    from mlflow.entities import Metric

    present, now = client.get_run(run_id).data.metrics, int(time.time() * 1000)
    new = [Metric(key, value, now, 0) for key, value in metrics.items() if not _equal(present.get(key), value)]
    if new:
        client.log_batch(run_id, new)


def _equal(present: float | None, value: float) -> bool:
    return present == value or (present is not None and math.isnan(present) and math.isnan(value))


def log_files(client: "MlflowClient", run_id: str, files: Mapping[str, Path], folder: str) -> None:
    """Log files under the names given into an artifact folder of the run."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:  # a process that is stopped removes it, too
        for name, path in files.items():
            client.log_artifact(run_id, copy(path, f"{scratch}/{name}"), folder)


def log_training(client: "MlflowClient", run_id: str, folder: Path, description: Mapping[str, Any]) -> None:
    """Log what the training left in `folder`: history, validation results of the weights kept, and the model itself."""
    log_history(client, run_id, read_history(folder))
    log_metrics(client, run_id, {f"best/{key}": value for key, value in description["validation"].items()})
    facts = ("parameters", "precision", "best_epoch", "weights_sha256")
    set_tags(client, run_id, {name: description[name] for name in facts if name in description})
    registry.log_model(client, run_id, folder, description)


def times(rows: Sequence[EpochMetrics]) -> tuple[int | None, int | None]:
    """Return start and end of a training in milliseconds since 1970, each None where unknown."""
    if not rows:
        return None, None
    return _milliseconds(rows[0]) - int(rows[0].get("seconds", 0) * 1000), _milliseconds(rows[-1])


def _milliseconds(row: EpochMetrics) -> int:
    return int(row["timestamp"] * 1000)


def log_all(client: "MlflowClient", run_id: str, metrics: "list[Metric]") -> None:
    """Log metrics in batches of the size that MLflow allows."""
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics[start : start + 1000])


def start_system_monitor(run_id: str, resumed: bool) -> Any:
    """Start MLflow's thread that logs system metrics every 5 s, until its `finish` is called."""
    import psutil
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    psutil.cpu_percent()  # measures since the last call: without this one, a short training would show 0 %
    monitor = SystemMetricsMonitor(run_id, sampling_interval=5, resume_logging=resumed)
    monitor.start()
    return monitor


def finish_system_monitor(monitor: Any, sample: bool) -> None:
    """Stop the monitor; with `sample`, log one sample if the training was shorter than the sampling interval."""
    monitor.finish()
    if sample and monitor.mlflow_logger.previous_training_timestamp is None:
        monitor.collect_metrics()
        monitor.publish_metrics(monitor.aggregate_metrics())
        monitor.mlflow_logger.flush()
