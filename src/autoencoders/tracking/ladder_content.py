"""What the runs of rungs of the ladder and of the report hold. Logging something again changes nothing."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from autoencoders.errors import UserError
from autoencoders.files.reading import DAMAGE, read_bytes, reason
from autoencoders.tracking import content
from autoencoders.tracking.changes import of_experiment
from autoencoders.tracking.store import SOURCE_RUN, create_run, tagged

if TYPE_CHECKING:
    from mlflow import MlflowClient

CURVE_NAMES = ("target", "weights", "images")
"""Columns of a rung's series.csv that say whose curve a row belongs to."""
MAX_SERIES_BYTES = 64 * 2**20
MAX_REPORT_BYTES = 2**30
REPORT = "autoencoders.report_sha256"  # tag of the run that has a report: the page's hash


class RungResult(NamedTuple):
    """What a rung of the ladder measured, and how it is presented."""

    folder: Path
    record: Mapping[str, Any]  # what `rung.json` in `folder` holds
    story: str  # in Markdown
    figure: Path  # a PNG, if it exists


def log_rung(client: "MlflowClient", result: RungResult, experiment: str, own: str | None, parent: str | None) -> bool:
    """Log a rung once: to the run `own` that a launcher made for its stage, or to a new child of `parent`.

    Return whether it was logged now.
    """
    folder, rung = result.folder, result.record
    ended = int(1000 * rung["ended"])
    tags = {**rung["tags"], SOURCE_RUN: rung_id(folder)}
    run_id = tagged(client, SOURCE_RUN, tags[SOURCE_RUN])
    if run_id and client.get_run(run_id).info.status == "FINISHED":
        return False
    if run_id is None and own:
        run_id = own
        content.set_tags(client, run_id, tags)
    elif run_id is None:
        start, name = ended - int(1000 * rung["seconds"]), of_experiment(f"ladder: {rung['name']}", tags)
        run_id = create_run(client, experiment, name, tags, parent=parent, start=start, ladder=True)
    content.log_params(client, run_id, {f"{rung['name']}.{key}": value for key, value in rung["params"].items()})
    content.log_dataset(client, run_id, rung)
    content.log_metrics(client, run_id, {**rung["metrics"], "seconds": rung["seconds"]})
    if (folder / "series.csv").exists():
        _log_curves(client, run_id, folder / "series.csv", ended)
    files = {"rung.json": folder / "rung.json", "series.csv": folder / "series.csv", "figure.png": result.figure}
    content.log_files(client, run_id, {name: file for name, file in files.items() if file.exists()}, "ladder")
    client.log_text(run_id, result.story, "ladder/story.md")
    if run_id != own:
        client.set_terminated(run_id, "FINISHED", ended)
    return True


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
    content.log_all(client, run_id, metrics)


def log_report(client: "MlflowClient", file: Path, experiment: str, injected: str | None) -> bool:
    """Log the page `file` once: to the run that has its hash, to the `injected` run, or to a new one.

    A new run gets the tags that the page holds: the page may have been written on another machine, long ago.
    Return whether the page was logged now.
    """
    page, tags = _read_page(file)
    mark = {REPORT: hashlib.sha256(page).hexdigest()[:32]}
    run_id = tagged(client, REPORT, mark[REPORT])
    finished = False
    if run_id:
        finished = client.get_run(run_id).info.status == "FINISHED"
        if finished and client.list_artifacts(run_id, "report"):
            return False
    if run_id is None and injected:
        run_id = injected
        content.set_tags(client, run_id, mark)
    elif run_id is None:
        run_id = create_run(client, experiment, of_experiment("report", tags), {**tags, **mark}, ladder=True)
    client.log_artifact(run_id, str(file), "report")
    if run_id != injected and not finished:
        client.set_terminated(run_id, "FINISHED")
    return True


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
