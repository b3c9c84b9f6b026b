"""Where checkpoints are kept: the interface of a store, and the store in a folder."""

import fcntl
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Protocol, TypeGuard

from autoencoders.errors import UserError, without_password
from autoencoders.files.results import disk_errors

Wait = Callable[[str], object]
PARTIAL = ".partial"  # suffix of a file that is being written


class Unreachable(UserError):
    """An object store does not answer, or refuses to take, give or remove an object."""


class TooLarge(Exception):
    """A stored file is larger than its limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"it has {size / 1e6:,.0f} MB, where {limit / 1e6:,.0f} MB are the most")


class CheckpointStore(Protocol):
    """A few files by their names; `str` of a store returns its path or URL."""

    name: str  # the last part of the path or URL: a model's name

    def acquire(self, wait: Wait | None = None, owner: str = "") -> AbstractContextManager[None]:
        """Prepare the store, and lock it for `owner` while a model is trained.

        While another process holds it, call `wait` repeatedly with that process's description.
        """

    def open(self, name: str, limit: int | None = None) -> BinaryIO | None:
        """Return a file, or None where there is none; raise `TooLarge`, unread, above `limit` bytes."""

    def write(self, content: bytes, name: str) -> None:
        """Replace a file; a kill at any moment leaves the old content or the new, never half of it."""

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""

    def names(self) -> list[str]:
        """Return the names of all files."""


def is_url(path: Path | str) -> TypeGuard[str]:
    """Return whether `path` is the URL of an object store, and not the path of a folder."""
    return isinstance(path, str) and "://" in path


def join_path(root: Path | str, name: str) -> Path | str:
    """Return the path, or the URL, of `name` in `root`; raise `UserError` for a URL without a bucket."""
    return f"{checked_url(root)}/{name}" if is_url(root) else Path(root) / name


def checked_url(text: str) -> str:
    """Return a URL without a slash at its end; raise `UserError` where it names no object store."""
    if re.match(r"(?!file:|local:)[a-z][a-z0-9+.-]*://[^/]", text):
        return text.rstrip("/")
    raise UserError(
        f"{without_password(text)} is not in an object store. Name a folder by its path, a store as s3://bucket/prefix."
    )


class LocalStore:
    """Files in a folder, on this machine or on a shared volume, with a lock file against a second process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._lock = folder / "lock"

    def __str__(self) -> str:
        return str(self.folder)

    @contextmanager
    def acquire(self, wait: Wait | None = None, owner: str = "") -> Iterator[None]:
        """Lock the folder for this process, and remove it afterwards if nothing but the lock is left in it.

        Raise `UserError` where another process trains the same model and there is no `wait`.
        """
        with self._locked(wait):
            try:
                yield
            finally:
                self._tidy_up()

    def _tidy_up(self) -> None:
        names = [name for name in self.names() if not name.endswith(PARTIAL)]
        if names == [self._lock.name]:
            with suppress(OSError):  # another process has just opened the lock, or announced that it waits
                for path in self.folder.iterdir():
                    path.unlink()
                self.folder.rmdir()

    def _locked(self, wait: Wait | None) -> IO[str]:
        while True:
            handle = self._opened_lock()
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(handle, self._lock):
                    handle.truncate(0)
                    handle.write(f"{os.getpid()}\n{socket.gethostname()}" if wait else str(os.getpid()))
                    handle.flush()
                    return handle
                handle.close()  # its holder has removed it: it locks nothing
            except BlockingIOError:
                handle.seek(0)
                process, _, host = handle.read().partition("\n")
                handle.close()
                if wait is None:
                    raise UserError(
                        f"process {process.strip() or '?'} is already training {self.folder.name}. "
                        "Wait for it to end, or stop it, then run again: training resumes where it stopped."
                    ) from None
                wait(f"process {process or '?'} on {host or '?'}")

    def _opened_lock(self) -> IO[str]:
        while True:
            with suppress(FileNotFoundError):  # another process has just removed the folder
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    return self._lock.open("a+")
                except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                    raise UserError(
                        f"checkpoints cannot be kept in {self.folder}: {error.filename} is in the way. Remove it."
                    ) from None

    def open(self, name: str, limit: int | None = None) -> BinaryIO | None:
        """Return a file, opened, or None where there is none; raise `OSError` where it is something else."""
        path = self.folder / name
        if not path.exists():
            return None
        if not path.is_file():
            raise OSError("it is a folder" if path.is_dir() else "it is no file")
        if limit is not None and (size := path.stat().st_size) > limit:
            raise TooLarge(size, limit)
        return path.open("rb")

    def write(self, content: bytes, name: str) -> None:
        """Replace a file; raise `UserError` where the disk is full."""
        partial = self.folder / f"{name}{PARTIAL}"
        try:
            with disk_errors(self.folder):
                partial.write_bytes(content)
                partial.replace(self.folder / name)
        finally:
            partial.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file, and the partial file that a kill may have left."""
        for path in (self.folder / name, self.folder / f"{name}{PARTIAL}"):
            path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all files, the lock's among them."""
        return [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []


def _is_at(handle: IO[str], path: Path) -> bool:
    """Return whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except OSError:  # it is gone; on a network file system fstat of an open file fails, too
        return False
