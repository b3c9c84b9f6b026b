"""The rungs of the ladder and the report in MLflow."""

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from autoencoders.errors import UserError
from autoencoders.files.reading import DAMAGE, read_bytes, reason
from autoencoders.ladder.record import GROUPS, read_rung
from autoencoders.ladder.stories import tell
from autoencoders.tracking import content
from autoencoders.tracking.store import SOURCE_RUN, create_run, recreated, tagged

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_PAGE = 2**30
"""Bytes of the report."""
REPORT = "autoencoders.report_sha256"
"""Tag of the run that has a report: the page's hash."""


def identity(folder: Path) -> str:
    """Return by what the run of the rung in `folder` is found: no run's id, but of the same form."""
    return hashlib.sha256((folder / "rung.json").read_bytes()).hexdigest()[:32]


def log_rung(
    client: "MlflowClient", folder: Path, figure: Path, experiment: str, own: str | None, parent: str | None
) -> None:
    """Log the rung in `folder` once: to the run `own` that a launcher made for its stage, or one below `parent`.

    `figure`: the PNG that shows it, if there is one.
    """
    described = read_rung(folder)
    ended = int(1000 * described["ended"])
    tags = {**described["tags"], SOURCE_RUN: identity(folder)}
    run_id = recreated(client, tags[SOURCE_RUN])
    if run_id and client.get_run(run_id).info.status == "FINISHED":
        return
    if run_id is None and own:
        run_id = own
        content.set_tags(client, run_id, tags)
    elif run_id is None:
        start = ended - int(1000 * described["seconds"])
        name = f"ladder: {described['name']}"
        run_id = create_run(client, experiment, name, tags, parent=parent, start=start, ladder=True)
    params = {f"{described['name']}.{key}": value for key, value in described["params"].items()}
    content.log_params(client, run_id, params)
    content.log_dataset(client, run_id, described)
    content.log_metrics(client, run_id, {**described["metrics"], "seconds": described["seconds"]})
    if (folder / "series.csv").exists():
        content.log_curves(client, run_id, folder / "series.csv", GROUPS, ended)
    files = {"rung.json": folder / "rung.json", "series.csv": folder / "series.csv", "figure.png": figure}
    content.log_files_as(client, run_id, {name: file for name, file in files.items() if file.exists()}, "ladder")
    client.log_text(run_id, tell(described, folder).markdown, "ladder/story.md")
    if run_id != own:
        client.set_terminated(run_id, "FINISHED", ended)


def log_report(client: "MlflowClient", file: Path, experiment: str, injected: str | None) -> None:
    """Log the page `file` to the run that has it, the run `injected` by what started the pipeline, or one of its own.

    Its own gets the tags that the page holds: it may have been made elsewhere, and long ago.
    """
    page, tags = _read_page(file)
    mark = {REPORT: hashlib.sha256(page).hexdigest()[:32]}
    run_id = tagged(client, REPORT, mark[REPORT])
    if run_id is None and injected:
        run_id = injected
        content.set_tags(client, run_id, mark)
    elif run_id is None:
        run_id = create_run(client, experiment, "report", {**tags, **mark}, ladder=True)
    content.log_files(client, run_id, [file], "report")
    if run_id != injected:
        client.set_terminated(run_id, "FINISHED")


def _read_page(file: Path) -> tuple[bytes, dict[str, str]]:
    """Return a page and the tags that it holds; raises `UserError` where it is damaged."""
    try:
        page = read_bytes(file, MOST_PAGE)
        found = re.search(r'<script type="application/json" id="origin">(.*?)</script>', page.decode("utf-8"))
        tags = json.loads(found[1]) if found else {}
        if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
            raise ValueError("its origin is no list of tags")
    except DAMAGE as error:
        raise UserError(f"{file} is damaged ({reason(error)}). Run the `report` stage.") from error
    return page, tags
