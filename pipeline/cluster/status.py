"""What `status` and `submit` print of a run: its tasks, how it ended, and why, as far as anyone can see it."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autoencoders.text import join_words
from pipeline.cluster import in_mlflow
from pipeline.cluster.kube import Unseen
from pipeline.cluster.reasons import error_line, last_lines
from pipeline.cluster.snapshot import OR_REUSED, Snapshot, Watcher, stopped_at
from pipeline.cluster.states import State, TaskView
from pipeline.cluster.times import clock, duration


def show(watcher: Watcher) -> int:
    """Print a run as it is now; returns 1 where it has ended without success, else 0."""
    snapshot = watcher.snapshot()
    print(_header(snapshot))
    if description := snapshot.run.get("description"):
        print(description)
    print()
    width = max((len(task.name) for task in snapshot.tasks), default=0)
    for task in snapshot.tasks:
        print(f"{task.name:{width}}  {task.describe(snapshot.at)}")
    print()
    for line in remarks(snapshot):
        print(line)
    if not snapshot.is_over:
        print_links(snapshot, watcher)
        return 0
    return print_end(snapshot, watcher)


def remarks(snapshot: Snapshot) -> list[str]:
    """Return what there is to say of a run that goes on: what to do, and what cannot be seen."""
    waiting = [task for task in snapshot.tasks if task.state == State.WAITING]
    failed = [task for task in snapshot.tasks if task.state == State.FAILED and not snapshot.is_over]
    cures: dict[str, list[str]] = {}
    for task in (*failed, *waiting):
        if task.reason and task.reason.cure:
            cures.setdefault(task.reason.cure, []).append(task.name)
    lines = [f"{join_words(names)}: {cure}" for cure, names in cures.items()]
    if snapshot.frozen_since:
        lines.append(frozen_line(snapshot))
    elif snapshot.quiet_since:
        lines.append(doubt_line(snapshot))
    elif snapshot.is_behind:
        lines.append(behind_line(snapshot))
    elif snapshot.no_workflow and (waiting or failed):
        lines.append(snapshot.no_workflow_line)
    return lines


def frozen_line(snapshot: Snapshot) -> str:
    """Return why KFP's list of tasks stands still, and what it does not hide."""
    assert snapshot.frozen_since
    finished = len(snapshot.listed.executions)
    count = f" {finished} tasks have finished, not counting reused ones." if finished else ""
    return (
        f"KFP's list of tasks has stood still since {clock(snapshot.frozen_since)}: its server cannot read records of more than "
        f"1 MiB.{count} Argo's Workflow would show all, but {snapshot.no_workflow}."
    )


def behind_line(snapshot: Snapshot) -> str:
    """Return why KFP's list of tasks may not have the end of a run."""
    last = f" at {clock(snapshot.listed.changed)}" if snapshot.listed.changed else ""
    return (
        f"KFP's list of tasks ends{last}, before the run's end: it is late, or its server cannot read records of more "
        f"than 1 MiB. Argo's Workflow would show all, but {snapshot.no_workflow}."
    )


def doubt_line(snapshot: Snapshot) -> str:
    """Return why KFP's list of tasks may not be true any more."""
    assert snapshot.quiet_since
    return (
        f"KFP's list of tasks has not changed since {clock(snapshot.quiet_since)}. It may have stopped: KFP's server cannot "
        f"read records of more than 1 MiB. Argo's Workflow would tell, but {snapshot.no_workflow}."
    )


def _header(snapshot: Snapshot) -> str:
    if snapshot.ended and snapshot.began:
        return f"{snapshot.name}: {snapshot.word} at {clock(snapshot.ended)}, after {duration(snapshot.ended - snapshot.began)}"
    since = stopped_at(snapshot.run) or snapshot.began
    return (
        f"{snapshot.name}: {snapshot.word}{f' since {clock(since)}, {duration(snapshot.at - since)}' if since else ''}"
    )


MAX_LOGS = 3
"""Failures whose logs are read."""
COUNTED = {
    State.DONE: "done", State.REUSED: "reused", OR_REUSED: "done or reused", State.FAILED: "failed",
    State.STOPPED: "stopped", State.NOT_RUN: "not run", State.UNKNOWN: "not known",
}  # fmt: skip


@dataclass
class Failure:
    """Tasks that failed in the same way."""

    tasks: list[TaskView] = field(default_factory=list)
    text: str = ""
    cure: str = ""
    note: str = ""
    log: Sequence[str] = ()


