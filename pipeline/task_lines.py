"""What a run on this machine prints: a line for each task, and the output of one that fails.

KFP prints several hundred lines for each task, most of them JSON. It runs two tasks of a loop at once, each in a thread
that prints its task's output.
"""

import builtins
import contextlib
import io
import json
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any, TextIO

from autoencoders.errors import printable
from pipeline import times

EXECUTOR_INPUT = "Got executor_input:"


class _Outputs(io.TextIOBase):
    """Takes the place of stdout; keeps what the task of each thread prints, and drops all else."""

    def __init__(self) -> None:
        self._of_task = threading.local()

    def begin(self) -> None:
        """Keep what this thread prints from now on."""
        self._of_task.parts = []

    def end(self) -> str:
        """Return what this thread has printed, and keep nothing any more."""
        parts, self._of_task.parts = self._of_task.parts, None
        return "".join(parts)

    def write(self, text: str) -> int:
        """Take a text."""
        if (parts := getattr(self._of_task, "parts", None)) is not None:
            parts.append(text)
        return len(text)


@contextlib.contextmanager
def line_for_each_task() -> Iterator[None]:
    """Have KFP's local runner print `train vae: done, 14 s` for each task, and what a failed one printed."""
    from kfp.local import subprocess_task_handler

    handlers: list[Any] = [subprocess_task_handler.SubprocessTaskHandler]
    with contextlib.suppress(ImportError):
        from kfp.local import docker_task_handler

        handlers.append(docker_task_handler.DockerTaskHandler)
    outputs, shown = _Outputs(), sys.stdout
    before, printing = [handler.run for handler in handlers], print
    for handler in handlers:  # KFP has no hook
        handler.run = _with_line(handler.run, outputs, shown)
    try:
        with contextlib.redirect_stdout(outputs), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"kfp\.")
            yield
    finally:
        builtins.print = printing  # KFP, which indents what a task prints, leaves it so where two tasks run at once
        for handler, run in zip(handlers, before, strict=True):
            handler.run = run


def _with_line(run: Callable[[Any], Any], outputs: _Outputs, shown: TextIO) -> Callable[[Any], Any]:
    def run_and_tell(handler: Any) -> Any:
        name, began = task_name(handler.full_command), times.now()
        outputs.begin()
        try:
            status = run(handler)
        finally:
            output = outputs.end()
        took = times.duration(times.now() - began)
        if status.name == "SUCCESS":
            lines = f"{name}: done, {took}\n"
        else:
            lines = f"{name}: failed, after {took}\n{_own(output)}"
        shown.write(lines)  # in one piece: other threads write, too
        shown.flush()
        return status

    return run_and_tell


def task_name(command: Sequence[str]) -> str:
    """Return the task that KFP's executor is called for: `prepare`, or with its model `train vae`."""
    given = dict(pairwise(command))
    stage, inputs = given["--function_to_execute"], json.loads(given["--executor_input"]).get("inputs", {})
    names = list(inputs.get("parameterValues", {}).get("model_params", {}))
    for artifact in inputs.get("artifacts", {}).get("model", {}).get("artifacts", []):
        names += [folder.name for folder in Path(artifact["uri"]).glob("*") if folder.is_dir()]
    return printable(" ".join([stage, *names]))


def _own(output: str) -> str:
    """Return what a task's stage itself has printed, indented: not KFP's lines, of which one has its inputs as JSON."""
    while (start := output.find(EXECUTOR_INPUT)) >= 0:
        rest = output[start + len(EXECUTOR_INPUT) :].lstrip()
        with contextlib.suppress(ValueError):
            rest = rest[json.JSONDecoder().raw_decode(rest)[1] :]
        output = output[:start] + rest
    lines = [line for line in output.splitlines() if line.strip() and not re.match(r" *\[KFP Executor .*\]:", line)]
    return "".join(f"    {printable(line)}\n" for line in dedent("\n".join(lines)).splitlines())
