"""Calls to MLflow in one background thread, in order, and what happens when they fail."""

import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from autoencoders.errors import UserError, first_line, printable
from autoencoders.runtime.pod import kfp_run
from autoencoders.tracking.client import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXIT_TIMEOUT = 15.0  # seconds to wait for MLflow before a process that was interrupted, or has failed, ends
CALL_TIMEOUT = 1800.0  # seconds for one call to MLflow, such as the upload of a model
Action = Callable[["MlflowClient"], Any]


class Answer(Future[Any]):
    """The future result of a call to MLflow; waiting for it has a deadline."""

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, or raise what the call raised; raise `UserError` at the deadline."""
        try:
            return super().result(CALL_TIMEOUT if timeout is None else timeout)
        except TimeoutError:
            if self.done():  # the call's own
                raise
            raise UserError("MLflow did not answer in time. Check its server and its artifact store.") from None


class Worker:
    """A thread that runs calls in order. It is a daemon: a server that hangs keeps no process alive."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._since = inf
        """When the call in progress began."""
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Run `call` after all earlier ones."""
        future: Future[Any] = Answer()
        self._calls.put((future, call))
        return future

    def finish(self, timeout: float | None = None) -> bool:
        """Wait for all calls, at most `timeout` seconds, or `CALL_TIMEOUT` for one; return whether they have ended."""
        self._calls.put(None)
        until = time.monotonic() + (inf if timeout is None else timeout)
        while self._thread.is_alive() and (now := time.monotonic()) < min(until, self._since + CALL_TIMEOUT):
            self._thread.join(min(1.0, until - now))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            self._since = time.monotonic()
            future, call = item
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            self._since = inf


class Recorder:
    """Calls MLflow in the background: neither importing it (4 s) nor waiting for a server delays the work.

    The first failure of MLflow is reported once, and `autoencoders publish` records the rest later. `finish`, or the
    end of the recorder's `with`, raises any other exception.
    """

    warns = True  # whether the first failure is reported on stderr
    offline = False  # whether MLflow failed
    trouble = ""  # how it failed, in one line

    def __init__(self) -> None:
        self._worker = Worker()
        self._client = self._worker.submit(connect)
        self._attempts: list[Future[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.finish(raises=kind is None, timeout=None if kind is None else EXIT_TIMEOUT)

    def attempt(self, action: Action, again: bool = False) -> "Future[Any]":
        """Queue `action`, to be called with a client unless MLflow has failed; such a failure raises nothing.

        With `again`, call it even then: for an action that records everything that is missing.
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
            self._report(error)
            return None
        if self.offline:
            self.offline = False
            warn("MLflow answers again, and its run is complete")
        return result

    def _report(self, error: Exception) -> None:
        self.trouble = first_line(error)
        first, self.offline = not self.offline, True
        if first and self.warns:
            later = "a pipeline's last task, `report`," if kfp_run() else "`autoencoders publish`"
            warn(
                f"warning: MLflow does not record any more ({self.trouble}). The work goes on and nothing is lost: "
                f"{later} records it once MLflow answers."
            )

    def finish(self, raises: bool = True, timeout: float | None = None) -> None:
        """Wait until all is recorded; with `raises`, raise the first error that is no failure of MLflow."""
        if not self._worker.finish(timeout):
            warn("warning: MLflow did not answer in time; not everything is recorded")
        elif raises:
            for attempt in self._attempts:
                attempt.result()


def warn(message: str) -> None:
    """Print a line on stderr, above a progress bar."""
    tqdm.write(printable(message), file=sys.stderr)


def is_failure_of_mlflow(error: BaseException) -> bool:
    """Return whether `error` is an outage, a refusal or a full disk, and not a mistake in this program."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    failures = (MlflowException, SQLAlchemyError, requests.RequestException, OSError)
    return isinstance(error, failures) and not isinstance(error, FileNotFoundError)