def print_end(snapshot: Snapshot, watcher: Watcher, given_up: str = "") -> int:
    """Print why a run ended so, bring MLflow's run of it to its end, and return the command's exit code.

    `given_up` says why, where this process stopped the run.
    """
    failures = _failures(snapshot, watcher)
    first = failures[0] if failures else None
    in_mlflow.close(
        watcher.run_id, snapshot.word == "succeeded", snapshot.word == "terminated",
        task=first.tasks[0].name if first and first.tasks else "", error=first.text if first else given_up,
    )  # fmt: skip
    print_links(snapshot, watcher)
    for failure in failures:
        _print_failure(failure)
    if message := (snapshot.run.get("error") or {}).get("message"):
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return int(snapshot.word != "succeeded")


def print_links(snapshot: Snapshot, watcher: Watcher) -> None:
    """Print the run's pages."""
    print(f"KFP:    {watcher.connection.page('runs', watcher.run_id)}")
    if page := in_mlflow.page(snapshot.run):
        print(f"MLflow: {page}")


def summary(snapshot: Snapshot) -> str:
    """Return how a run ended, in one line."""
    lasted = f" after {duration(snapshot.ended - snapshot.began)}" if snapshot.began and snapshot.ended else ""
    counts = Counter(OR_REUSED if task.note == OR_REUSED else task.state for task in snapshot.tasks)
    told = ", ".join(f"{counts[state]} {word}" for state, word in COUNTED.items() if counts[state])
    return f"{snapshot.name}: {snapshot.word}{lasted}{f' ({told})' if told else ''}"


def _failures(snapshot: Snapshot, watcher: Watcher) -> list[Failure]:
    """Return what failed, tasks with the same reason together."""
    found: list[Failure] = []
    for task in (task for task in snapshot.tasks if task.state == State.FAILED):
        failure = Failure([task], task.reason.text, task.reason.cure) if task.reason else Failure([task])
        if (
            not snapshot.no_workflow
            and len(found) < MAX_LOGS
            and (_says_little(task) or failure.text not in [f.text for f in found])
        ):
            failure = _with_log(failure, watcher)
        if same := next((other for other in found if other.text == failure.text), None):
            same.tasks.append(task)
        else:
            found.append(failure)
    if not found and not snapshot.no_workflow and snapshot.word == "failed":
        return [Failure(text=snapshot.said)]
    if snapshot.no_workflow and snapshot.word == "failed":
        found = found or [Failure()]
        task_name, said = in_mlflow.failure(watcher.run_id)
        found[-1].note = f"MLflow has of {task_name or 'it'}: {said}" if said else snapshot.no_workflow_line
    return found


def _says_little(task: TaskView) -> bool:
    """Tell whether the log alone says what went wrong."""
    return task.is_driver or task.reason is None or task.reason.text.startswith("exit code")


def _with_log(failure: Failure, watcher: Watcher) -> Failure:
    [task] = failure.tasks
    try:
        lines = watcher.kube.log(task.pod.pod if task.pod else "")
    except Unseen as error:
        return _without_log(failure, str(error), watcher)
    said = error_line(lines) if _says_little(task) else ""
    text = f"{failure.text}: {said}" if said and task.is_driver else said or failure.text
    return replace(failure, text=text, log=last_lines(lines))


def _without_log(failure: Failure, why: str, watcher: Watcher) -> Failure:
    """Say where else the reason may be: in MLflow, or in the artifact store, where Argo keeps logs."""
    [task] = failure.tasks
    told, said = in_mlflow.failure(watcher.run_id) if _says_little(task) else ("", "")
    if said and told in (task.stage, task.name):
        return replace(failure, text=f"{failure.text}; it told MLflow: {said}")
    kept = f" Argo has put it into the artifact store: {task.pod.log}." if task.pod and task.pod.log else ""
    note = f"Its log cannot be read: {why}.{kept}" if kept or _says_little(task) else ""
    return replace(failure, note=note)


def _print_failure(failure: Failure) -> None:
    names = join_words([task.name for task in failure.tasks]) if failure.tasks else "the run"
    text = f": {failure.text.rstrip('.')}" if failure.text else ""
    cure = f" {failure.cure}" if failure.cure else ""
    print(f"error: {names} failed{text}.{cure}", file=sys.stderr)
    if failure.log:
        print(f"The log of {failure.tasks[0].name} ends:", file=sys.stderr)
        for line in failure.log:
            print(f"    {line}", file=sys.stderr)
    if failure.note:
        print(failure.note, file=sys.stderr)
