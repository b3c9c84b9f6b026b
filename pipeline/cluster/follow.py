"""What `submit` prints while it follows a run: changes of tasks' states, what keeps them from starting, the end."""

import contextlib
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autoencoders.errors import UserError
from autoencoders.text import join_words
from pipeline import times
from pipeline.cluster import in_mlflow
from pipeline.cluster.failures import Denied, Refused, Unreachable
from pipeline.cluster.snapshot import LONG_LIST, OR_REUSED, Snapshot, Watcher
from pipeline.cluster.states import State, TaskView
from pipeline.cluster.status import print_end, summary, task_list_line
from pipeline.times import clock, duration

INTERVAL = 5.0
PATIENCE = timedelta(minutes=5)
"""How long the server may not answer while a run is followed; the run itself goes on."""
SETTLING = timedelta(seconds=30)
"""How long KFP's list of tasks may lag behind a run's end."""
SLOW_START = timedelta(seconds=30)
"""A start that takes longer is printed."""
BLOCKED = timedelta(seconds=30)
"""After this, it is printed that nothing can run."""
REMIND = timedelta(minutes=10)
"""After this it is printed again, then after twice as long, and so on."""
MAX_NAMES = 6
MIN_WIDTH = 15
STOPPING = timedelta(minutes=2)
"""How long to wait for a run that is being stopped."""
MODELS_IN_TASK_LIST = 4
"""Models up to which KFP's list of tasks stays complete: the record of a run is about 0.45 MB and 0.13 MB a model, of
which KFP's server reads 1 MiB. (Each task is six nodes of Argo's, each with the description of its pod.)"""
LIMIT_LINE = (
    "KFP's list of tasks will stand still before the run ends: with more than "
    f"{MODELS_IN_TASK_LIST} models, its record is larger than KFP's server can read."
)


