"""MLflow's server goes away while something is recorded, and comes back."""

import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import mlflow.pyfunc
import numpy as np
import pytest
from mlflow import MlflowClient
from servers import free_port, running
from tracked import histories, in_one, reference, run_in

from autoencoders import tracking
from autoencoders.stages.publish import publish


class Proxy:
    """Forwards a port of this machine to a server, until it is taken down."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.port}"

    def down(self) -> None:
        for connection in [self._listener, *self._open]:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open = []

    def up(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture(scope="module")
def server_port(migrated, tmp_path_factory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    shutil.copy(migrated, folder / "mlflow.db")
    options = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "server", *options, *where]
    with running(command, f"http://127.0.0.1:{port}/health", folder / "log"):
        yield port


@pytest.fixture
def proxy(server_port, params, monkeypatch) -> Iterator[Proxy]:
    proxy = Proxy(server_port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    yield proxy
    proxy.down()


@pytest.fixture
def away_from_step_1(at_validation, proxy) -> None:
    """The server goes away in the first step of a training, once the untrained model is recorded."""

    def go_down(run: tracking.ModelRun, row: dict[str, float]) -> None:
        if row["step"] == 1:
            assert all(attempt.result() is None for attempt in run._attempts)
            proxy.down()

    at_validation(go_down)


def test_a_server_that_goes_away_costs_nothing_that_publishing_does_not_bring_back(
    train_model, away_from_step_1, proxy, params, tmp_path, capfd
):
    longer = params.model_copy(update={"train": params.train.model_copy(update={"steps": 9})})
    folder = train_model("ae", longer)
    told = capfd.readouterr()
    [warning] = [line for line in told.err.splitlines() if line.startswith("warning:")]
    assert "`autoencoders publish` records it once MLflow answers" in warning
    assert "secret" not in told.err + told.out
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "model.json", "history.csv", "run.json"}

    proxy.up()
    client = MlflowClient(proxy.uri)
    run_id = reference(folder)["run_id"]
    assert [m.step for m in client.get_metric_history(run_id, "val/loss")] == [0]
    folders = {**in_one(tmp_path), "models": folder.parent}
    publish(longer, **folders)
    publish(longer, **folders)
    assert len(client.search_model_versions()) == 1
    assert client.get_run(run_id).info.status == "FINISHED"
    histories(client, run_id, folder)
    told = capfd.readouterr()
    assert told.out.splitlines() == ["ae: published", "ae: already there"]
    assert told.err == ""

    mlflow.set_tracking_uri(proxy.uri)
    images = np.zeros((3, 1, 8, 8), np.float32)
    assert mlflow.pyfunc.load_model(f"runs:/{run_id}/ae").predict(images).shape == images.shape


def test_what_an_outage_left_of_a_training_is_completed_by_the_last_task_of_its_pipeline(
    train_model, away_from_step_1, proxy, tmp_path, task
):
    folder = train_model("vae")
    proxy.up()
    client = MlflowClient(proxy.uri)
    assert run_in(client, folder).info.status == "RUNNING"
    assert [m.step for m in client.get_metric_history(reference(folder)["run_id"], "val/loss")] == [0]
    (tmp_path / "index.html").write_text("<h1>Report</h1>")
    with tracking.RunPublisher("autoencoders") as runs:
        runs.publish_model(folder)
        runs.log_report(tmp_path / "index.html")
    run = run_in(client, folder)
    assert run.info.status == "FINISHED"
    histories(client, run.info.run_id, folder)
    assert "val/best/elbo" in run.data.metrics
    assert client.get_run(run.data.tags["mlflow.parentRunId"]).info.status == "FINISHED"


def test_a_server_that_comes_back_before_the_end_has_the_whole_run(train_model, at_validation, proxy, capfd):
    def go_down_and_up(run: tracking.ModelRun, row: dict[str, float]) -> None:
        if row["step"] == 0:
            proxy.down()
        elif row["step"] == 1:
            run._attempts[-1].result()
            proxy.up()

    at_validation(go_down_and_up)
    folder = train_model("vae")
    client = MlflowClient(proxy.uri)
    run = run_in(client, folder)
    assert run.info.status == "FINISHED"
    histories(client, run.info.run_id, folder)
    assert "MLflow answers again, and its run is complete" in capfd.readouterr().err
