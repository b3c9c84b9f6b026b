"""How a run ended: in one line, with links, and why, as far as anyone can see it."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autoencoders.text import join_words
from pipeline.cluster import in_mlflow
from pipeline.cluster.kube import Unseen
from pipeline.cluster.logs import error_line, last_lines
from pipeline.cluster.look import OR_REUSED, Look, Watcher
from pipeline.cluster.states import State, TaskView
from pipeline.cluster.times import duration

FEW = 3
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
    lasted = f" after {duration((look.ended - look.began).total_seconds())}" if look.began and look.ended else ""
    counts = Counter(OR_REUSED if task.note == OR_REUSED else task.state for task in look.tasks)
    told = ", ".join(f"{counts[state]} {word}" for state, word in COUNTED.items() if counts[state])
    return f"{look.name}: {look.word}{lasted}{f' ({told})' if told else ''}"


def _failures(look: Look, watcher: Watcher) -> list[Failure]:
    """Return what failed, tasks with the same reason together."""
    found: list[Failure] = []
    for task in (task for task in look.tasks if task.state == State.FAILED):
        failure = Failure([task], task.reason.text, task.reason.cure) if task.reason else Failure([task])
        if not look.blind and len(found) < FEW and (_says_little(task) or failure.text not in [f.text for f in found]):
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
