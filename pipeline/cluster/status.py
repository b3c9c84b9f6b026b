"""What `status` and `submit` print of a run: its tasks, how it ended, and why, as far as anyone can see it."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autoencoders.text import join_words
from pipeline.cluster import in_mlflow
from pipeline.cluster.kube import Unseen
from pipeline.cluster.look import OR_REUSED, Look, Watcher, stopped_at
from pipeline.cluster.reasons import error_line, last_lines
from pipeline.cluster.states import State, TaskView
from pipeline.cluster.times import clock, duration


def show(watcher: Watcher) -> int:
    """Print a run as it is now; returns 1 where it has ended without success, else 0."""
    look = watcher.look()
    print(_header(look))
    if description := look.run.get("description"):
        print(description)
    print()
    width = max((len(task.name) for task in look.tasks), default=0)
    for task in look.tasks:
        print(f"{task.name:{width}}  {task.told(look.at)}")
    print()
    for line in remarks(look):
        print(line)
    if not look.is_over:
        tell_links(look, watcher)
        return 0
    return tell_end(look, watcher)


def remarks(look: Look) -> list[str]:
    """Return what there is to say of a run that goes on: what to do, and what cannot be seen."""
    waiting = [task for task in look.tasks if task.state == State.WAITING]
    failed = [task for task in look.tasks if task.state == State.FAILED and not look.is_over]
    cures: dict[str, list[str]] = {}
    for task in (*failed, *waiting):
        if task.reason and task.reason.cure:
            cures.setdefault(task.reason.cure, []).append(task.name)
    lines = [f"{join_words(names)}: {cure}" for cure, names in cures.items()]
    if look.frozen:
        lines.append(frozen_line(look))
    elif look.doubtful:
        lines.append(doubt_line(look))
    elif look.is_behind:
        lines.append(behind_line(look))
    elif look.blind and (waiting or failed):
        lines.append(look.blind_line)
    return lines


def frozen_line(look: Look) -> str:
    """Return why KFP's list of tasks stands still, and what it does not hide."""
    assert look.frozen
    finished = len(look.listed.executions)
    count = f" {finished} tasks have finished, not counting reused ones." if finished else ""
    return (
        f"KFP's list of tasks has stood still since {clock(look.frozen)}: its server cannot read records of more than "
        f"1 MiB.{count} Argo's Workflow would show all, but {look.blind}."
    )


def behind_line(look: Look) -> str:
    """Return why KFP's list of tasks may not have the end of a run."""
    last = f" at {clock(look.listed.changed)}" if look.listed.changed else ""
    return (
        f"KFP's list of tasks ends{last}, before the run's end: it is late, or its server cannot read records of more "
        f"than 1 MiB. Argo's Workflow would show all, but {look.blind}."
    )


def doubt_line(look: Look) -> str:
    """Return why KFP's list of tasks may not be true any more."""
    assert look.doubtful
    return (
        f"KFP's list of tasks has not changed since {clock(look.doubtful)}. It may have stopped: KFP's server cannot "
        f"read records of more than 1 MiB. Argo's Workflow would tell, but {look.blind}."
    )


def _header(look: Look) -> str:
    if look.ended and look.began:
        return f"{look.name}: {look.word} at {clock(look.ended)}, after {duration(look.ended - look.began)}"
    since = stopped_at(look.run) or look.began
    return f"{look.name}: {look.word}{f' since {clock(since)}, {duration(look.at - since)}' if since else ''}"


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


def tell_end(look: Look, watcher: Watcher, given_up: str = "") -> int:
    """Print why a run ended so, bring MLflow's run of it to its end, and return the command's exit code.

    `given_up` says why, where this process stopped the run.
    """
    failures = _failures(look, watcher)
    first = failures[0] if failures else None
    in_mlflow.close(
        watcher.run_id, look.word == "succeeded", look.word == "terminated",
        task=first.tasks[0].name if first and first.tasks else "", error=first.text if first else given_up,
    )  # fmt: skip
    tell_links(look, watcher)
    for failure in failures:
        _tell(failure)
    if message := (look.run.get("error") or {}).get("message"):
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return int(look.word != "succeeded")


def tell_links(look: Look, watcher: Watcher) -> None:
    """Print the run's pages."""
    print(f"KFP:    {watcher.connection.page('runs', watcher.run_id)}")
    if page := in_mlflow.page(look.run):
        print(f"MLflow: {page}")


def summary(look: Look) -> str:
    """Return how a run ended, in one line."""
    lasted = f" after {duration(look.ended - look.began)}" if look.began and look.ended else ""
    counts = Counter(OR_REUSED if task.note == OR_REUSED else task.state for task in look.tasks)
    told = ", ".join(f"{counts[state]} {word}" for state, word in COUNTED.items() if counts[state])
    return f"{look.name}: {look.word}{lasted}{f' ({told})' if told else ''}"


def _failures(look: Look, watcher: Watcher) -> list[Failure]:
    """Return what failed, tasks with the same reason together."""
    found: list[Failure] = []
    for task in (task for task in look.tasks if task.state == State.FAILED):
        failure = Failure([task], task.reason.text, task.reason.cure) if task.reason else Failure([task])
        if (
            not look.blind
            and len(found) < MAX_LOGS
            and (_says_little(task) or failure.text not in [f.text for f in found])
        ):
            failure = _with_log(failure, watcher)
        if same := next((other for other in found if other.text == failure.text), None):
            same.tasks.append(task)
        else:
            found.append(failure)
    if not found and not look.blind and look.word == "failed":
        return [Failure(text=look.said)]
    if look.blind and look.word == "failed":
        found = found or [Failure()]
        task_name, said = in_mlflow.failure(watcher.run_id)
        found[-1].note = f"MLflow has of {task_name or 'it'}: {said}" if said else look.blind_line
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


def _tell(failure: Failure) -> None:
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
