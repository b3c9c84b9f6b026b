"""Checkpoints: everything needed to go on as though nothing had happened, replaced atomically after each epoch."""

import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from autoencoders.data.files import disk_errors
from autoencoders.errors import UserError


class Checkpoint:
    """One file in a folder of its own, beside a lock that keeps a second process out.

    `fingerprint` names all that the weights depend on; a checkpoint with another one is not resumed.
    `run_id` returns the MLflow run that the training reports to, so that a resumed training goes on reporting there.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.path = folder / "last.pt"
        self.run_id: Callable[[], str | None] = lambda: None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; raises `UserError` where another one trains the same model."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                raise UserError(
                    f"process {handle.read().strip() or '?'} is already training {self.folder.name}. "
                    "Wait for it to end, or stop it, then run again: training resumes where it stopped."
                ) from None
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one, never half of one.

        Raises `UserError` where the disk is full.
        """
        content = io.BytesIO()  # torch's own writing to a full disk ends in an error that does not say so
        torch.save({**state, "fingerprint": self.fingerprint, "run_id": self.run_id()}, content)
        partial = self.path.with_suffix(".partial")
        try:
            with disk_errors(self.folder):
                partial.write_bytes(content.getbuffer())
                partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the saved state, or None where there is none of this fingerprint."""
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
        except Exception as error:  # whatever a damaged file makes torch raise
            raise UserError(f"{self.path} is damaged ({error}). Delete it to train from the start.") from error
        return state if state.get("fingerprint") == self.fingerprint else None

    def discard(self) -> None:
        """Remove the checkpoint: the training that it belonged to is complete and stored."""
        self.path.unlink(missing_ok=True)
