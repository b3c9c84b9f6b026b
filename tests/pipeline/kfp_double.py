"""A double of the Kubeflow Pipelines server: it takes runs as KFP's API does, and says of them what a test tells it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from compiled import Compiled, parse
from json_server import json_server


class Double:
    """What was sent, and what is answered."""

    def __init__(self) -> None:
        self.host = ""
        self.sent: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        self.states: list[dict[str, Any]] = [{"state": "SUCCEEDED"}]
        """What a run's state is said to be, one after another; the last one stays."""
        self.refuses: dict[str, tuple[int, Any]] = {}
        """The end of a path → HTTP status and body."""

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        self.tokens.add(token)
        for end, refusal in self.refuses.items():
            if path.endswith(end):
                return refusal
        place = path.removeprefix("/apis/v2beta1/").split("/")
        if place == ["healthz"]:
            return 200, {"multi_user": False}
        if method == "POST":
            self.sent.append({"to": place[0], **body})
            given = {"experiments": "experiment_id", "runs": "run_id", "recurringruns": "recurring_run_id"}[place[0]]
            return 200, {**body, given: f"{place[0]}-1"}
        if place == ["experiments"]:
            return 200, {"experiments": []}
        if place == ["runs", "runs-1"]:
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return 200, {"run_id": "runs-1", "display_name": "a run", **state}
        return 404, {"message": "not found"}

    def pipeline(self) -> Compiled:
        """The pipeline of the last run that was sent, strictly parsed."""
        spec = self.sent[-1]["pipeline_spec"]
        return parse(yaml.safe_dump_all([spec["pipeline_spec"], spec["platform_spec"]]))


@contextmanager
def serving() -> Iterator[Double]:
    double = Double()
    with json_server(double.answer) as double.host:
        yield double
