"""The command `autoencoders` with a clock: its CPU seconds, and those of its start, as a line in $STARTUP_CLOCK.

The start is the interpreter, the imports of every thread, also those inside functions, and MLflow's opening. CPU
seconds of the whole process, its end and its children included, are measured from outside: this script starts itself
once more.
"""

import builtins
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLOCK = Path(os.environ.get("STARTUP_CLOCK", "clock"))
INSIDE = CLOCK.with_suffix(".inside")
starting = threading.local()
"""Whether this thread is in an import, or in MLflow's opening, whose time is counted already."""
seconds = 0.0


def outside(arguments: list[str]) -> int:
    """Run the command in a process of its own, write what it and that process measured, and return its exit code."""
    code = subprocess.run([sys.executable, __file__, "--inside", *arguments]).returncode
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = {
        "command": os.environ.get("STARTUP_STAGE") or os.environ["DVC_STAGE"],
        "startup": float(INSIDE.read_text(encoding="utf-8")),
        "all": usage.ru_utime + usage.ru_stime,
        "clock": time.process_time(),
    }
    with CLOCK.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return code


def inside(arguments: list[str]) -> None:
    """Run the command with a clock around its imports and MLflow's opening."""
    interpreter, process = time.process_time(), os.getpid()
    builtins.__import__ = clocked(builtins.__import__)
    try:
        from autoencoders import cli

        cli.main(arguments)
    finally:
        if os.getpid() == process:
            INSIDE.write_text(str(interpreter + seconds), encoding="utf-8")


def clocked(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return `call`, which adds the CPU time of its outermost call in a thread to `seconds`."""

    def timed(*arguments: Any, **options: Any) -> Any:
        global seconds
        if getattr(starting, "now", False):
            return call(*arguments, **options)
        starting.now, began = True, time.thread_time()
        try:
            return call(*arguments, **options)
        finally:
            seconds += time.thread_time() - began
            starting.now = False
            _clock_mlflow()

    return timed


def _clock_mlflow() -> None:
    """Put the clock on MLflow's opening, once its module is imported."""
    recorder: Any = sys.modules.get("autoencoders.tracking.recorder")
    if hasattr(recorder, "connect") and not hasattr(recorder, "clocked"):
        recorder.connect, recorder.clocked = clocked(recorder.connect), True


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        inside(sys.argv[2:])
    else:
        sys.exit(outside(sys.argv[1:]))