@dataclass
class Follower:
    """Follows one run, and remembers what it has printed."""

    watcher: Watcher
    give_up: timedelta | None = None
    """The run is stopped after this time in which nothing could run."""
    models: int = 0
    """How many the run trains, as far as it is known."""
    printed: dict[str, str] = field(default_factory=dict)
    """Task → what was printed of it last, without what changes all the time."""
    notes: set[str] = field(default_factory=set)
    """What is printed once."""
    active_at: datetime | None = None
    """When some pod of the run was last seen running."""
    next_reminder: timedelta = BLOCKED

    def follow(self) -> int:
        """Print what changes until the run has ended; return 0 if it succeeded, else 1."""
        while True:
            run = self._take_snapshot()
            if run.no_workflow and self.models > MODELS_IN_TASK_LIST:
                self._once("limit", LIMIT_LINE)
            self._print_tasks(run)
            if _is_settled(run):
                print(summary(run))
                if run.is_behind and "frozen" not in self.notes:
                    print(task_list_line(run))
                return print_end(run, self.watcher)
            if run.frozen_since:
                self._print_progress(run)
            elif blocked := self._blocked(run):
                if self.give_up and blocked >= self.give_up:
                    return self._stop(run, blocked)
                self._print_blocked(run, blocked)
            elif run.quiet_since:
                self._once("quiet", task_list_line(run))
            times.sleep(INTERVAL)

    def _take_snapshot(self) -> Snapshot:
        """Return the run's present state; wait for a server that does not answer, and read an expired token again."""
        away: datetime | None = None
        later = f"The run goes on: look at it later with `python -m pipeline status {self.watcher.run_id}`."
        name, renewed = self.watcher.connection.name, False
        while True:
            try:
                run = self.watcher.snapshot()
            except Denied:
                if renewed or not self.watcher.connection.renew_token():
                    raise UserError(
                        f"{name} no longer accepts the token: it has expired, or was taken back. {later}"
                    ) from None
                renewed = True
            except Unreachable as error:
                if away and times.now() - away > PATIENCE:
                    raise UserError(f"{error.what}. {later}") from None
                if not away:
                    away = times.now()
                    self._print(f"{error.what}; the run goes on; asking again for up to {duration(PATIENCE)}")
                times.sleep(INTERVAL)
            else:
                if away:
                    self._print(f"{name} answers again")
                return run

    def _print_tasks(self, run: Snapshot) -> None:
        width = max([MIN_WIDTH, *(len(task.name) for task in run.tasks)])
        skipped = []
        for task in run.tasks:
            key = _key(task, run)
            if not key or self.printed.get(task.name) == key:
                continue
            self.printed[task.name] = key
            if task.state == State.NOT_RUN:
                skipped.append(task.name)
                continue
            self._print(f"{task.name:{width}}  {task.describe(run.at if task.state == State.STARTING else None)}")
            cure = task.reason.cure if task.state == State.WAITING and task.reason else ""
            if cure and cure not in self.notes:
                self.notes.add(cure)
                print(f"{'':{len('00:00:00') + 2 + width}}  {cure}", flush=True)
        if skipped:
            more = [f"{len(skipped) - MAX_NAMES} more"] if len(skipped) > MAX_NAMES else []
            self._print(f"not run: {join_words([*skipped[:MAX_NAMES], *more])}")

    def _print_progress(self, run: Snapshot) -> None:
        """Print what is known while KFP's list of tasks stands still."""
        count, runs = len(run.listed.executions), in_mlflow.task_runs(self.watcher.run_id)
        finished = [f"{count} tasks have finished"] if count else []
        if "frozen" not in self.notes:
            self._once("frozen", task_list_line(run))
            self.printed[""] = "".join(finished)
        text = "; ".join([*finished, *([f"MLflow has {', '.join(runs)}"] if runs else [])])
        if self.printed[""] != text:
            self.printed[""] = text
            self._print(text)

    def _blocked(self, run: Snapshot) -> timedelta | None:
        """Return for how long nothing could run because pods do not start; None if something runs, or may run."""
        waiting = _waiting(run)
        if run.no_workflow and len(run.listed.nodes) >= LONG_LIST:
            return None  # the list may have stood still since before the pods started
        if not waiting or any(task.is_active for task in run.tasks):
            self.active_at, self.next_reminder = run.at, BLOCKED
            return None
        since = min(task.since or run.at for task in waiting)
        return run.at - max(since, self.active_at or since)

    def _print_blocked(self, run: Snapshot, blocked: timedelta) -> None:
        if blocked < self.next_reminder:
            return
        if self.next_reminder > BLOCKED:
            self._print(f"Nothing has run for {duration(blocked)} ({_why(_waiting(run))}).")
            self.next_reminder *= 2
            return
        if run.no_workflow:
            self._once("no workflow", run.no_workflow_line)
        then = "with --give-up 10m it would be stopped"
        if self.give_up:
            then = f"it is stopped if that lasts {duration(self.give_up)}"
        self._print(f"Nothing else can run meanwhile. The run goes on waiting; {then}.")
        self.next_reminder = REMIND

    def _stop(self, run: Snapshot, blocked: timedelta) -> int:
        """Stop a run in which nothing can run, and wait for its end; return 1."""
        why = f"nothing could run for {duration(blocked)} ({_why(_waiting(run))})"
        self._print(f"Given up: {why}. The run is being stopped.")
        cures = {task.reason.cure for task in _waiting(run) if task.reason and task.reason.cure}
        with contextlib.suppress(Refused):  # it may just have ended
            self.watcher.connection.post(f"runs/{self.watcher.run_id}:terminate")
        until = run.at + STOPPING
        while not _is_settled(run) and run.at < until:
            times.sleep(INTERVAL)
            run = self._take_snapshot()
        print(summary(run))
        print_end(run, self.watcher, why)
        unseen = [run.no_workflow_line] if run.no_workflow else []
        print(" ".join([f"error: given up: {why}.", *sorted(cures), *unseen]), file=sys.stderr)
        return 1

    def _once(self, key: str, text: str) -> None:
        if key not in self.notes:
            self.notes.add(key)
            self._print(text)

    def _print(self, text: str) -> None:
        print(f"{clock(times.now())}  {text}", flush=True)


def _is_settled(run: Snapshot) -> bool:
    """Return whether a run has ended, and so has KFP's list of tasks, which may follow a moment later."""
    return run.is_over and (not run.is_behind or bool(run.frozen_since) or run.at > (run.ended or run.at) + SETTLING)


def _key(task: TaskView, run: Snapshot) -> str:
    """Return what of a task is worth a line when it changes; empty if there is nothing to print."""
    if task.state in (State.NOT_STARTED, State.UNKNOWN) or task.note == OR_REUSED:
        return ""
    if task.state == State.STARTING and (run.no_workflow or not _is_slow(task, run)):
        return ""
    note = "" if task.state == State.FAILED else task.note
    return f"{task.state} {note} {task.reason.text.partition(' (')[0] if task.reason else ''}"


def _waiting(run: Snapshot) -> list[TaskView]:
    """Return the tasks whose pods should have started by now."""
    return [task for task in run.tasks if task.state == State.WAITING or _is_slow(task, run)]


def _is_slow(task: TaskView, run: Snapshot) -> bool:
    """Return whether a pod takes long to start."""
    is_pending = task.state == State.STARTING and task.pod is not None and task.pod.phase == "Pending"
    return is_pending and task.since is not None and run.at - task.since >= SLOW_START


def _why(tasks: list[TaskView]) -> str:
    reasons: dict[str, list[str]] = {}
    for task in tasks:
        reasons.setdefault(task.reason.text if task.reason else str(task.state), []).append(task.name)
    return "; ".join(f"{join_words(names)}: {text}" for text, names in reasons.items())
