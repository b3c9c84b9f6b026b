"""The end of a pod's log, and the line in it that says what went wrong."""

import re
from collections.abc import Sequence

SHOWN = 15
"""Lines of a log that are shown."""
LAUNCHER = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d|time=\S+ level=|{\"time\":|Error: exit status")
"""Beginnings of lines that KFP's launcher and Argo write around what the task itself says."""
OWN_ERROR = re.compile(r"error: (.+)")
FATAL = re.compile(r"F\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ \S+:\d+\] (.+)")
"""Of KFP's launcher and driver, before they end."""
DRIVER = re.compile(r"(KFP driver: )?driver\.\w+\([^)]*\) failed: ")


def error_line(lines: Sequence[str]) -> str:
    """Return what a task, or the program that KFP runs around it, gives as its error; empty where it gives none."""
    own = [found[1] for line in lines if (found := OWN_ERROR.match(line))]
    if own:
        return own[-1].strip()
    fatal = [found[1] for line in lines if (found := FATAL.match(line))]
    return DRIVER.sub("", fatal[-1]).strip() if fatal else ""


def last_lines(lines: Sequence[str]) -> list[str]:
    """Return the last lines that the task itself wrote, or, where it wrote none, the last of all."""
    own = [line for line in lines if line.strip() and not LAUNCHER.match(line)]
    return [line.rstrip() for line in (own or [line for line in lines if line.strip()])[-SHOWN:]]
