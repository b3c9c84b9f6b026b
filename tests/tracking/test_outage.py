"""MLflow's server is away when a task begins, in a pod and elsewhere."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from autoencoders import tracking
from autoencoders.errors import UserError
from autoencoders.tracking import client
from autoencoders.tracking.lineage import run_urls


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """MLflow's address; nobody listens there until the server serves."""
    with HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False) as server:
        server.server_bind()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{server.server_port}")
        yield server


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KFP_RUN_ID", "a-run")


def serving(server: HTTPServer, then: Callable[[], None]) -> None:
    server.server_activate()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        then()
    finally:
        server.shutdown()
        thread.join()


def test_a_task_in_a_pod_waits_for_the_server_and_says_so_once(
    server: HTTPServer, pod: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            server.server_activate()
            threading.Thread(target=server.handle_request).start()

    monkeypatch.setattr(time, "sleep", sleep)
    tracking.require_server()
    assert slept == [client.POLL_INTERVAL] * 3
    where = f"http://127.0.0.1:{server.server_port}"
    assert capsys.readouterr().err == (
        f"the MLflow server at {where} does not answer (ConnectionError). Waiting for it, 5 min at most.\n"
    )


def test_a_task_in_a_pod_gives_up_after_minutes_with_advice_for_pods(
    server: HTTPServer, pod: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    with pytest.raises(UserError) as caught:
        tracking.require_server()
    assert client.MAX_OUTAGE <= now[0] <= client.MAX_OUTAGE + client.POLL_INTERVAL
    assert str(caught.value) == (
        f"the MLflow server at http://127.0.0.1:{server.server_port} does not answer (ConnectionError). "
        "See that it runs, and that the address in the secret is the one that pods use."
    )


def never(seconds: float) -> None:
    pytest.fail("waited")


def test_a_server_that_refuses_is_not_waited_for(
    server: HTTPServer, pod: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answer, "status", 403)

    def ask() -> None:
        monkeypatch.setattr(time, "sleep", never)
        with pytest.raises(UserError, match=r"refuses access \(HTTP 403\)"):
            tracking.require_server()

    serving(server, ask)


def test_a_server_in_trouble_is_waited_for(
    server: HTTPServer, pod: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Answer, "status", 503)
    monkeypatch.setattr(time, "sleep", lambda seconds: setattr(Answer, "status", 200))
    serving(server, tracking.require_server)
    assert "is in trouble (HTTP 503). Waiting for it, 5 min at most." in capsys.readouterr().err


def test_no_link_is_waited_for(server: HTTPServer, pod: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", never)
    assert run_urls({"vae": "a" * 32}) == {}


@pytest.mark.parametrize("in_pod", [True, False])
def test_an_outage_in_mid_work_is_told_with_what_makes_up_for_it(
    store: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], in_pod: bool
) -> None:
    if in_pod:
        request.getfixturevalue("pod")

    def away(client: object) -> None:
        raise OSError("connection lost")

    recorder = tracking.Recorder()
    recorder.attempt(away)
    recorder.finish()
    later = "a pipeline's last task, `report`," if in_pod else "`autoencoders publish`"
    assert capsys.readouterr().err == (
        "warning: MLflow does not record any more (connection lost). The work goes on and nothing is lost: "
        f"{later} records it once MLflow answers.\n"
    )


def test_outside_of_pods_the_local_database_will_do(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", never)
    with pytest.raises(UserError) as caught:
        tracking.require_server()
    assert str(caught.value).endswith(
        "Start it, correct MLFLOW_TRACKING_URI, or unset the variable to use the local database."
    )


def test_a_server_that_only_takes_connections_is_noticed(
    monkeypatch: pytest.MonkeyPatch, pod: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "HEALTH_TIMEOUT", 0.05)
    monkeypatch.setattr(client, "MAX_OUTAGE", -1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(UserError, match=r"does not answer \(ReadTimeout\)\. See that it runs"):
            tracking.require_server()


def test_a_server_s_deleted_experiment_is_refused_before_the_work_the_ladder_s_too(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Experiments(Answer):
        def do_GET(self) -> None:
            super().do_GET()
            if self.path == "/api/2.0/mlflow/experiments/get-by-name?experiment_name=a+b-ladder":
                self.wfile.write(b'{"experiment": {"experiment_id": "7", "lifecycle_stage": "deleted"}}')
            elif self.path.startswith("/api"):
                self.wfile.write(b'{"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}}')

    def ask() -> None:
        tracking.require_store("others")
        with pytest.raises(
            UserError, match=r"'a b-ladder' is deleted\. Restore it with `mlflow experiments restore -x 7`"
        ):
            tracking.require_store("a b")

    server.RequestHandlerClass = Experiments
    serving(server, ask)


def test_a_server_that_answers_a_byte_at_a_time_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HEALTH_TIMEOUT", 0.1)
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        near = listener.accept()[0]
        with near:
            near.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
            while not stop.wait(0.02):
                near.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            with pytest.raises(UserError, match=r"does not answer \(Timeout\)"):
                tracking.require_server()
        finally:
            stop.set()
            thread.join()
