"""What the runs of models hold, and what others hold as well. Logging something again changes nothing."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autoencoders.model_folder.history import read_history
from autoencoders.tracking import registry
from autoencoders.tracking.changes import CHANGES, run_params
from autoencoders.tracking.notes import NOTE, run_note

if TYPE_CHECKING:
    import mlflow
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

HistoryRow = Mapping[str, float]
Images = NDArray[np.float32]
FIGURES, EVALUATION = "autoencoders.figures_sha256", "autoencoders.evaluation_sha256"
"""Tags of a model's run: a hash of the files that it has."""
FIRST_METRIC = "val/mse"  # MLflow's Compare draws the metric that was logged first: this one all trained models share
TABLES = "mlflow.loggedArtifacts"  # tag of a run: its tables, in JSON
SHOWN_SIDE = 256  # pixels of the longer side of an image on MLflow's pages
SERIES_WIDTH = 1024  # pixels of a picture of two columns, at most; beyond, one column


def describe(client: "MlflowClient", run_id: str, description: Mapping[str, Any], source: str | None = None) -> None:
    """Log the parameters, the data set and a note of a model; the data came from the folder `source`.

    A note that somebody has written stays.
    """
    log_params(client, run_id, model_params(description))
    log_dataset(client, run_id, description, source)
    tags = client.get_run(run_id).data.tags
    if NOTE not in tags:
        client.set_tag(run_id, NOTE, run_note(description, tags.get(CHANGES)))


