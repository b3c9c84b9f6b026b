"""What a run holds. Everything here may be logged twice: the second time changes nothing."""

import csv
import io
import json
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError
from autoencoders.files.reading import DAMAGE, read_bytes, reason
from autoencoders.model_folder.history import read_history

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

Row = Mapping[str, float]
MOST_SERIES = 64 * 2**20
"""Bytes of the curves of a rung."""


def describe(client: "MlflowClient", run_id: str, description: Mapping[str, Any], source: str | None = None) -> None:
    """Set the run's parameters and its data set, which came from the folder `source`."""
    params = {f"model.{key}": value for key, value in description["model"].items() if key != "train"}
    params |= {f"train.{key}": value for key, value in (description["train"] or {}).items()}
    params |= {"data.name": description["dataset"]["name"], "data.shape": list(description["shape"])}
    log_params(client, run_id, params)
    log_dataset(client, run_id, description, source)


def log_dataset(client: "MlflowClient", run_id: str, description: Mapping[str, Any], source: str | None = None) -> None:
    """Log the data set of a model or a rung as the run's input; it came from the folder `source`."""
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


def log_history(client: "MlflowClient", run_id: str, rows: Iterable[Row]) -> None:
    """Log rows of a history at the time at which each was measured: MLflow keeps equal metrics of one time once."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name if "/" in name else f"train/{name}", float(value), _milliseconds(row), int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if name not in ("epoch", "timestamp")
    ]
    _log_all(client, run_id, metrics)


def log_curves(client: "MlflowClient", run_id: str, series: Path, groups: Collection[str], at: int) -> None:
    """Log the curves of `series`, a CSV with a column `step` or `epoch`, as `by_step/…` or `by_epoch/…`.

    `groups`: columns that say whose curve it is. All points carry the time `at`, so that they are kept once.
    """
    from mlflow.entities import Metric

    try:
        text = read_bytes(series, MOST_SERIES).decode("utf-8")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        along = next((name for name in ("step", "epoch") if rows and name in rows[0]), None)
        metrics = []
        for row in rows if along else ():
            of = [value if key == "target" else f"{value} {key}" for key, value in row.items() if key in groups]
            metrics += [
                Metric("/".join([f"by_{along}", *of, key]), float(value), at, int(row[str(along)]))
                for key, value in row.items()
                if key not in groups and key != along and value
            ]
    except (*DAMAGE, TypeError, csv.Error) as error:
        raise UserError(f"{series} is damaged ({reason(error)}). Run its rung's stage again.") from error
    _log_all(client, run_id, metrics)


def _log_all(client: "MlflowClient", run_id: str, metrics: "list[Metric]") -> None:
    for start in range(0, len(metrics), 1000):  # MLflow's limit for one batch
        client.log_batch(run_id, metrics[start : start + 1000])


def log_metrics(client: "MlflowClient", run_id: str, metrics: Mapping[str, float]) -> None:
    """Log final metrics that the run does not have with just these values."""
    from mlflow.entities import Metric

    present = client.get_run(run_id).data.metrics
    now = int(time.time() * 1000)
    new = [Metric(key, value, now, 0) for key, value in metrics.items() if not _equal(present.get(key), value)]
    if new:
        client.log_batch(run_id, new)


def log_files(client: "MlflowClient", run_id: str, files: Iterable[Path], folder: str) -> None:
    """Log files into an artifact folder of the run."""
    for file in files:
        client.log_artifact(run_id, str(file), folder)


def log_files_as(client: "MlflowClient", run_id: str, files: Mapping[str, Path], folder: str) -> None:
    """Log files under the names given into an artifact folder of the run."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:  # a process that goes removes it, too
        log_files(client, run_id, [Path(copy(path, f"{scratch}/{name}")) for name, path in files.items()], folder)


def log_training(client: "MlflowClient", run_id: str, folder: Path, description: Mapping[str, Any]) -> None:
    """Log what the training left in `folder`: its whole history, and the validation results of the weights kept."""
    log_history(client, run_id, read_history(folder))
    log_metrics(client, run_id, {f"best/{key}": value for key, value in description["validation"].items()})
    facts = ("parameters", "precision", "best_epoch", "weights_sha256")
    set_tags(client, run_id, {name: description[name] for name in facts if name in description})


def times(rows: Sequence[Row]) -> tuple[int | None, int | None]:
    """Return when a training began and ended, in milliseconds since 1970; None where nobody knows."""
    if not rows:
        return None, None
    return _milliseconds(rows[0]) - int(rows[0].get("seconds", 0) * 1000), _milliseconds(rows[-1])


def _milliseconds(row: Row) -> int:
    return int(row["timestamp"] * 1000)


def _equal(present: float | None, value: float) -> bool:
    return present == value or (present is not None and math.isnan(present) and math.isnan(value))
