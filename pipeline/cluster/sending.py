"""Before and at the start of a run: what the cluster must have, what is sent, and how the run is described."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from autoencoders.errors import UserError
from components import component_names
from pipeline import times
from pipeline.cluster import in_mlflow
from pipeline.cluster.connection import Connection
from pipeline.cluster.failures import Denied, Refused
from pipeline.cluster.kube import Kube
from pipeline.profiles import Profile

MAX_NAME = 100
MAX_DESCRIPTION = 255
"""Characters that KFP's database can hold."""
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
    """Return a name for a run: what was set, else the time."""
    if not settings:
        return f"autoencoders {times.now().astimezone():%Y-%m-%d %H:%M:%S}"
    return _cut(f"autoencoders {' '.join(settings)}", MAX_NAME)


def describe(settings: Sequence[str], profile: str, image: str, cache: bool = True) -> str:
    """Return the description of a run or a version of the pipeline: settings, profile, image and commit."""
    rest = [f"profile {profile}", f"image {image}", *([f"commit {commit}"] if (commit := code_version()) else [])]
    rest += [] if cache else ["nothing reused"]
    text = "; ".join(rest)
    if not settings:
        return text[:MAX_DESCRIPTION]
    return f"{_cut(', '.join(settings), MAX_DESCRIPTION - len(text) - 2)}; {text}"[:MAX_DESCRIPTION]


def code_version() -> str:
    """Return the commit of this code, with ``-dirty`` if the code differs from it; empty if there is no git."""
    from autoencoders.tracking import run_context

    tags = run_context()
    dirty = "-dirty" if tags.get("git_dirty") == "true" else ""
    return f"{tags['git_commit'][:12]}{dirty}" if "git_commit" in tags else ""


def send(connection: Connection, submission: Submission) -> str:
    """Send a run, or with `cron` a recurring one, print its pages, and return its id."""
    experiment = _experiment(connection, submission.experiment)
    spec, platform = yaml.safe_load_all(submission.pipeline)
    body: dict[str, Any] = {
        "display_name": submission.name,
        "description": submission.description,
        "experiment_id": experiment,
        "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
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
        print(f"{connection.name} has no plugins to switch off: sent without that setting.")
        return connection.post(path, {name: value for name, value in body.items() if name != "plugins_input"})


def _experiment(connection: Connection, name: str) -> str:
    """Return the id of KFP's experiment of that name; make it if there is none."""
    try:
        return str(find_or_create(connection, "experiments", name)["experiment_id"])
    except Denied as error:
        if connection.namespace is None:
            raise
        raise UserError(
            f"{connection.name} gives no rights in namespace {connection.namespace}, or there is none of that name. "
            "Name yours with --namespace, or ask its owner to add you."
        ) from error


def find_or_create(connection: Connection, kind: str, name: str, **created: str) -> dict[str, Any]:
    """Return what KFP has of a kind, such as `experiments`, under a name; make it if there is none."""
    query = {"namespace": connection.namespace, "filter": equals("display_name", name)}
    if found := connection.get(kind, **query).get(kind):
        return dict(found[0])
    space = {"namespace": connection.namespace} if connection.namespace else {}
    return connection.post(kind, {"display_name": name, **created, **space})


def equals(key: str, value: str) -> str:
    """Return KFP's filter for what has this value."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


MADE_FOR = (2, 17)
"""KFP's version from which on everything here works."""
KFP_NAMESPACE = "kubeflow"


def check(connection: Connection, profile: Profile) -> None:
    """Raise `UserError`, with a line for each reason, if the run could not start; warn of what may not work."""
    connection.require_namespace()
    in_mlflow.require_server()
    kube = Kube(connection.pods_namespace)
    if lines := list(_missing(kube, Kube(KFP_NAMESPACE) if connection.has_users else kube, profile)):
        raise UserError("\nerror: ".join(lines))
    if warning := old_version(connection):
        print(f"warning: {warning}", file=sys.stderr)


def old_version(connection: Connection) -> str:
    """Return what a server that is older than this project's KFP does not do; empty if its version is not known."""
    found = re.match(r"v?(\d+)\.(\d+)", connection.version)
    if not found or (int(found[1]), int(found[2])) >= MADE_FOR:
        return ""
    return (
        f"{connection.name} is KFP {connection.version}. Before {MADE_FOR[0]}.{MADE_FOR[1]}, a pod that is lost while "
        "KFP prepares a task is not tried again, and settings of pods that are newer are refused."
    )


def _missing(kube: Kube, kfp: Kube, profile: Profile) -> Iterator[str]:
    """Yield a line for each thing that the profile names and that the cluster certainly lacks.

    Only where KFP is in the cluster to which the kube config leads: it may well lead to another.
    """
    here = f"is not in namespace {kube.namespace}"
    if kfp.lacks("services", "ml-pipeline"):
        return
    needed = [("claim", "persistentvolumeclaims", name, key, 4) for name, key in _claims(profile).items()]
    needed += [("secret", "secrets", name, "secret_env", 3) for name in sorted(_secrets(profile))]
    for word, kind, name, key, step in needed:
        if kube.lacks(kind, name):
            yield (
                f"the {word} {name} {here}: pods could not start. Create it (docs/kubernetes.md, step {step}), or "
                f"correct `{key}` in the profile."
            )
    if profile.service_account and kube.lacks("serviceaccounts", profile.service_account):
        yield f"the service account {profile.service_account} {here}. Correct `service_account` in the profile."


def _claims(profile: Profile) -> dict[str, str]:
    """Return the claims that the profile's pods mount, and the key under which each is named."""
    volumes = {volume.claim: "volumes" for stage in component_names() for volume in profile.of(stage).volumes}
    kept = profile.checkpoints.claim if profile.checkpoints else None
    return {**volumes, **({kept: "checkpoints"} if kept else {})}


def _secrets(profile: Profile) -> set[str]:
    """Return the secrets without which pods do not start."""
    return {env.secret for stage in component_names() for env in profile.of(stage).secret_env if not env.optional}
