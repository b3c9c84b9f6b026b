"""What stays on the server: versions of the pipeline, and recurring runs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from autoencoders.errors import UserError
from pipeline.cluster.connection import Connection
from pipeline.cluster.failures import Missing, Refused
from pipeline.cluster.sending import equals, find_or_create
from pipeline.cluster.snapshot import state_word
from pipeline.times import clock, moment

RECENT = 100
"""Runs among which the last one of each recurring run is looked for."""


def list_recurring(connection: Connection) -> None:
    """Print all recurring runs, with the last run of each."""
    connection.require_namespace()
    found = list(_all(connection))
    if not found:
        print("There are no recurring runs. `python -m pipeline submit --cron …` makes one.")
        return
    last = _last_runs(connection)
    table = pd.DataFrame({"ID": [run["recurring_run_id"] for run in found]})
    table["SCHEDULE"] = [_schedule(run) for run in found]
    table["STATE"] = [_state(run) for run in found]
    table["LAST RUN"] = [last.get(ident, "") for ident in table["ID"]]
    table["NAME"] = [run.get("display_name", "") for run in found]
    print(table.to_markdown(tablefmt="plain", index=False, disable_numparse=True))


def stop_recurring(connection: Connection, ident: str) -> None:
    """Have a recurring run start nothing more; it stays in the list."""
    _change(connection, "POST", ident, ":disable")
    print(f"Recurring run {ident} is stopped. Runs that it has started go on.")


def delete_recurring(connection: Connection, ident: str) -> None:
    """Delete a recurring run."""
    _change(connection, "DELETE", ident)
    print(f"Recurring run {ident} is deleted. Runs that it has started stay.")


def _change(connection: Connection, method: str, ident: str, action: str = "") -> None:
    try:
        connection.request(method, f"recurringruns/{quote(ident, safe='')}{action}")
    except Missing:
        raise UserError(
            f"{connection.name}: there is no recurring run {ident!r}. `python -m pipeline recurring list` shows them."
        ) from None


def _all(connection: Connection) -> Iterator[dict[str, Any]]:
    token = None
    while token != "":
        answer = connection.get("recurringruns", namespace=connection.namespace, page_size=50, page_token=token)
        yield from answer.get("recurringRuns") or ()
        token = answer.get("next_page_token") or ""


def _last_runs(connection: Connection) -> dict[str, str]:
    """Return when the last run of each recurring run began, and its state."""
    runs = connection.get("runs", namespace=connection.namespace, page_size=RECENT, sort_by="created_at desc")
    found: dict[str, str] = {}
    for run in runs.get("runs") or ():
        began, ident = moment(run.get("created_at")), run.get("recurring_run_id")
        if ident and began and ident not in found:
            found[ident] = f"{clock(began)} {state_word(run)}"
    return found


def _schedule(recurring: dict[str, Any]) -> str:
    trigger = recurring.get("trigger") or {}
    if cron := (trigger.get("cron_schedule") or {}).get("cron"):
        return str(cron)
    seconds = (trigger.get("periodic_schedule") or {}).get("interval_second")
    return f"every {seconds} s" if seconds else ""


def _state(recurring: dict[str, Any]) -> str:
    return "stopped" if recurring.get("status") == "DISABLED" else "goes on"


def upload(connection: Connection, compiled: str, name: str, version: str, description: str, about: str) -> None:
    """Upload a compiled pipeline as a version of the pipeline `name`, which is `about` something; print its page.

    Raise `UserError` if the pipeline has the version already.
    """
    connection.require_namespace()
    pipeline = find_or_create(connection, "pipelines", name, description=about)["pipeline_id"]
    query = {"page_size": 1, "filter": equals("display_name", version)}
    if connection.get(f"pipelines/{pipeline}/versions", **query).get("pipeline_versions"):
        raise _exists(name, version)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pipeline.yaml"
        file.write_text(compiled, encoding="utf-8")
        query = {"name": version, "pipelineid": pipeline, "description": description}
        try:
            made = connection.request("POST", "pipelines/upload_version", query=query, files={"uploadfile": str(file)})
        except Refused as error:
            raise (_exists(name, version) if error.status == CONFLICT else error) from None
    print(f"Pipeline {name}, version {version}\n{description}")
    page = f"{pipeline}/version/{made['pipeline_version_id']}"
    print(f"KFP:    {connection.page('pipelines', page)}")


CONFLICT = 409


def _exists(name: str, version: str) -> UserError:
    return UserError(
        f"the pipeline {name} has a version {version} already, and versions do not change. Commit what is new, or name "
        "another with --version."
    )
