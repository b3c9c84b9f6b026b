"""Sending a run, or a recurring one: what is sent, what the run says of itself, and how."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from autoencoders.errors import UserError
from pipeline.cluster import times
from pipeline.cluster.connection import Connection
from pipeline.cluster.failures import Denied, Refused

MAX_NAME = 100
MAX_DESCRIPTION = 255
"""Characters for which KFP's database has room."""
NO_PLUGIN = {"mlflow": {"disabled": True}}
"""KFP's own MLflow plugin records a run a second time, without models, and its variables can make pods invalid."""


@dataclass(frozen=True)
class Submission:
    """What is sent."""

    pipeline: str
    """The compiled pipeline."""
    arguments: dict[str, Any]
    experiment: str
    name: str
    description: str
    service_account: str | None
    cron: str | None = None
    """Six fields, seconds first: a recurring run instead of one."""


def run_name(settings: Sequence[str]) -> str:
    """Return a name for a run that tells it from others: by what was set, else by the time."""
    if not settings:
        return f"autoencoders {times.now().astimezone():%Y-%m-%d %H:%M:%S}"
    return f"autoencoders {_shortened(settings, MAX_NAME - len('autoencoders '), ' ')}"


def describe(settings: Sequence[str], profile: str, image: str, cache: bool = True) -> str:
    """Return what a run or a version of the pipeline is of: settings, profile, image and commit."""
    rest = [f"profile {profile}", f"image {image}", *([f"commit {commit}"] if (commit := code_version()) else [])]
    rest += [] if cache else ["nothing reused"]
    text = "; ".join(rest)
    if not settings:
        return text[:MAX_DESCRIPTION]
    return f"{_shortened(settings, MAX_DESCRIPTION - len(text) - 2, ', ')}; {text}"[:MAX_DESCRIPTION]


def code_version() -> str:
    """Return the commit that the code here is of, with ``-dirty`` where it differs; empty where there is no git."""
    from autoencoders.tracking.origin import run_context

    tags = run_context()
    dirty = "-dirty" if tags.get("git_dirty") == "true" else ""
    return f"{tags['git_commit'][:12]}{dirty}" if "git_commit" in tags else ""


def send(connection: Connection, submission: Submission) -> str:
    """Send a run, or with `cron` a recurring one, print its pages, and return its id."""
    experiment = _experiment(connection, submission.experiment)
    body: dict[str, Any] = {
        "display_name": submission.name,
        "description": submission.description,
        "experiment_id": experiment,
        "pipeline_spec": _documents(submission.pipeline),
        "runtime_config": {"parameters": submission.arguments},
        "plugins_input": NO_PLUGIN,
    }
    if submission.service_account:
        body["service_account"] = submission.service_account
    print(f"{submission.name}\n{submission.description}")
    if submission.cron:
        schedule = {"cron_schedule": {"cron": submission.cron}}
        body |= {"trigger": schedule, "mode": "ENABLE", "max_concurrency": 1, "no_catchup": True}
        made = _post(connection, "recurringruns", body)
        ident = str(made["recurring_run_id"])
        print(f"KFP:    {connection.page('recurringrun', ident)}")
        print(f"Recurring run {ident}: {submission.cron}. Stop it with `python -m pipeline recurring stop {ident}`.")
        return ident
    made = _post(connection, "runs", body)
    print(f"KFP:    {connection.page('runs', made['run_id'])}", flush=True)
    return str(made["run_id"])


def _post(connection: Connection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        return connection.post(path, body)
    except Refused as error:
        if "plugins_input" not in str(error):
            raise
        print(f"{connection.name} has no plugins to turn off: sent without that.")
        return connection.post(path, {name: value for name, value in body.items() if name != "plugins_input"})


def _experiment(connection: Connection, name: str) -> str:
    """Return the id of KFP's experiment of that name, which is made where there is none."""
    query = {"namespace": connection.namespace, "filter": equals("display_name", name)}
    try:
        found = connection.get("experiments", **query).get("experiments") or []
        made = found[0] if found else connection.post("experiments", _without_none(
            display_name=name, namespace=connection.namespace
        ))  # fmt: skip
    except Denied as error:
        if connection.namespace is None:
            raise
        raise UserError(
            f"{connection.name} gives no rights in namespace {connection.namespace}, or there is none of that name. "
            "Name yours with --namespace, or ask its owner to add you."
        ) from error
    return str(made["experiment_id"])


def equals(key: str, value: str) -> str:
    """Return KFP's filter for what has this value."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})


def _documents(compiled: str) -> dict[str, Any]:
    """Return a compiled pipeline, a YAML file of two documents, as KFP's API takes it."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    kinds = {"pipeline_spec": pipeline_spec_pb2.PipelineSpec, "platform_spec": pipeline_spec_pb2.PlatformSpec}
    return {
        name: json_format.MessageToDict(json_format.ParseDict(document, kind()))
        for (name, kind), document in zip(kinds.items(), yaml.safe_load_all(compiled), strict=True)
    }


def _shortened(settings: Sequence[str], room: int, between: str) -> str:
    """Return as many of the settings as there is room for, and how many more there are."""
    for shown in range(len(settings), 0, -1):
        more = f"{between}and {len(settings) - shown} more" if shown < len(settings) else ""
        text = f"{between.join(settings[:shown])}{more}"
        if len(text) <= room:
            return text
    return f"{text[: room - 1]}…"


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
