"""Where a checkpoint is kept: in a folder, on this machine or a volume, or in an object store."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeGuard

from autoencoders.errors import UserError, first_line, without_password
from autoencoders.training.folder import Folder
from autoencoders.training.lease import Lease
from autoencoders.training.place import Place, TooLarge, Unreachable, Wait

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PROBE = "probe"
S3 = ("s3", "s3a")
ANSWER = 30.0
"""Seconds within which a store must have answered."""
SLOWEST = 1e6
"""Bytes a second of an upload that is waited for."""
DOWNLOAD = 1800.0
"""Seconds for a download."""


def is_url(where: Path | str) -> TypeGuard[str]:
    """Tell the URL of an object store from the path of a folder."""
    return isinstance(where, str) and "://" in where


def beneath(root: Path | str, name: str) -> Path | str:
    """Return the folder, or the URL, `name` in `root`; raises `UserError` for a URL without a bucket."""
    return f"{_url(root)}/{name}" if is_url(root) else Path(root) / name


def place(where: Path | str) -> Place:
    """Return the place at a folder or a URL; raises `UserError` for a URL that nothing here can read."""
    return Objects(where) if is_url(where) else Folder(Path(where))


class Objects:
    """Objects beneath a URL, such as s3://bucket/prefix: of S3, or of another store whose fsspec package is there.

    A store replaces an object as a whole or not at all. What it does not do raises `Unreachable`, in one line that
    holds no password.
    """

    def __init__(self, url: str) -> None:
        self.url = _url(url)
        self.name = self.url.rpartition("/")[2]
        self._store, path = _store(self.url)
        self._prefix = f"{path}/"

    def __str__(self) -> str:
        return without_password(self.url)

    @contextmanager
    def locked(self, wait: Wait | None = None, owner: str = "") -> Iterator[None]:
        """See that the store takes objects and gives them up, before hours are spent, and hold a lease there.

        Without `wait` there is no lease: after a process that was killed, it would keep the next one waiting. Two
        trainings with one URL, if they are the same, write the same; if not, each has a checkpoint of its own.
        """
        with self._asked(_what_helps(self.url)):
            probe = self._prefix + PROBE
            self._call(ANSWER, "pipe_file", probe, b"probe")
            with suppress(FileNotFoundError):  # another training, which looks at the same time, removed it
                self._call(ANSWER, "rm_file", probe)
        with Lease(self, owner).held(wait) if wait else nullcontext():
            yield

    def open(self, name: str, limit: int | None = None) -> BinaryIO | None:
        """Return an object's content, or None where there is none."""
        with self._asked(_what_helps(self.url)):
            try:
                if limit is not None and (size := self._size(name)) > limit:
                    raise TooLarge(size, limit)
                return io.BytesIO(self._call(DOWNLOAD, "cat_file", self._prefix + name))
            except FileNotFoundError:
                return None

    def write(self, content: bytes, name: str) -> None:
        """Replace an object."""
        with self._asked():
            self._call(ANSWER + len(content) / SLOWEST, "pipe_file", self._prefix + name, content)

    def remove(self, name: str) -> None:
        """Remove an object."""
        with self._asked(), suppress(FileNotFoundError):
            self._call(ANSWER, "rm_file", self._prefix + name)

    def names(self) -> list[str]:
        """Return the names of all objects."""
        with self._asked():
            self._store.invalidate_cache()  # of lists: others write here, too
            return [path.removeprefix(self._prefix) for path in self._call(ANSWER, "find", self._prefix)]

    def _size(self, name: str) -> int:
        self._store.invalidate_cache()
        return int(self._call(ANSWER, "info", self._prefix + name)["size"] or 0)

    @contextmanager
    def _asked(self, what_helps: str = "") -> Iterator[None]:
        try:
            yield
        except TooLarge:
            raise
        except Exception as error:  # the clients of the many stores have no error in common
            late = isinstance(error, TimeoutError) and not str(error)
            reason = "no answer in time" if late else first_line(error).rstrip(".")
            raise Unreachable(f"{self}: {reason}.{what_helps}") from None

    def _call(self, seconds: float, method: str, *arguments: Any) -> Any:
        """Call the client, and give up after `seconds`: S3's waits for ever for a store that only takes connections."""
        if not self._store.async_impl:
            return getattr(self._store, method)(*arguments)
        from fsspec.asyn import sync

        return sync(self._store.loop, getattr(self._store, f"_{method}"), *arguments, timeout=seconds)


def _url(text: str) -> str:
    if re.match(r"(?!file:|local:)[a-z][a-z0-9+.-]*://[^/]", text):
        return text.rstrip("/")
    raise UserError(
        f"{without_password(text)} is not in an object store. Name a folder by its path, a store as s3://bucket/prefix."
    )


def _store(url: str) -> "tuple[AbstractFileSystem, str]":
    """Return the client of a URL's store and the URL's path in it; imported here, since it takes half a second."""
    from fsspec.core import url_to_fs

    shown, scheme = without_password(url), url.partition("://")[0]
    try:
        return url_to_fs(url, **(_options_of_s3() if scheme in S3 else {}))
    except ImportError as error:
        raise UserError(f"{shown} needs a package that is missing: {first_line(error)}.") from None
    except Exception as error:  # an unknown scheme, or something wrong in a URL of a known one
        raise UserError(f"{shown} is no URL of an object store: {first_line(error)}.") from None


def _options_of_s3() -> dict[str, Any]:
    """Return where S3 is, and how to read: MLflow's variable stands before AWS', which the client reads itself."""
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL")
    once = {"max_concurrency": 1}  # one GET: parts that are fetched one by one could be of two checkpoints
    return {**once, "endpoint_url": endpoint} if endpoint else once


def _what_helps(url: str) -> str:
    variables = "MLFLOW_S3_ENDPOINT_URL or AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    of_s3 = f"; for S3, {variables} say where and as whom" if url.startswith(S3) else ""
    return f" See that the store answers, and lets objects be read, written and deleted there{of_s3}."
