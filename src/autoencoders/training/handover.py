"""Files that a training leaves beside its checkpoint: its model for equal trainings that wait, and marks of its runs.

Of two equal trainings at once, the second waits for the first and takes over its model. It announces that in a file
beside the checkpoint. The first, once complete, leaves its model there, and the last one to take it removes it.
"""

import hashlib
import io
import json
import os
import socket
import time
import zipfile
from contextlib import suppress
from pathlib import Path

from autoencoders.errors import UserError
from autoencoders.files.results import atomic_folder, is_running
from autoencoders.training.checkpoint_store import CheckpointStore, Unreachable

WAITING, RUN = ".waiting", ".run"  # suffixes of announcements, and of marks of MLflow runs
MAX_AGE = 600.0  # seconds for which an announcement holds; a waiting training renews it, a killed one cannot


class Handover:
    """Passes a trained model from one training to an equal one of another Kubeflow run, by way of `store`.

    `fingerprint` is the hash of all that the weights depend on: equal trainings have the same.
    """

    def __init__(self, store: CheckpointStore, fingerprint: str, owner: str) -> None:
        self._store = store
        self._mark = fingerprint[:16]
        self._model = f"{self._mark}.zip"
        self._own = f"{self._mark}.{hashlib.sha256(owner.encode()).hexdigest()[:16]}{WAITING}"

    def announce(self) -> None:
        """Announce that this training waits."""
        with suppress(FileNotFoundError, Unreachable):  # the first has just ended, and its folder is gone
            self._store.write(str(time.time()).encode(), self._own)

    def is_awaited(self) -> bool:
        """Return whether other trainings wait for the model; announcements that nobody renews are removed."""
        awaited = False
        for name in self._store.names():
            if name.startswith(self._mark) and name.endswith(WAITING) and name != self._own:
                if self._is_fresh(name):
                    awaited = True
                else:
                    self._store.remove(name)
        return awaited

    def leave(self, folder: Path) -> None:
        """Leave the trained model in `folder` for those that wait for it."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
        self._store.write(content.getvalue(), self._model)

    def take(self, out: Path) -> bool:
        """Write the model that an equal training has left to `out`, and stop waiting; return whether there was one.

        Ignore a model for which nobody waits: reusing earlier trainings is the job of Kubeflow's cache.
        """
        waited = self._own in self._store.names() or self.is_awaited()
        content = self._store.open(self._model) if waited else None
        if content:
            with content, zipfile.ZipFile(content) as archive, atomic_folder(out) as draft:
                archive.extractall(draft)
        self._store.remove(self._own)
        if not self.is_awaited():  # checked last: of two that take it at once, each has seen the other's announcement
            self._store.remove(self._model)
        return content is not None

    def _is_fresh(self, name: str) -> bool:
        content = self._store.open(name)
        if content is None:  # it has just been taken back
            return False
        with content, suppress(ValueError):
            return time.time() - float(content.read()) < MAX_AGE
        return False


class RunMarks:
    """Marks beside a checkpoint: one for each MLflow run that a training reports to, until the run ends.

    `training` is a hash that equal trainings share.
    `alone`: this process has locked the store, so that processes of other marks have ended. Without a lock, as in an
    object store without a lease, that is known only of processes of this machine.
    """

    def __init__(self, store: CheckpointStore, training: str, alone: bool) -> None:
        self._store = store
        self._training = training
        self._alone = alone

    def mark(self, run_id: str) -> None:
        """Note that this training reports to a run; a mark that cannot be written stops no training."""
        with suppress(UserError, OSError):
            holder = {"host": socket.gethostname(), "process": os.getpid()}
            self._store.write(json.dumps(holder).encode(), f"{self._training}.{run_id}{RUN}")

    def unmark(self, run_id: str) -> None:
        """Note that a run has ended."""
        with suppress(UserError, OSError):
            for name in self._names(run_id):
                self._store.remove(name)

    def forget(self) -> None:
        """Remove all marks: the model is stored, and `publish` records what MLflow lacks."""
        with suppress(UserError, OSError):
            for name in self._names():
                if self._alone or name.startswith(self._training):
                    self._store.remove(name)

    def abandoned(self) -> list[str]:
        """Return the runs whose trainings were killed: the next training ends them in MLflow."""
        with suppress(UserError, OSError):
            gone = [name for name in self._names() if self._alone or self._is_gone(name)]
            return [name.removesuffix(RUN).rpartition(".")[2] for name in gone]
        return []

    def _names(self, run_id: str = "") -> list[str]:
        return [name for name in self._store.names() if name.endswith(f"{run_id}{RUN}")]

    def _is_gone(self, name: str) -> bool:
        try:
            content = self._store.open(name, limit=10_000)
            holder = json.loads(content.read()) if content else {}
            return holder.get("host") == socket.gethostname() and not is_running(int(holder["process"]))
        except Exception:  # a damaged mark
            return False
