"""Checkpoints: everything that a training needs to resume bit for bit, replaced atomically after each validation."""

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autoencoders.errors import UserError
from autoencoders.training.checkpoint_store import CheckpointStore, LocalStore, Unreachable, is_url
from autoencoders.training.handover import Handover, RunMarks
from autoencoders.training.object_store import ObjectStore
from autoencoders.training.other_checkpoints import Damaged, read, remove_old, warn_of_others

POLL_INTERVAL = 10.0  # seconds between two checks whether an equal training has ended
WARN_INTERVAL = 300.0  # seconds between two warnings that this training waits


class Checkpoint:
    """The state of a training, kept in a folder or under the URL of an object store, `where`.

    `identity`, a text, names all that the weights depend on; a training resumes only a checkpoint of its own identity.
    `owner` is the Kubeflow run of the training: equal trainings of several runs wait for each other.
    `limit`: no checkpoint of this training has more bytes.
    `run_id` returns the MLflow run of the training, which a resumed training joins.
    `warn` is called with warnings: of an unreachable store, which stops no training that has begun, of waiting, and of
    other checkpoints. `while_waiting` is called repeatedly while this training waits.
    """

    def __init__(self, where: Path | str, identity: str, owner: str | None = None, limit: int | None = None) -> None:
        self.store = open_store(where)
        self.identity = identity
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        self.name = f"{self.fingerprint[:16]}.pt"
        self.owner = owner
        self.limit = limit
        self.run_id: Callable[[], str | None] = lambda: None
        self.warn: Callable[[str], object] = lambda message: print(message, file=sys.stderr)
        self.while_waiting: Callable[[], object] = lambda: None
        self.runs = RunMarks(self.store, self.fingerprint[:16], alone=bool(owner) or isinstance(self.store, LocalStore))
        self._handover = Handover(self.store, self.fingerprint, owner) if owner else None
        self._away = False
        self._next_try = self._next_warning = 0.0

    def __str__(self) -> str:
        return f"{self.store}/{self.name}"

    def acquire(self) -> AbstractContextManager[None]:
        """Lock the store for this process; wait while another one trains the same model.

        Without an owner, raise `UserError` instead of waiting, and lock no object store.
        Raise `Unreachable` where an object store cannot be written to.
        """
        return self.store.acquire(self._wait, self.owner) if self.owner else self.store.acquire()

    def _wait(self, holder: str) -> None:
        assert self._handover
        self._handover.announce()
        if time.monotonic() >= self._next_warning:
            self.warn(f"{holder} is training the same model: waiting for it ({self.store})")
            self._next_warning = time.monotonic() + WARN_INTERVAL
        self.while_waiting()
        time.sleep(POLL_INTERVAL)

    def take_model(self, out: Path) -> bool:
        """Write the model of an equal training that this one waited for to `out`; return whether there is one."""
        return self._handover is not None and self._handover.take(out)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint atomically: a kill leaves the old one or the new one.

        Raise `UserError` where the disk is full. Warn once of an unreachable store, and retry after the next
        validation; after a slow failure retry later, so that an outage makes a training at most a tenth longer.
        """
        if time.monotonic() < self._next_try:
            return
        content = io.BytesIO()  # torch's own error on a full disk does not say so
        about = {"fingerprint": self.fingerprint, "identity": self.identity, "saved": time.time()}
        torch.save({**state, **about, "run_id": self.run_id()}, content)
        begun = time.monotonic()
        try:
            self.store.write(content.getvalue(), self.name)
        except Unreachable as error:  # hours of training are worth more than a checkpoint
            if not self._away:
                self.warn(f"warning: no checkpoint: {error} The training goes on, and will try again.")
            self._away = True
            failed = time.monotonic()
            self._next_try = failed + 10 * (failed - begun)
        else:
            self._away = False

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, its tensors on the CPU, or None where this training has no checkpoint.

        In the latter case, warn of checkpoints of other parameters; they are kept.
        Raise `UserError` where it is damaged, `Unreachable` where a store does not answer.
        """
        try:
            state = read(self.store, self.name, self.limit)
        except Damaged as error:
            raise UserError(f"{error} Delete it to train from the start.") from None
        if state and state["fingerprint"] == self.fingerprint:
            return state
        warn_of_others(self.store, self.name, self.identity, self.warn)
        return None

    def finish(self, model: Path) -> None:
        """Remove the checkpoint of a complete training; pass its folder `model` to equal trainings that wait."""
        try:
            if self._handover and self._handover.is_awaited():
                self._handover.leave(model)
        except (UserError, OSError) as error:
            self.warn(f"warning: equal trainings that wait will resume from this one's checkpoint: {error}")
            return
        try:
            self.store.remove(self.name)
            self.runs.forget()
            remove_old(self.store, self.warn, everything=self.owner is not None)
        except Unreachable as error:
            self.warn(f"warning: the checkpoint is left, though no longer needed: {error}")


def open_store(where: Path | str) -> CheckpointStore:
    """Return the store at a folder or a URL; raise `UserError` for a URL that nothing here can read."""
    return ObjectStore(where) if is_url(where) else LocalStore(Path(where))


def size_limit(model: nn.Module) -> int:
    """Return an upper bound of a checkpoint's bytes.

    Weights, the best weights and two moments are 4 times the model. Twice that is allowed, and 1 GiB for the history.
    """
    return 8 * sum(value.nbytes for value in model.state_dict().values()) + 2**30


def identity_of(description: Mapping[str, Any]) -> str:
    """Return all that the weights of a training depend on, from the `description` that begins `model.json`."""
    relevant = {key: description[key] for key in ("model", "shape", "dataset", "train", "hardware")}
    return json.dumps([relevant, torch.__version__, sys.platform], sort_keys=True)
