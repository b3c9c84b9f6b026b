"""Calls to MLflow in the background: which failures are reported, which are raised, and what is waited for."""

import threading
import time
from contextlib import nullcontext

import pytest
from processes import run_python

from autoencoders import tracking
from autoencoders.errors import UserError
from autoencoders.tracking import content, recorder


def test_a_mistake_in_recording_lets_the_training_finish_and_is_then_raised(train_model, tmp_path, monkeypatch):
    def mistaken(*arguments: object) -> None:
        raise TypeError("a mistake")

    monkeypatch.setattr(content, "log_history", mistaken)
    with pytest.raises(TypeError, match="a mistake"):
        train_model("ae")
    assert (tmp_path / "models" / "ae" / "run.json").exists()


def test_a_server_that_hangs_keeps_an_interrupted_program_only_so_long(store, capsys):
    recording, hanging = tracking.Recorder(), threading.Event()
    recording.attempt(lambda client: hanging.wait())
    last = recording.attempt(lambda client: 1)
    recording.finish(timeout=0.05)
    assert capsys.readouterr().err == "warning: MLflow did not answer in time; not everything is recorded\n"
    hanging.set()
    assert last.result(timeout=5) == 1


def test_nothing_is_waited_for_without_end(store, monkeypatch):
    monkeypatch.setattr(recorder, "CALL_TIMEOUT", 0.05)
    hanging, began = tracking.Recorder(), time.monotonic()
    hanging._client.result(30)
    for _ in range(2):
        with pytest.raises(UserError, match="MLflow did not answer in time"):
            hanging.attempt(lambda client: threading.Event().wait(30)).result()
    hanging.finish()
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("in_pod", [True, False])
def test_an_outage_is_reported_with_the_command_that_makes_up_for_it(store, monkeypatch, capsys, in_pod):
    if in_pod:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv("KFP_RUN_ID", "a-run")

    def away(client: object) -> None:
        raise OSError("connection lost")

    with tracking.Recorder() as recording:
        recording.attempt(away)
    later = "a pipeline's last task, `report`," if in_pod else "`autoencoders publish`"
    assert capsys.readouterr().err == (
        "warning: MLflow does not record any more (connection lost). The work goes on and nothing is lost: "
        f"{later} records it once MLflow answers.\n"
    )


def test_importing_mlflow_beside_torch_and_scipy_does_not_deadlock(store):
    program = (
        "from autoencoders.tracking import Recorder; r = Recorder();"
        "import torch._dynamo, sklearn.mixture;"
        "f = r.attempt(lambda client: len(client.search_experiments())); r.finish(); print(f.result())"
    )
    done = run_python(program, timeout=120)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_after_a_failure_nothing_is_called_but_what_makes_up_for_it(store, capsys):
    def away(client: object) -> None:
        raise OSError("connection lost")

    with tracking.Recorder() as recording:
        recording.attempt(away)
        assert recording.attempt(lambda client: 1).result() is None
        assert recording.attempt(away, again=True).result() is None
        assert (recording.offline, recording.trouble) == (True, "connection lost")
        assert recording.attempt(lambda client: 2, again=True).result() == 2
        assert recording.attempt(lambda client: 3).result() == 3
        assert not recording.offline
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: MLflow does not record any more (connection lost).")
    assert last == "MLflow answers again, and its run is complete"


def test_a_missing_file_is_a_mistake_and_no_outage(store):
    def mistaken(client: object) -> None:
        raise FileNotFoundError("figure.png")

    recording = tracking.Recorder()
    recording.attempt(mistaken)
    recording.finish(raises=False)
    assert not recording.offline
    with pytest.raises(FileNotFoundError, match=r"figure\.png"):
        recording.finish()


@pytest.mark.parametrize(
    ("error", "expected"), [(None, (True, None)), (KeyboardInterrupt, (False, 15.0)), (ValueError, (False, 15.0))]
)
def test_a_program_that_ends_well_waits_for_all_and_one_that_fails_for_seconds(store, error, expected):
    waited: list[tuple[bool, float | None]] = []

    class Watched(tracking.Recorder):
        def finish(self, raises: bool = True, timeout: float | None = None) -> None:
            waited.append((raises, timeout))
            super().finish(raises)

    with pytest.raises(error) if error else nullcontext(), Watched():
        if error:
            raise error
    assert waited == [expected]
