"""What every place for a checkpoint has in common."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from autoencoders.errors import UserError

FILE = "last.pt"
"""Name of the checkpoint."""
Wait = Callable[[str], object]


class Unreachable(UserError):
    """An object store does not take, give or remove a checkpoint: it is away, or refuses."""


class Place(Protocol):
    """What `Checkpoint` needs: a few files by their names; `str` of it says where the checkpoint is."""

    def locked(self, wait: Wait | None = None, owner: str = "") -> AbstractContextManager[None]:
        """Make the place ready, and hold it for `owner` while a model is trained.

        Where another process holds it, call `wait` with who that is, again and again until it does not.
        """

    def open(self, name: str = FILE) -> BinaryIO | None:
        """Return what was written last, or None."""

    def write(self, content: bytes, name: str = FILE) -> None:
        """Replace what was written last; a kill at any moment leaves the old content or the new, never half of it."""

    def remove(self, name: str = FILE) -> None:
        """Remove what was written, if anything was."""

    def names(self) -> list[str]:
        """Return what there is."""
