"""A double of the Kubeflow Pipelines server: it takes what KFP's API takes, and says of runs what a real one said."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from compiled import Compiled, parse
from json_server import json_server

from pipeline import times

STOPPING = timedelta(seconds=12)
"""A recorded run that was stopped took so long to end."""


class Double:
    """What was sent, and what is answered."""

    def __init__(self) -> None:
        self.host = ""
        self.health: Any = {
            "commit_sha": "unknown",
            "tag_name": "2.17.0",
            "multi_user": False,
            "pipeline_store": "database",
        }
        self.sent: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.run: Callable[[datetime], dict[str, Any]] = lambda moment: {"run_id": "runs-1", "state": "SUCCEEDED"}
        """What is said of the run, by the moment."""
        self.refuses: dict[str, tuple[int, Any]] = {}
        """The end of a path → HTTP status and body."""
        self.kept: dict[str, list[dict[str, Any]]] = {}
        """What there is, by the kind in the path: pipelines, versions, recurringruns, experiments, runs."""
        self.stopped: datetime | None = None
        """When the run was terminated."""

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        self.tokens.append(token)
        self.asked.append(f"{method} {unquote(path)}")
        split = urlsplit(path)
        for end, refusal in self.refuses.items():
            if split.path.endswith(end):
                return refusal
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        place = split.path.removeprefix("/apis/v2beta1/").split("/")
        if place == ["healthz"]:
            return 200, self.health
        if method == "GET":
            return self._get(place, query)
        return self._change(method, place, query, body)

    def _get(self, place: list[str], query: dict[str, str]) -> tuple[int, Any]:
        if len(place) == 2 and place[0] == "runs":
            run = self._run()
            return (200, run) if run["run_id"] == place[1] else missing(place[1])
        kind = place[-1] if len(place) in (1, 3) else ""
        if len(place) == 4:
            found = [version for version in self.kept.get("versions", []) if version["pipeline_version_id"] == place[3]]
            return (200, found[0]) if found else missing(place[3])
        if kind:
            names = {"recurringruns": "recurringRuns", "versions": "pipeline_versions"}
            wanted = yaml.safe_load(query.get("filter", "{}")).get("predicates", [])
            found = [
                entry for entry in self.kept.get(kind, ()) if all(entry[w["key"]] == w["stringValue"] for w in wanted)
            ]
            return 200, {names.get(kind, kind): found} if found else {}
        return missing("/".join(place))

    def _change(self, method: str, place: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        kind, _, action = place[-1].partition(":")
        self.sent.append({"to": "/".join(place), **query, **(body if isinstance(body, dict) else {"file": body})})
        if action == "terminate":
            self.stopped = times.now()
            return 200, {}
        if len(place) == 2 and place[0] == "recurringruns":
            known = any(recurring["recurring_run_id"] == kind for recurring in self.kept.get("recurringruns", ()))
            return (200, {}) if known else missing(kind)
        if place[-1] == "upload_version":
            return 200, {"pipeline_id": query["pipelineid"], "pipeline_version_id": "version-1"}
        if place == ["runs"]:
            return 200, {**body, "run_id": self._run()["run_id"]}
        given = {"experiments": "experiment_id", "recurringruns": "recurring_run_id", "pipelines": "pipeline_id"}
        return 200, {**body, given[place[0]]: f"{place[0]}-1"}

    def _run(self) -> dict[str, Any]:
        run = self.run(times.now())
        if not self.stopped:
            return run
        over = times.now() >= self.stopped + STOPPING
        at = (self.stopped + (STOPPING if over else timedelta())).isoformat()
        history = [{"update_time": self.stopped.isoformat(), "state": "CANCELING"}]
        history += [{"update_time": at, "state": "FAILED"}] if over else []
        return {
            **run,
            "state": history[-1]["state"],
            "state_history": [*run.get("state_history", ()), *history],
            **({"finished_at": at} if over else {}),
        }

    def pipeline(self) -> Compiled:
        """The pipeline of the last run that was sent, strictly parsed."""
        spec = self.sent[-1]["pipeline_spec"]
        return parse(yaml.safe_dump_all([spec["pipeline_spec"], spec["platform_spec"]]))


def missing(what: str) -> tuple[int, Any]:
    """KFP's answer for what it does not have."""
    message = f"ResourceNotFoundError: {what} not found."
    return 404, {"error": message, "code": 5, "message": message, "details": []}


@contextmanager
def serving() -> Iterator[Double]:
    double = Double()
    with json_server(lambda *request: double.answer(*request), with_query=True) as double.host:
        yield double
