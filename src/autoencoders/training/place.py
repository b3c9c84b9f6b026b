"""What every place for a checkpoint has in common."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from autoencoders.errors import UserError

Wait = Callable[[str], object]


class Unreachable(UserError):
    """An object store does not take, give or remove a checkpoint: it is away, or refuses."""


class TooLarge(Exception):
    """What there is under a name is larger than what is expected there."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"it has {size / 1e6:,.0f} MB, where {limit / 1e6:,.0f} MB are the most")


class Place(Protocol):
    """What `Checkpoint` needs: a few files by their names; `str` of it says where they are."""

    name: str
    """The last part of where: a model's name."""

    def locked(self, wait: Wait | None = None, owner: str = "") -> AbstractContextManager[None]:
        """Make the place ready, and hold it for `owner` while a model is trained.

        Where another process holds it, call `wait` with who that is, again and again until it does not.
        """

    def open(self, name: str, limit: int | None = None) -> BinaryIO | None:
        """Return what was written last, or None; raises `TooLarge`, unread, where it has more than `limit` bytes."""

    def write(self, content: bytes, name: str) -> None:
        """Replace what was written last; a kill at any moment leaves the old content or the new, never half of it."""

    def remove(self, name: str) -> None:
        """Remove what was written, if anything was."""

    def names(self) -> list[str]:
        """Return what there is."""
