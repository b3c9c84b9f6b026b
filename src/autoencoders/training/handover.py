"""Two equal trainings at once: the second waits for the first, and then has the model that the first has trained.

It announces itself, in a file beside the checkpoint, before it waits. The first, once it is done, leaves its model
there for those that wait; the last of them removes it.
"""

import hashlib
import io
import time
import zipfile
from contextlib import suppress
from pathlib import Path

from autoencoders.files.results import atomic_folder
from autoencoders.training.place import Place, Unreachable

WAITING = ".waiting"
FRESH = 600.0
"""Seconds for which an announcement holds: whoever waits renews it, and who was killed must not keep a model here."""


class Handover:
    """What a training of the Kubeflow run `owner` hands over, or is handed, by way of `place`.

    `fingerprint` names all that the weights depend on: only equal trainings have to do with each other.
    """

    def __init__(self, place: Place, fingerprint: str, owner: str) -> None:
        self._place = place
        self._mark = fingerprint[:16]
        self._model = f"{self._mark}.zip"
        self._own = f"{self._mark}.{hashlib.sha256(owner.encode()).hexdigest()[:16]}{WAITING}"

    def announce(self) -> None:
        """Say that this training waits."""
        with suppress(FileNotFoundError, Unreachable):  # the first has just ended, and its folder is gone
            self._place.write(str(time.time()).encode(), self._own)

    def is_awaited(self) -> bool:
        """Tell whether other trainings wait for the model; announcements that nobody renews are removed."""
        awaited = False
        for name in self._place.names():
            if name.startswith(self._mark) and name.endswith(WAITING) and name != self._own:
                if self._is_fresh(name):
                    awaited = True
                else:
                    self._place.remove(name)
        return awaited

    def leave(self, folder: Path) -> None:
        """Leave the trained model in `folder` to those that wait for it."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
        self._place.write(content.getvalue(), self._model)

    def take(self, out: Path) -> bool:
        """Write the model that an equal training has left to `out`, if it has left one; this one waits no longer.

        A model that nobody waits for any more is none: what was trained long ago is for Kubeflow's cache to know.
        """
        waited = self._own in self._place.names() or self.is_awaited()
        content = self._place.open(self._model) if waited else None
        if content:
            with content, zipfile.ZipFile(content) as archive, atomic_folder(out) as draft:
                archive.extractall(draft)
        self._place.remove(self._own)
        if not self.is_awaited():  # asked after, since two may take it at once: then each has seen the other before
            self._place.remove(self._model)
        return content is not None

    def _is_fresh(self, name: str) -> bool:
        content = self._place.open(name)
        if content is None:  # it has just been taken back
            return False
        with content, suppress(ValueError):
            return time.time() - float(content.read()) < FRESH
        return False
