"""Fixtures of the tests that talk to doubles of a cluster: the doubles, a clock that nobody waits for, a command."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta

import pytest
from compiled import ROOT
from kfp_double import Double, serving
from kube_double import KubeDouble, kubernetes, write_kube_config
from replay import RecordedRun, RecordedWorkflow

from autoencoders.params import Params
from pipeline import times
from pipeline.__main__ import main
from pipeline.cluster import connection
from pipeline.compiling import compile_pipeline
from pipeline.profiles import Profile

Call = Callable[..., tuple[int, str, str]]


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
        self.interrupt_at: datetime | None = None
        """When somebody presses Ctrl-C."""

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if self.interrupt_at and self.now >= self.interrupt_at:
            raise KeyboardInterrupt


@pytest.fixture
def clock(monkeypatch) -> Iterator[Clock]:
    found = Clock()
    monkeypatch.setattr(times, "now", lambda: found.now)
    monkeypatch.setattr(times, "sleep", found.sleep)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield found
    monkeypatch.delenv("TZ")
    time.tzset()


@pytest.fixture
def server(clock, monkeypatch, tmp_path) -> Iterator[Double]:
    """A KFP server; without a kube config and without MLflow."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (connection.ENDPOINT, connection.TOKEN, "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with serving() as double:
        yield double


@pytest.fixture
def kube(server, monkeypatch, tmp_path) -> Iterator[KubeDouble]:
    """The Kubernetes API of the cluster that KFP is in, to which a kube config leads."""
    with kubernetes() as double:
        write_kube_config(tmp_path / "kube.yaml", double.host)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kube.yaml"))
        yield double


@pytest.fixture
def call() -> Call:
    """Run a command; return its exit code, its output, and what it wrote to stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.raises(SystemExit) as ended, redirect_stdout(out), redirect_stderr(err):
            main(arguments)
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    return run


COMPILED: dict[str, str] = {}


@pytest.fixture
def quick_compile(monkeypatch) -> None:
    """Compile equal pipelines once for all tests."""

    def compile_once(profile: Profile, params: Params, cache: bool = True) -> str:
        key = f"{profile!r} {params!r} {cache}"
        if key not in COMPILED:
            COMPILED[key] = compile_pipeline(profile, params, cache)
        return COMPILED[key]

    monkeypatch.setattr("pipeline.compiling.compile_pipeline", compile_once)


def replay(server: Double, clock: Clock, case: str) -> RecordedRun:
    """Have KFP answer as it did of a recorded run, which begins now."""
    recorded = RecordedRun(case)
    server.run, clock.now = recorded.at, recorded.began
    return recorded


def replay_workflow(server: Double, kube: KubeDouble, clock: Clock, case: str) -> RecordedWorkflow:
    """The same where Argo's Workflow is readable, and what the profile names exists."""
    recorded = RecordedWorkflow(case)
    server.run, clock.now = recorded.run, recorded.began
    kube.workflow = lambda now: recorded.stopped(now, server.stopped) if server.stopped else recorded.at(now)
    kube.run_id = recorded.run_id
    kube.objects |= {"persistentvolumeclaims": {"autoencoders-checkpoints"}, "secrets": {"mlflow"}}
    return recorded
