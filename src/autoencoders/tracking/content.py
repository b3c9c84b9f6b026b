"""What the runs of models, of rungs of the ladder and of the report hold. Logging something again changes nothing."""

import csv
import hashlib
import io
import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from autoencoders.errors import UserError
from autoencoders.files.reading import DAMAGE, read_bytes, reason
from autoencoders.model_folder.history import read_history
from autoencoders.tracking import registry
from autoencoders.tracking.store import SOURCE_RUN, create_run, tagged

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

HistoryRow = Mapping[str, float]
CURVE_NAMES = ("target", "weights", "images")
"""Columns of a rung's series.csv that say whose curve a row belongs to."""
MAX_SERIES_BYTES = 64 * 2**20
MAX_REPORT_BYTES = 2**30
REPORT = "autoencoders.report_sha256"  # tag of the run that has a report: the page's hash


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


def log_history(client: "MlflowClient", run_id: str, rows: Iterable[HistoryRow]) -> None:
    """Log rows of a history with the time at which each was measured: MLflow keeps equal metrics of one time once."""
    from mlflow.entities import Metric

    metrics = [
        Metric(name if "/" in name else f"train/{name}", float(value), _milliseconds(row), int(row["step"]))
        for row in rows
        for name, value in row.items()
        if name not in ("step", "timestamp")
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
    facts = ("parameters", "precision", "best_step", "weights_sha256")
    set_tags(client, run_id, {name: description[name] for name in facts if name in description})
    registry.log_model(client, run_id, folder, description)


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


class RungResult(NamedTuple):
    """What a rung of the ladder measured, and how it is presented."""

    folder: Path
    record: Mapping[str, Any]  # what `rung.json` in `folder` holds
    story: str  # in Markdown
    figure: Path  # a PNG, if it exists


def log_rung(client: "MlflowClient", result: RungResult, experiment: str, own: str | None, parent: str | None) -> None:
    """Log a rung once: to the run `own` that a launcher made for its stage, or to a new child of `parent`."""
    folder, rung = result.folder, result.record
    ended = int(1000 * rung["ended"])
    tags = {**rung["tags"], SOURCE_RUN: rung_id(folder)}
    run_id = tagged(client, SOURCE_RUN, tags[SOURCE_RUN])
    if run_id and client.get_run(run_id).info.status == "FINISHED":
        return
    if run_id is None and own:
        run_id = own
        set_tags(client, run_id, tags)
    elif run_id is None:
        start, name = ended - int(1000 * rung["seconds"]), f"ladder: {rung['name']}"
        run_id = create_run(client, experiment, name, tags, parent=parent, start=start, ladder=True)
    log_params(client, run_id, {f"{rung['name']}.{key}": value for key, value in rung["params"].items()})
    log_dataset(client, run_id, rung)
    log_metrics(client, run_id, {**rung["metrics"], "seconds": rung["seconds"]})
    if (folder / "series.csv").exists():
        _log_curves(client, run_id, folder / "series.csv", ended)
    files = {"rung.json": folder / "rung.json", "series.csv": folder / "series.csv", "figure.png": result.figure}
    log_files(client, run_id, {name: file for name, file in files.items() if file.exists()}, "ladder")
    client.log_text(run_id, result.story, "ladder/story.md")
    if run_id != own:
        client.set_terminated(run_id, "FINISHED", ended)


def rung_id(folder: Path) -> str:
    """Return the value of the tag `SOURCE_RUN` in the run of the rung in `folder`."""
    return hashlib.sha256((folder / "rung.json").read_bytes()).hexdigest()[:32]


def _log_curves(client: "MlflowClient", run_id: str, series: Path, at: int) -> None:
    """Log the curves of `series`, a CSV with a column `step` or `epoch`, as `by_step/…` or `by_epoch/…`.

    All points have the time `at`, so that MLflow keeps them once.
    """
    from mlflow.entities import Metric

    try:
        text = read_bytes(series, MAX_SERIES_BYTES).decode("utf-8")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        along = next((name for name in ("step", "epoch") if rows and name in rows[0]), None)
        metrics = []
        for row in rows if along else ():
            group = [value if key == "target" else f"{value} {key}" for key, value in row.items() if key in CURVE_NAMES]
            metrics += [
                Metric("/".join([f"by_{along}", *group, key]), float(value), at, int(row[str(along)]))
                for key, value in row.items()
                if key not in CURVE_NAMES and key != along and value
            ]
    except (*DAMAGE, TypeError, csv.Error) as error:
        raise UserError(f"{series} is damaged ({reason(error)}). Run its rung's stage again.") from error
    log_all(client, run_id, metrics)


def log_report(client: "MlflowClient", file: Path, experiment: str, injected: str | None) -> None:
    """Log the page `file` to the run that has it, to the `injected` run, or to a new one.

    A new run gets the tags that the page holds: the page may have been written on another machine, long ago.
    """
    page, tags = _read_page(file)
    mark = {REPORT: hashlib.sha256(page).hexdigest()[:32]}
    run_id = tagged(client, REPORT, mark[REPORT])
    if run_id is None and injected:
        run_id = injected
        set_tags(client, run_id, mark)
    elif run_id is None:
        run_id = create_run(client, experiment, "report", {**tags, **mark}, ladder=True)
    client.log_artifact(run_id, str(file), "report")
    if run_id != injected:
        client.set_terminated(run_id, "FINISHED")


def _read_page(file: Path) -> tuple[bytes, dict[str, str]]:
    """Return a page and the tags that it holds; raise `UserError` where it is damaged."""
    try:
        page = read_bytes(file, MAX_REPORT_BYTES)
        found = re.search(r'<script type="application/json" id="origin">(.*?)</script>', page.decode("utf-8"))
        tags = json.loads(found[1]) if found else {}
        if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
            raise ValueError("its origin is no list of tags")
    except DAMAGE as error:
        raise UserError(f"{file} is damaged ({reason(error)}). Run the `report` stage.") from error
    return page, tags
