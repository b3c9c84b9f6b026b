"""The states of a task, and a task in one line."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.cluster.nodes import Node
from pipeline.cluster.reasons import Reason
from pipeline.times import duration


class State(StrEnum):
    """The states of a task."""

    NOT_STARTED = "not started"
    WAITING = "waiting"
    """Its pod cannot start: there is no room, or something is missing."""
    STARTING = "starting"
    """KFP prepares it, or its container is being made."""
    RUNNING = "running"
    DONE = "done"
    REUSED = "reused from an earlier run"
    FAILED = "failed"
    STOPPED = "stopped"
    """The run was stopped."""
    NOT_RUN = "not run"
    """It will not run: a task that it depends on failed, or the run was stopped."""
    UNKNOWN = "not known"
    """KFP's list of tasks has stood still since before it ended."""


OVER = (State.DONE, State.REUSED, State.FAILED, State.STOPPED, State.NOT_RUN)


@dataclass(frozen=True)
class TaskView:
    """One task, as it is shown."""

    name: str
    """The task's and the model's: ``train vae``."""
    stage: str
    state: State
    reason: Reason | None = None
    note: str = ""
    since: datetime | None = None
    ended: datetime | None = None
    pod: Node | None = None
    """The last one."""
    is_driver: bool = False
    """Whether that is the pod in which KFP prepares the task."""
    is_active: bool = False
    """Whether some pod of it runs."""

    def describe(self, now: datetime | None = None) -> str:
        """Return the state in a line, with the duration until `now`, if given, of what has not ended."""
        note = f" ({self.note})" if self.note else ""
        why = f": {self.reason.text}" if self.reason else ""
        return f"{self.state}{note}{why}{self._duration(now)}"

    def _duration(self, now: datetime | None) -> str:
        if self.state in (State.DONE, State.FAILED) and self.since and self.ended:
            after = "after " if self.state == State.FAILED else ""
            return f", {after}{duration(self.ended - self.since)}"
        if now and self.since and self.state in (State.RUNNING, State.WAITING, State.STARTING):
            return f", {duration(now - self.since)}"
        return ""
