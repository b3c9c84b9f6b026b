"""Runs of MLflow that a killed training has left running: who trains next ends them."""

import json
import os
import socket
from contextlib import suppress

from autoencoders.errors import UserError
from autoencoders.files.results import is_running
from autoencoders.training.place import Place

ENDING = ".run"


class LeftRuns:
    """Marks beside a checkpoint, one for each run that a training there reports to, from its beginning to its end.

    `training`, a hash, tells equal trainings from others.
    `alone`: the place is held by this process, so that whoever made another mark is no more. Where it is not, as in an
    object store without a lease, only a process of this machine is known to be gone.
    """

    def __init__(self, place: Place, training: str, alone: bool) -> None:
        self._place = place
        self._training = training
        self._alone = alone

    def mark(self, run_id: str) -> None:
        """Say that this training reports to a run; what cannot be written costs no training."""
        with suppress(UserError, OSError):
            who = {"host": socket.gethostname(), "process": os.getpid()}
            self._place.write(json.dumps(who).encode(), f"{self._training}.{run_id}{ENDING}")

    def unmark(self, run_id: str) -> None:
        """Say that a run has ended."""
        with suppress(UserError, OSError):
            for name in self._names(run_id):
                self._place.remove(name)

    def forget(self) -> None:
        """Remove all marks that nobody needs: the model is stored, and what MLflow lacks is for `publish`."""
        with suppress(UserError, OSError):
            for name in self._names():
                if self._alone or name.startswith(self._training):
                    self._place.remove(name)

    def left(self) -> list[str]:
        """Return the runs whose trainings are no more."""
        with suppress(UserError, OSError):
            gone = [name for name in self._names() if self._alone or self._is_gone(name)]
            return [name.removesuffix(ENDING).rpartition(".")[2] for name in gone]
        return []

    def _names(self, run_id: str = "") -> list[str]:
        return [name for name in self._place.names() if name.endswith(f"{run_id}{ENDING}")]

    def _is_gone(self, name: str) -> bool:
        try:
            content = self._place.open(name, limit=10_000)
            who = json.loads(content.read()) if content else {}
            if not isinstance(who, dict) or who.get("host") != socket.gethostname():
                return False
            return not is_running(int(who["process"]))
        except Exception:  # a mark that says nothing
            return False
