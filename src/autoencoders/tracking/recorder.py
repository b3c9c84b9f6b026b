"""Calls to MLflow in one background thread, in order, and what happens when they fail."""

import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from autoencoders.errors import first_line
from autoencoders.pod import kfp_run
from autoencoders.tracking.client import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = 15.0
"""Seconds that a program which is interrupted, or has failed, waits for MLflow before it ends."""
Action = Callable[["MlflowClient"], Any]


class Worker:
    """A thread that runs what it is given in order. It is a daemon: a server that hangs keeps no process alive."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Run `call` after all that was submitted before."""
        future: Future[Any] = Future()
        self._work.put((future, call))
        return future

    def finish(self, timeout: float | None = None) -> bool:
        """Wait until everything is done, at most `timeout` seconds; returns whether it is."""
        self._work.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, call = item
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)


class Recorder:
    """Calls MLflow in the background: importing it (4 s) and waiting for a server hold up no work.

    The first failure of MLflow is told once, and the rest is left to `autoencoders publish`; any other exception is
    raised by `finish`.
    """

    warns = True
    """Whether the first failure is told on stderr."""
    offline = False
    """Whether MLflow failed."""
    trouble = ""
    """How it failed, in one line."""

    def __init__(self) -> None:
        self._worker = Worker()
        self._client = self._worker.submit(connect)
        self._attempts: list[Future[Any]] = []

    def attempt(self, action: Action, again: bool = False) -> "Future[Any]":
        """Run `action` with a client later, in order, unless MLflow has failed; its failure raises nothing.

        `again` tries even where it has failed: for what makes up for all that was left out.
        """
        self._attempts.append(self._worker.submit(lambda: self._attempt(action, again)))
        return self._attempts[-1]

    def _attempt(self, action: Action, again: bool) -> Any:
        if self.offline and not again:
            return None
        try:
            result = action(self._client.result())
        except Exception as error:
            if not is_failure_of_mlflow(error):
                raise
            self._tell(error)
            return None
        if self.offline:
            self.offline = False
            say("MLflow answers again, and its run is complete")
        return result

    def _tell(self, error: Exception) -> None:
        self.trouble = first_line(error)
        first, self.offline = not self.offline, True
        if first and self.warns:
            later = "a pipeline's last task, `report`," if kfp_run() else "`autoencoders publish`"
            say(
                f"warning: MLflow does not record any more ({self.trouble}). The work goes on and nothing is lost: "
                f"{later} records it once MLflow answers."
            )

    def finish(self, tell: bool = True, timeout: float | None = None) -> None:
        """Wait until everything is recorded; with `tell`, raise what went wrong otherwise than by MLflow's failing."""
        if not self._worker.finish(timeout):
            say("warning: MLflow did not answer in time and is left behind")
        elif tell:
            for attempt in self._attempts:
                attempt.result()


def say(message: str) -> None:
    """Print a line on stderr, above a progress bar."""
    tqdm.write(message, file=sys.stderr)


def is_failure_of_mlflow(error: BaseException) -> bool:
    """Tell an outage, a refusal or a full disk from a mistake in this program."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    failures = (MlflowException, SQLAlchemyError, requests.RequestException, OSError)
    return isinstance(error, failures) and not isinstance(error, FileNotFoundError)
