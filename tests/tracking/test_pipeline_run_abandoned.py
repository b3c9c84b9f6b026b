"""Runs of pipelines that nobody has ended in MLflow: the next pipeline asks Kubeflow's server, which is a double."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from json_server import json_server
from replay import recording

from autoencoders.stages.train import train
from autoencoders.tracking import pipeline_run
from autoencoders.tracking.pipeline_run import status_in
from autoencoders.tracking.store import PIPELINE, create_run

ENDED = {
    "succeeded": "FINISHED",
    "cached": "FINISHED",
    "pod-force-deleted": "FINISHED",
    "recurring": "FINISHED",
    "out-of-memory": "FAILED",
    "pod-deleted": "FAILED",
    "retry-deadline": "FAILED",
    "bad-parameter": "FAILED",
    "small-failing-task": "FAILED",
    "terminated": "KILLED",
    "wrong-image": "KILLED",  # by hand, after minutes
}


def recorded(case: str, snapshot: int = -1) -> dict[str, Any]:
    """What a real server answered for a run."""
    return dict(recording(case)["snapshots"][snapshot]["run"])


@pytest.mark.parametrize(("case", "status"), ENDED.items())
def test_a_run_ended_as_its_server_says(case, status):
    assert status_in(recorded(case)) == status


@pytest.mark.parametrize("state", [None, "PENDING", "RUNNING", "CANCELING", "PAUSED", "RUNTIME_STATE_UNSPECIFIED"])
def test_a_run_that_goes_on_has_no_end(state):
    assert status_in({"state": state, "state_history": [{"state": "PENDING"}, {"state": state}]}) is None
    assert status_in(recorded("terminated", 0)) is None
    assert status_in({"state": "CANCELED"}) == "KILLED"


class Kubeflow:
    """A double of the server: it knows the runs of the recordings by their cases."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        assert method == "GET"
        case = path.removeprefix("/apis/v2beta1/runs/")
        self.asked.append(case)
        self.tokens.add(token)
        if case in ENDED:
            return 200, recorded(case)
        if case == "going-on":
            return 200, recorded("succeeded", 0)
        return (404, {"message": "not found"}) if case != "no-object" else (200, [])


@pytest.fixture
def kubeflow(monkeypatch, tmp_path) -> Iterator[Kubeflow]:
    double = Kubeflow()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(pipeline_run, "TOKEN_FILE", str(tmp_path / "no-token"))
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH", raising=False)
    with json_server(double.answer) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        monkeypatch.setenv("ML_PIPELINE_SERVICE_HOST", host)
        monkeypatch.setenv("ML_PIPELINE_SERVICE_PORT", port)
        yield double


@pytest.fixture
def begin(params, prepared, tmp_path, monkeypatch) -> Callable[[str], None]:
    """Train principal components as a task of a Kubeflow run."""

    def training(pipeline: str) -> None:
        monkeypatch.setenv("KFP_RUN_ID", pipeline)
        monkeypatch.setenv("KFP_TASK", "train")
        train(params, model="pca", data=prepared, checkpoints=tmp_path / "checkpoints", out=tmp_path / "pca")

    return training


@pytest.fixture
def left(client) -> Callable[..., dict[str, str]]:
    """Return the run of each Kubeflow run that is named, all of them left running."""

    def leave(*pipelines: str) -> dict[str, str]:
        tags = {name: {PIPELINE: name} for name in pipelines}
        return {name: create_run(client, "autoencoders", name, tags[name], start=1000) for name in pipelines}

    return leave


def test_the_first_task_of_a_new_pipeline_ends_what_earlier_ones_left_running(kubeflow, begin, left, client):
    runs = left(*ENDED, "going-on", "unknown", "no-object")
    below = create_run(client, "autoencoders", "vae", {}, parent=runs["out-of-memory"])
    begin("new")
    found = {name: client.get_run(run_id).info.status for name, run_id in runs.items()}
    assert found == {**ENDED, "going-on": "RUNNING", "unknown": "RUNNING", "no-object": "RUNNING"}
    assert client.get_run(below).info.status == "FAILED"
    assert sorted(kubeflow.asked) == sorted(runs)
    begin("new")
    begin("new")
    assert len(kubeflow.asked) == len(runs), "it is asked once a pipeline"
    assert kubeflow.tokens == {None}


@pytest.mark.parametrize("named", [True, False])
def test_the_server_is_shown_the_pod_s_token(kubeflow, begin, left, tmp_path, monkeypatch, named):
    (tmp_path / "token").write_text("a-token\n")
    if named:
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    else:
        monkeypatch.setattr(pipeline_run, "TOKEN_FILE", str(tmp_path / "token"))
    left("going-on")
    begin("new")
    assert kubeflow.tokens == {"Bearer a-token"}


def test_outside_of_pods_nobody_is_asked(kubeflow, begin, left, client, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    runs = left("terminated")
    begin("new")
    assert client.get_run(runs["terminated"]).info.status == "RUNNING"
    assert kubeflow.asked == []


def test_a_server_that_does_not_answer_is_asked_once_and_the_task_goes_on(
    kubeflow, begin, left, client, tmp_path, monkeypatch
):
    runs = left("terminated", "succeeded", "cached")
    monkeypatch.setattr(pipeline_run, "REQUEST_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ML_PIPELINE_SERVICE_PORT", str(silent.getsockname()[1]))
        begin("new")
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert {client.get_run(run_id).info.status for run_id in runs.values()} == {"RUNNING"}
    assert (tmp_path / "pca" / "model.json").exists()


def test_no_more_are_asked_for_once_that_has_taken_long(kubeflow, begin, left, monkeypatch):
    left("terminated", "succeeded", "cached")
    monkeypatch.setattr(pipeline_run, "MAX_SECONDS_ASKING", -1.0)
    begin("new")
    assert kubeflow.asked == []
