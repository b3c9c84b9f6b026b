"""Reading checkpoints; warning of those of other parameters, and removing old ones."""

import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

import torch

from autoencoders.errors import UserError
from autoencoders.training.checkpoint_store import CheckpointStore, TooLarge, Unreachable
from autoencoders.training.handover import WAITING

SUFFIX = ".pt"
MAX_KEPT = 3
MAX_DAYS = 30
"""How many checkpoints of other parameters are kept when a training is complete, and for how long."""
MAX_BYTES = 2**32  # size up to which a checkpoint is read for a warning
MAX_DIFFERENCES = 5  # differences that a warning names
State = dict[str, Any]


class Damaged(UserError):
    """A file is no checkpoint that can be read."""


def read(store: CheckpointStore, name: str, limit: int | None = None) -> State | None:
    """Return the checkpoint `name`, its tensors on the CPU, or None where there is none.

    Raise `Damaged` where it is unreadable or has more than `limit` bytes; `Unreachable` where a store does not answer.
    """
    try:
        content = store.open(name, limit)
        if content is None:
            return None
        with content, warnings.catch_warnings(action="ignore"):
            state = torch.load(content, map_location="cpu", weights_only=True)
    except Unreachable:
        raise
    except TooLarge as error:
        raise Damaged(f"{store}/{name} is too large ({error}).") from None
    except OSError as error:
        raise Damaged(f"{store}/{name} is damaged ({error}).") from None
    except Exception:  # torch's own messages have several lines, and advise to trust the file
        raise Damaged(f"{store}/{name} is damaged.") from None
    if not isinstance(state, dict) or not isinstance(state.get("fingerprint"), str) or _step(state) is None:
        raise Damaged(f"{store}/{name} is damaged, or of an earlier version (it holds no training's step).")
    return state


def _step(state: State) -> int | None:
    progress = state.get("progress")
    step = progress.get("step") if isinstance(progress, dict) else None
    return step if isinstance(step, int) and step >= 0 else None


def warn_of_others(store: CheckpointStore, own: str, identity: str, warn: Callable[[str], object]) -> None:
    """Warn of each checkpoint except `own`, with its step and how its identity differs from `identity`."""
    for name, state in _others(store, own):
        if isinstance(state, Damaged):
            warn(f"{state} It is of other parameters, and not used.")
            continue
        differs = _differences(str(state.get("identity", "")), identity, store.name)
        warn(
            f"a checkpoint at step {_step(state)} is there ({store}/{name}), which {differs}, and is not used. "
            "It is kept: set these values again to resume from it."
        )


def remove_old(store: CheckpointStore, warn: Callable[[str], object], everything: bool = False) -> None:
    """Remove checkpoints of other parameters except the newest `MAX_KEPT` of at most `MAX_DAYS` days; warn of each.

    With `everything`, as in a cluster where results are in Kubeflow's cache, keep only those of trainings that wait.
    """
    others = sorted(_others(store), key=lambda other: _saved(other[1]), reverse=True)
    waiting = [name for name in store.names() if name.endswith(WAITING)] if everything and others else []
    for number, (name, state) in enumerate(others):
        days = (time.time() - _saved(state)) / 86400
        if everything:
            awaited = any(waiter.startswith(PurePath(name).stem) for waiter in waiting)
            why = "" if awaited else "the training is complete"
        else:
            old = f"it is older than {MAX_DAYS} days" if _saved(state) > 0 and days > MAX_DAYS else ""
            why = old or (f"the newest {MAX_KEPT} are kept" if number >= MAX_KEPT else "")
        if why:
            store.remove(name)
            warn(f"removed {store}/{name}, a checkpoint of other parameters: {why}")


def _others(store: CheckpointStore, own: str = "") -> Iterator[tuple[str, State | Damaged]]:
    """Yield the checkpoints except `own`; none where the store does not answer."""
    try:
        names = sorted(name for name in store.names() if name.endswith(SUFFIX) and name != own)
    except Unreachable:
        return
    for name in names:
        try:
            if state := read(store, name, MAX_BYTES):
                yield name, state
        except Damaged as error:
            yield name, error
        except Unreachable:
            continue


def _saved(state: State | Damaged) -> float:
    saved = state.get("saved") if isinstance(state, dict) else None
    return float(saved) if isinstance(saved, int | float) else 0.0


def _differences(other: str, own: str, model: str) -> str:
    """Return how two identities differ, such as `differs in train.steps (3000, now 4000)`."""
    try:
        then, now = (_flat(json.loads(text), model) for text in (other, own))
    except (ValueError, TypeError, KeyError):
        return "does not say with which parameters it was made"
    found = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if not found:
        return "differs in how its parameters are written"
    shown = [f"{key} ({_value(then.get(key))}, now {_value(now.get(key))})" for key in found[:MAX_DIFFERENCES]]
    more = [f"{len(found) - MAX_DIFFERENCES} more"] if len(found) > MAX_DIFFERENCES else []
    return f"differs in {', '.join([*shown, *more])}"


def _flat(identity: Any, model: str) -> dict[str, Any]:
    """Return an identity as a flat dictionary by the names that users know; `train` includes a model's overrides."""
    relevant, torch_version, platform = identity
    data = relevant["dataset"]
    return {
        **{f"models.{model}.{key}": value for key, value in relevant["model"].items() if key != "train"},
        **{f"train.{key}": value for key, value in (relevant["train"] or {}).items()},
        "data.name": data["name"],
        "the images' hash": data["content_hash"][:12],
        "the images' shape": relevant["shape"],
        "hardware": relevant["hardware"],
        "torch": torch_version,
        "platform": platform,
    }


def _value(value: Any) -> str:
    return "none" if value is None else str(value)
