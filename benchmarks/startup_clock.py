"""The command `autoencoders` with a clock: where its CPU seconds go, as a line of JSON in the file $STARTUP_CLOCK.

Start-up is the interpreter, imports (of every thread but MLflow's, also those inside functions) and MLflow's opening;
`recording` is what MLflow's thread does after that. CPU seconds of the whole process, its end and its children
included, are measured from outside: this script starts itself once more.
"""

import builtins
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CPU, WALL = 0, 1
PHASES = ("interpreter", "imports", "opening", "recording")
Spent = dict[str, list[float]]
"""Phase → CPU seconds and seconds."""


def outside(arguments: list[str]) -> int:
    """Run the command in a process of its own, write what it and that process measured, and return its exit code."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    began = time.monotonic()
    command = [sys.executable, __file__, "--inside", str(writer), str(began), *arguments]
    child = os.posix_spawn(sys.executable, command, os.environ)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        spent: Spent = json.loads(pipe.read() or "{}")
    _, status, usage = os.wait4(child, 0)
    spent["all"] = [usage.ru_utime + usage.ru_stime, time.monotonic() - began]
    stage = os.environ.get("STARTUP_STAGE") or os.environ.get("DVC_STAGE") or " ".join(arguments)
    with Path(os.environ["STARTUP_CLOCK"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": stage, **spent, "own": time.process_time()}) + "\n")
    return os.waitstatus_to_exitcode(status)


def inside(began: float, arguments: list[str]) -> None:
    """Run the command with clocks around its imports and MLflow's thread; `began` is on the clock `monotonic`."""
    spent: Spent = {phase: [0.0, 0.0] for phase in PHASES}
    spent["interpreter"] = [time.process_time(), time.monotonic() - began]
    os.register_at_fork(after_in_child=spent.clear)
    _clock_imports(spent)
    try:
        from autoencoders import cli

        cli.main(arguments)
    finally:
        with os.fdopen(int(sys.argv[2]), "w") as pipe:
            json.dump(spent, pipe)


def _clock_imports(spent: Spent) -> None:
    """Add the time of each outermost import to `spent`, and put a clock on MLflow's thread once its module is there."""
    original, here = builtins.__import__, threading.local()

    def clocked(*arguments: Any, **options: Any) -> Any:
        if getattr(here, "busy", False):
            return original(*arguments, **options)
        here.busy = True
        try:
            return timed(spent, "imports", lambda: original(*arguments, **options))
        finally:
            here.busy = False
            _clock_mlflow(spent, here)

    builtins.__import__ = clocked


def _clock_mlflow(spent: Spent, here: threading.local) -> None:
    recorder: Any = sys.modules.get("autoencoders.tracking.recorder")
    worker = getattr(recorder, "Worker", None)
    if worker is None or hasattr(worker, "clocked"):
        return
    submit, worker.clocked = worker.submit, True

    def clocked(self: Any, call: Callable[[], Any]) -> Any:
        def run() -> Any:
            here.busy = True  # what MLflow's thread imports is MLflow's
            return timed(spent, "opening" if call is recorder.connect else "recording", call)

        return submit(self, run)

    worker.submit = clocked


def timed(spent: Spent, phase: str, call: Callable[[], Any]) -> Any:
    """Call `call` and add what it took of this thread to a phase."""
    cpu, wall = time.thread_time(), time.monotonic()
    try:
        return call()
    finally:
        spent[phase][CPU] += time.thread_time() - cpu
        spent[phase][WALL] += time.monotonic() - wall


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(float(sys.argv[3]), sys.argv[4:])
    else:
        sys.exit(outside(sys.argv[1:]))
