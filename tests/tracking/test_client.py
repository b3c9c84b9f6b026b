"""Where MLflow is, and whether it answers: in a pod, where a server is waited for, and elsewhere."""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from json_server import json_server
from processes import run_python
from servers import free_port
from tracked import run_in

from autoencoders import cli, tracking
from autoencoders.errors import UserError
from autoencoders.tracking import client as mlflow_client
from autoencoders.tracking.lineage import run_urls


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[HTTPServer]:
    """MLflow's address; nobody listens there until the server serves."""
    with HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False) as server:
        server.server_bind()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{server.server_port}")
        yield server


@pytest.fixture
def pod(monkeypatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KFP_RUN_ID", "a-run")


def test_a_task_in_a_pod_waits_for_the_server_and_says_so_once(server, pod, monkeypatch, capsys):
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            server.server_activate()
            threading.Thread(target=server.handle_request).start()

    monkeypatch.setattr(time, "sleep", sleep)
    tracking.require_server()
    assert slept == [mlflow_client.POLL_INTERVAL] * 3
    where = f"http://127.0.0.1:{server.server_port}"
    assert capsys.readouterr().err == (
        f"the MLflow server at {where} does not answer (ConnectionError). Waiting for it, 5 min at most.\n"
    )


def test_a_task_in_a_pod_gives_up_after_minutes_with_advice_for_pods(server, pod, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    with pytest.raises(UserError) as caught:
        tracking.require_server()
    assert mlflow_client.MAX_OUTAGE <= now[0] <= mlflow_client.MAX_OUTAGE + mlflow_client.POLL_INTERVAL
    assert str(caught.value) == (
        f"the MLflow server at http://127.0.0.1:{server.server_port} does not answer (ConnectionError). "
        "See that it runs, and that the address in the secret is the one that pods use."
    )


def never(seconds: float) -> None:
    pytest.fail("waited")


def test_a_server_that_refuses_is_not_waited_for(pod, monkeypatch):
    with json_server(lambda *request: (403, "")) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setattr(time, "sleep", never)
        with pytest.raises(UserError, match=r"refuses access \(HTTP 403\)"):
            tracking.require_server()


def test_a_server_in_trouble_is_waited_for(pod, monkeypatch, capsys):
    status = [503]
    monkeypatch.setattr(time, "sleep", lambda seconds: status.__setitem__(0, 200))
    with json_server(lambda *request: (status[0], "")) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        tracking.require_server()
    assert "is in trouble (HTTP 503). Waiting for it, 5 min at most." in capsys.readouterr().err


def test_no_link_is_waited_for(server, pod, monkeypatch):
    monkeypatch.setattr(time, "sleep", never)
    assert run_urls({"vae": "a" * 32}) == {}


def test_outside_of_pods_the_local_database_will_do(server, monkeypatch):
    monkeypatch.setattr(time, "sleep", never)
    with pytest.raises(UserError) as caught:
        tracking.require_server()
    assert str(caught.value).endswith(
        "Start it, correct MLFLOW_TRACKING_URI, or unset the variable to use the local database."
    )


def test_a_server_that_only_takes_connections_is_noticed(monkeypatch, pod, capsys):
    monkeypatch.setattr(mlflow_client, "HEALTH_TIMEOUT", 0.05)
    monkeypatch.setattr(mlflow_client, "MAX_OUTAGE", -1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(UserError, match=r"does not answer \(ReadTimeout\)\. See that it runs"):
            tracking.require_server()


def test_a_server_that_answers_a_byte_at_a_time_has_a_deadline(monkeypatch):
    monkeypatch.setattr(mlflow_client, "HEALTH_TIMEOUT", 0.1)
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


@pytest.mark.parametrize("known", [(), ("/api/2.0/mlflow/",), ("/health",)])
def test_a_web_server_without_mlflow_is_refused_and_one_with_its_api_alone_is_not(known, monkeypatch):
    with json_server(lambda method, path, *request: (200 if path.startswith(known) else 404, "")) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        if known:
            tracking.require_server()
        else:
            with pytest.raises(UserError, match=rf"there is no MLflow at {address}: HTTP 404"):
                tracking.require_server()


def test_an_unreachable_server_is_noticed_at_the_start(params, prepared, tmp_path, monkeypatch, capsys):
    (tmp_path / "params.yaml").write_text("models: {ae: {kind: autoencoder, latent: 2, arch: mlp, hidden: [8]}}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{free_port()}")
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    began = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "--model", "ae", "--data", str(prepared), "--checkpoints", "c", "--out", "o"])
    assert time.monotonic() - began < 6
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.match(r"error: the MLflow server at http://127\.0\.0\.1:\d+ does not answer \(ConnectionError\)", line)
    assert "secret" not in line


def test_nothing_in_the_local_store_depends_on_the_current_folder(train_model, client, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = run_in(client, train_model("ae"))
    assert run.info.artifact_uri.startswith((tmp_path / "mlartifacts").as_uri())
    [location] = {
        e.artifact_location.removeprefix("file://") for e in client.search_experiments() if e.name != "Default"
    }
    assert location == str(tmp_path / "mlartifacts")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert tracking.tracking_uri() == f"sqlite:///{tmp_path / 'elsewhere' / 'mlflow.db'}"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # as in an experiment in a copy of the repository
    assert tracking.tracking_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_mlflow_is_set_up_where_a_client_is_made_and_not_by_an_import(store):
    program = (
        "import os\nshow = lambda: print(sorted(name for name in os.environ if name.startswith('MLFLOW_')))\n"
        "from autoencoders import tracking\nshow()\ntracking.connect()\nshow()"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment["MLFLOW_TRACKING_URI"] = store
    done = run_python(program, timeout=120, env=environment)
    before, after = done.stdout.splitlines()
    assert before == "['MLFLOW_TRACKING_URI']"
    assert "MLFLOW_DISABLE_TELEMETRY" in after
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("variables", "auth", "header", "verify"),
    [
        ({}, None, None, True),
        ({"USERNAME": "me", "PASSWORD": "pw"}, ("me", "pw"), None, True),
        ({"USERNAME": "me", "PASSWORD": "pw", "TOKEN": "abc"}, ("me", "pw"), None, True),
        ({"USERNAME": "me", "TOKEN": "abc"}, None, "Bearer abc", True),
        ({"PASSWORD": "pw"}, None, None, True),
        ({"SERVER_CERT_PATH": "/a.pem"}, None, None, "/a.pem"),
        ({"INSECURE_TLS": "TRUE", "SERVER_CERT_PATH": "/a.pem"}, None, None, False),
        ({"INSECURE_TLS": "1"}, None, None, False),
        ({"INSECURE_TLS": "false"}, None, None, True),
    ],
)
def test_a_server_is_asked_as_mlflow_s_client_would(monkeypatch, variables, auth, header, verify):
    for name in ("USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS", "SERVER_CERT_PATH"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    with requests.Session() as session:
        mlflow_client._authorize(session)
        assert (session.auth, session.headers.get("Authorization"), session.verify) == (auth, header, verify)


@pytest.mark.parametrize(("status", "reason"), [(401, "refuses access"), (500, "is in trouble"), (499, None)])
def test_what_a_status_means(monkeypatch, status, reason):
    with json_server(lambda *request: (status, "")) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        if reason is None:
            tracking.require_server()
        else:
            with pytest.raises(UserError, match=rf"^the MLflow server at {address} {reason} \(HTTP {status}\)"):
                tracking.require_server()


def test_a_run_s_page_is_where_browsers_find_the_server(monkeypatch):
    assert mlflow_client.run_url("1", "abc") is None  # in a file
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org/")
    assert mlflow_client.run_url("1", "abc") == "https://mlflow.example.org/#/experiments/1/runs/abc"
    monkeypatch.setenv("MLFLOW_WORKSPACE", "my team")
    monkeypatch.setenv("AUTOENCODERS_MLFLOW_PAGES", "http://localhost:5000")
    assert mlflow_client.run_url("1", "abc") == "http://localhost:5000/#/experiments/1/runs/abc?workspace=my%20team"