def model_params(description: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that MLflow shows of a model."""
    data = description["dataset"]["name"]
    params = run_params(description["model"], description["train"], data)
    return {**params, "data.shape": str(list(description["shape"]))}


def log_dataset(client: "MlflowClient", run_id: str, description: Mapping[str, Any], source: str | None = None) -> None:
    """Log the data set of a model or a rung as the run's input; the data came from the folder `source`."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    content_hash = description["dataset"]["content_hash"]
    name, digest = dataset_id(description)
    dataset = Dataset(
        name,
        digest,
        "local",
        source=json.dumps({"uri": source or name}),
        profile=json.dumps({"content_hash": content_hash, "shape": list(description["shape"])}),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def dataset_id(description: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and digest of the data set of a model or a rung."""
    dataset = description["dataset"]
    return dataset["name"], dataset["content_hash"][:36]  # the longest digest that MLflow takes


def log_params(client: "MlflowClient", run_id: str, params: Mapping[str, Any]) -> None:
    """Log parameters in one call."""
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])


def set_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags in one call."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])


def log_history(client: "MlflowClient", run_id: str, rows: Iterable[HistoryRow]) -> None:
    """Log rows of a history with the time at which each was measured: MLflow keeps equal metrics of one time once."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name if "/" in name else f"train/{name}", float(value), _milliseconds(row), int(row["step"]))
        for row in rows
        for name, value in sorted(row.items(), key=lambda item: item[0] != FIRST_METRIC)
        if name not in ("step", "timestamp")
    ]
    log_all(client, run_id, metrics)


def log_metrics(client: "MlflowClient", run_id: str, metrics: Mapping[str, float]) -> bool:
    """Log final metrics that the run does not have with exactly these values; return whether there were any."""
    from mlflow.entities import Metric

    present, now = client.get_run(run_id).data.metrics, int(time.time() * 1000)
    new = [Metric(key, value, now, 0) for key, value in metrics.items() if not _equal(present.get(key), value)]
    if new:
        client.log_batch(run_id, new)
    return bool(new)


def log_model_metrics(
    client: "MlflowClient", run_id: str, metrics: Mapping[str, float], description: Mapping[str, Any]
) -> bool:
    """Log final metrics of a model to its run and, with its data set, to the logged model; return whether any was new.

    MLflow's logged models hold no NaN.
    """
    from mlflow.entities import Metric

    changed = log_metrics(client, run_id, metrics)
    model = registry.logged_model(client, client.get_run(run_id), description["weights_sha256"])
    if model is None:
        return changed
    present = {metric.key: metric.value for metric in sorted(model.metrics or (), key=lambda metric: metric.timestamp)}
    name, digest = dataset_id(description)
    new = []
    for key, value in metrics.items():
        if present.get(key) != value and not math.isnan(value):
            at = max(point.timestamp for point in client.get_metric_history(run_id, key))  # so that the run has it once
            new.append(Metric(key, value, at, 0, model.model_id, name, digest))
    if new:
        client.log_batch(run_id, new)
    return changed or bool(new)


def _equal(present: float | None, value: float) -> bool:
    return present == value or (present is not None and math.isnan(present) and math.isnan(value))


def log_results(client: "MlflowClient", run_id: str, files: Mapping[str, Path], tag: str) -> bool:
    """Log files under the names given, unless the run has them; return whether it lacked any.

    The `tag` holds a hash of all of them, and is set last: a broken upload is repeated.
    """
    present = {file.path for file in client.list_artifacts(run_id)}
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    if files.keys() <= present and client.get_run(run_id).data.tags.get(tag) == digest.hexdigest():
        return False
    log_files(client, run_id, files)
    client.set_tag(run_id, tag, digest.hexdigest())
    return True


def log_files(client: "MlflowClient", run_id: str, files: Mapping[str, Path], folder: str | None = None) -> None:
    """Log files under the names given into an artifact folder of the run, by default to the root."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:  # a process that is stopped removes it, too
        for name, path in files.items():
            client.log_artifact(run_id, copy(path, f"{scratch}/{name}"), folder)


def log_reconstructions(
    client: "MlflowClient", run_id: str, images: Images, reconstructions: Images, step: int
) -> None:
    """Log images beside their reconstructions, both (N, C, H, W) in [0, 1], as one picture of a series by step.

    The pairs fill a square, as MLflow's box is one: four rows of two, or two rows of one where images are large.
    """
    _, channels, height, width = images.shape
    columns = 2 if len(images) > 1 and 4 * width <= SERIES_WIDTH else 1
    rows = min(len(images) // columns, 2 * columns)
    pairs = np.concatenate([images, reconstructions], axis=-1)[: rows * columns]
    grid = pairs.reshape(rows, columns, channels, height, 2 * width).transpose(2, 0, 3, 1, 4)
    picture = grid.reshape(channels, rows * height, columns * 2 * width)
    client.log_image(run_id, _pixels(picture), key="reconstructions", step=step)


def log_table(
    client: "MlflowClient", run_id: str, make_table: Callable[[], Mapping[str, Sequence[Any]]], file: str
) -> bool:
    """Log a table of numbers, texts and images (C, H, W) in [0, 1], unless the run has the `file`; return whether not.

    MLflow's view *Evaluation* shows it.
    """
    if file in {table["path"] for table in json.loads(client.get_run(run_id).data.tags.get(TABLES, "[]"))}:
        return False
    columns = {
        name: [_in_cell(value) if isinstance(value, np.ndarray) else value for value in values]
        for name, values in make_table().items()
    }
    client.log_table(run_id, columns, file)
    return True


def _in_cell(image: Images) -> "mlflow.Image":
    """Return an image (C, H, W) in [0, 1] at the top of a square: the cells of MLflow's tables cut squares in half."""
    import mlflow
    from PIL import Image

    picture = Image.fromarray(_pixels(image).squeeze())
    square = Image.new("RGBA", (max(picture.size), max(picture.size)))
    square.paste(picture)
    return mlflow.Image(square)


def _pixels(image: Images) -> NDArray[np.uint8]:
    """Return an image (C, H, W) in [0, 1] as (H, W, C) in 0 … 255; a small one is enlarged, as MLflow would blur it."""
    times = max(1, SHOWN_SIDE // max(image.shape))
    return (255 * image).round().astype(np.uint8).transpose(1, 2, 0).repeat(times, axis=0).repeat(times, axis=1)


def log_training(
    client: "MlflowClient", run_id: str, folder: Path, description: Mapping[str, Any], example: Images | None
) -> None:
    """Log what the training left in `folder`: history, the model itself, and validation results of the weights kept.

    `example` holds images for those who use the model, float32 (N, C, H, W) in [0, 1].
    """
    log_history(client, run_id, read_history(folder))
    facts = ("parameters", "precision", "best_step", "weights_sha256")
    set_tags(client, run_id, {name: description[name] for name in facts if name in description})
    registry.log_model(client, run_id, folder, description, model_params(description), example)
    log_model_metrics(client, run_id, best_metrics(description), description)


def best_metrics(description: Mapping[str, Any]) -> dict[str, float]:
    """Return the validation results of the weights kept, as a run has them: `val/best/mse`."""
    return {registry.best_metric(key): value for key, value in description["validation"].items()}


def holds(client: "MlflowClient", run: "Run", description: Mapping[str, Any]) -> bool:
    """Return whether a run and its logged model hold what a training logs last."""
    model = registry.logged_model(client, run, description["weights_sha256"])
    if model is None or not client.list_logged_model_artifacts(model.model_id):
        return False
    best, of_model = best_metrics(description), {metric.key for metric in model.metrics or ()}
    return best.keys() <= of_model and all(_equal(run.data.metrics.get(key), value) for key, value in best.items())


def times(rows: Sequence[HistoryRow]) -> tuple[int | None, int | None]:
    """Return start and end of a training in milliseconds since 1970, each None where unknown."""
    if not rows:
        return None, None
    return _milliseconds(rows[0]) - int(rows[0].get("seconds", 0) * 1000), _milliseconds(rows[-1])


def _milliseconds(row: HistoryRow) -> int:
    return int(row["timestamp"] * 1000)


def log_all(client: "MlflowClient", run_id: str, metrics: "list[Metric]") -> None:
    """Log metrics in batches of the size that MLflow allows."""
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics[start : start + 1000])


def start_system_monitor(run_id: str, resumed: bool) -> Any:
    """Start MLflow's thread that logs system metrics until its `finish` is called, where MLflow's own switch is on."""
    from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING

    if not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        return None
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, resume_logging=resumed)
    monitor.start()
    return monitor
