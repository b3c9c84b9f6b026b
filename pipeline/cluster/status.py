"""What `status` prints: a run, all of its tasks, and what there is to know of those that wait or failed."""

from datetime import datetime

from autoencoders.text import join_words
from pipeline.cluster.ending import tell_end, tell_links
from pipeline.cluster.look import Look, Watcher, stopped_at
from pipeline.cluster.states import State
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
        return f"{look.name}: {look.word} at {clock(look.ended)}, after {_between(look.began, look.ended)}"
    since = stopped_at(look.run) or look.began
    return f"{look.name}: {look.word}{f' since {clock(since)}, {_between(since, look.at)}' if since else ''}"


def _between(start: datetime, end: datetime) -> str:
    return duration((end - start).total_seconds())
