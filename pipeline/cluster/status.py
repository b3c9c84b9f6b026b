"""What `status` and `submit` print of a run: its tasks, how it ended, and why, as far as that can be read."""

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
from pipeline.times import clock, duration

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


def show(watcher: Watcher) -> int:
    """Print the present state of a run; return 1 if it has ended without success, else 0."""
    run = watcher.snapshot()
    print(_header(run))
    if description := run.answer.get("description"):
        print(description)
    print()
    width = max((len(task.name) for task in run.tasks), default=0)
    for task in run.tasks:
        print(f"{task.name:{width}}  {task.describe(run.at)}")
    print()
    for line in _remarks(run):
        print(line)
    if not run.is_over:
        _print_links(run, watcher)
        return 0
    return print_end(run, watcher)


def _header(run: Snapshot) -> str:
    if run.ended and run.began:
        return f"{run.name}: {run.word} at {clock(run.ended)}, after {duration(run.ended - run.began)}"
    since = stopped_at(run.answer) or run.began
    return f"{run.name}: {run.word}{f' since {clock(since)}, {duration(run.at - since)}' if since else ''}"


def _remarks(run: Snapshot) -> list[str]:
    """Return what to do about tasks that wait or failed, and what cannot be seen."""
    waiting = [task for task in run.tasks if task.state == State.WAITING]
    failed = [task for task in run.tasks if task.state == State.FAILED and not run.is_over]
    cures: dict[str, list[str]] = {}
    for task in (*failed, *waiting):
        if task.reason and task.reason.cure:
            cures.setdefault(task.reason.cure, []).append(task.name)
    lines = [f"{join_words(names)}: {cure}" for cure, names in cures.items()]
    if line := task_list_line(run):
        lines.append(line)
    elif run.no_workflow and (waiting or failed):
        lines.append(run.no_workflow_line)
    return lines


def task_list_line(run: Snapshot) -> str:
    """Return why KFP's list of tasks is not up to date although it is all there is; empty if it is up to date."""
    reason = "KFP's server cannot read records of more than 1 MiB."
    if run.frozen_since:
        text = f"has stood still since {clock(run.frozen_since)}: {reason}"
        if finished := len(run.listed.executions):
            text += f" {finished} tasks have finished, not counting reused ones."
    elif run.quiet_since:
        text = f"has not changed since {clock(run.quiet_since)}. It may have stopped: {reason}"
    elif run.is_behind:
        last = f" at {clock(run.listed.changed)}" if run.listed.changed else ""
        text = f"ends{last}, before the run's end: it is late, or {reason}"
    else:
        return ""
    return f"KFP's list of tasks {text} Argo's Workflow would show all, but {run.no_workflow}."


def summary(run: Snapshot) -> str:
    """Return how a run ended, in one line."""
    lasted = f" after {duration(run.ended - run.began)}" if run.began and run.ended else ""
    counts = Counter(OR_REUSED if task.note == OR_REUSED else task.state for task in run.tasks)
    tasks = ", ".join(f"{counts[state]} {word}" for state, word in COUNTED.items() if counts[state])
    return f"{run.name}: {run.word}{lasted}{f' ({tasks})' if tasks else ''}"


def print_end(run: Snapshot, watcher: Watcher, given_up: str = "") -> int:
    """Print why a run ended so, end MLflow's run of it, and return the command's exit code.

    `given_up` says why this process stopped the run, if it did.
    """
    failures = _failures(run, watcher)
    first = failures[0] if failures else None
    in_mlflow.close(
        watcher.run_id, run.word == "succeeded", run.word == "terminated",
        task=first.tasks[0].name if first and first.tasks else "", error=first.text if first else given_up,
    )  # fmt: skip
    _print_links(run, watcher)
    for failure in failures:
        _print_failure(failure)
    if message := (run.answer.get("error") or {}).get("message"):
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return int(run.word != "succeeded")


def _print_links(run: Snapshot, watcher: Watcher) -> None:
    print(f"KFP:    {watcher.connection.page('runs', watcher.run_id)}")
    if page := in_mlflow.page(run.answer):
        print(f"MLflow: {page}")


def _print_failure(failure: Failure) -> None:
    names = join_words([task.name for task in failure.tasks]) if failure.tasks else "the run"
    text = f": {failure.text.rstrip('.')}" if failure.text else ""
    lines = [f"error: {names} failed{text}. {failure.cure}".rstrip()]
    if failure.log:
        lines += [f"The log of {failure.tasks[0].name} ends:", *(f"    {line}" for line in failure.log)]
    if failure.note:
        lines.append(failure.note)
    print("\n".join(lines), file=sys.stderr)


def _failures(run: Snapshot, watcher: Watcher) -> list[Failure]:
    """Return what failed, tasks with the same reason together."""
    found: list[Failure] = []
    for task in (task for task in run.tasks if task.state == State.FAILED):
        failure = Failure([task], task.reason.text, task.reason.cure) if task.reason else Failure([task])
        is_new = failure.text not in [other.text for other in found]
        if not run.no_workflow and len(found) < MAX_LOGS and (_needs_log(task) or is_new):
            failure = _with_log(failure, watcher)
        if same := next((other for other in found if other.text == failure.text), None):
            same.tasks.append(task)
        else:
            found.append(failure)
    if run.word != "failed":
        return found
    if run.no_workflow:
        found = found or [Failure()]
        task_name, error = in_mlflow.failure(watcher.run_id)
        found[-1].note = f"MLflow has of {task_name or 'it'}: {error}" if error else run.no_workflow_line
    return found or [Failure(text=run.message)]


def _needs_log(task: TaskView) -> bool:
    """Return whether only the log says what went wrong."""
    return task.is_driver or task.reason is None or task.reason.text.startswith("exit code")


def _with_log(failure: Failure, watcher: Watcher) -> Failure:
    [task] = failure.tasks
    try:
        lines = watcher.kube.log(task.pod.pod if task.pod else "")
    except Unseen as error:
        return _without_log(failure, str(error), watcher)
    error_text = error_line(lines) if _needs_log(task) else ""
    text = f"{failure.text}: {error_text}" if error_text and task.is_driver else error_text or failure.text
    return replace(failure, text=text, log=last_lines(lines))


def _without_log(failure: Failure, why: str, watcher: Watcher) -> Failure:
    """Add where else the reason may be: in MLflow, or in the artifact store, where Argo keeps logs."""
    [task] = failure.tasks
    if _needs_log(task):
        task_name, error = in_mlflow.failure(watcher.run_id)
        if error and task_name in (task.stage, task.name):
            return replace(failure, text=f"{failure.text}; MLflow has of it: {error}")
    kept = f" Argo has put it into the artifact store: {task.pod.log}." if task.pod and task.pod.log else ""
    note = f"Its log cannot be read: {why}.{kept}" if kept or _needs_log(task) else ""
    return replace(failure, note=note)
