"""The checkpoint store under a prefix of an object store, and its lease."""

import io
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from autoencoders.errors import UserError, first_line, without_password
from autoencoders.training.checkpoint_store import CheckpointStore, TooLarge, Unreachable, Wait, checked_url

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PROBE = "probe"
S3 = ("s3", "s3a")
REQUEST_TIMEOUT = 30.0  # seconds within which a store must answer
MIN_UPLOAD_RATE = 1e6  # bytes per second; a slower upload is cancelled
DOWNLOAD_TIMEOUT = 1800.0  # seconds
LEASE = "lease.json"
RENEW_INTERVAL = 30.0  # seconds between two renewals of a lease
LEASE_TIMEOUT = 180.0  # seconds without a renewal after which a lease has expired


class ObjectStore:
    """Objects under a URL such as s3://bucket/prefix, in S3 or any store whose fsspec package is installed.

    Stores replace objects atomically. All methods raise `Unreachable` where the store does not answer or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = checked_url(url)
        self.name = self.url.rpartition("/")[2]
        self._store, path = _store(self.url)
        self._prefix = f"{path}/"

    def __str__(self) -> str:
        return without_password(self.url)

    @contextmanager
    def acquire(self, wait: Wait | None = None, owner: str = "") -> Iterator[None]:
        """Check that objects can be written and removed, before hours are spent, and hold a lease.

        Without `wait` there is no lease: the lease of a killed process would block the next one. Two equal trainings
        with one URL write the same checkpoint; others write checkpoints of other names.
        """
        with self._asked(_what_helps(self.url)):
            probe = self._prefix + PROBE
            self._call(REQUEST_TIMEOUT, "pipe_file", probe, b"probe")
            with suppress(FileNotFoundError):  # another training, which checks at the same time, removed it
                self._call(REQUEST_TIMEOUT, "rm_file", probe)
        with Lease(self, owner).held(wait) if wait else nullcontext():
            yield

    def open(self, name: str, limit: int | None = None) -> BinaryIO | None:
        """Return an object's content, or None where there is none."""
        with self._asked(_what_helps(self.url)):
            try:
                if limit is not None and (size := self._size(name)) > limit:
                    raise TooLarge(size, limit)
                return io.BytesIO(self._call(DOWNLOAD_TIMEOUT, "cat_file", self._prefix + name))
            except FileNotFoundError:
                return None

    def write(self, content: bytes, name: str) -> None:
        """Replace an object."""
        with self._asked():
            self._call(REQUEST_TIMEOUT + len(content) / MIN_UPLOAD_RATE, "pipe_file", self._prefix + name, content)

    def remove(self, name: str) -> None:
        """Remove an object."""
        with self._asked(), suppress(FileNotFoundError):
            self._call(REQUEST_TIMEOUT, "rm_file", self._prefix + name)

    def names(self) -> list[str]:
        """Return the names of all objects."""
        with self._asked():
            self._store.invalidate_cache()  # of lists: others write here, too
            return [path.removeprefix(self._prefix) for path in self._call(REQUEST_TIMEOUT, "find", self._prefix)]

    def _size(self, name: str) -> int:
        self._store.invalidate_cache()
        return int(self._call(REQUEST_TIMEOUT, "info", self._prefix + name)["size"] or 0)

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
        """Call the client, for at most `seconds`: S3's waits forever for a store that accepts connections only."""
        if not self._store.async_impl:
            return getattr(self._store, method)(*arguments)
        from fsspec.asyn import sync

        return sync(self._store.loop, getattr(self._store, f"_{method}"), *arguments, timeout=seconds)


def _store(url: str) -> "tuple[AbstractFileSystem, str]":
    """Return the client of a URL's store, and the path in it; the import takes half a second."""
    from fsspec.core import url_to_fs

    shown, scheme = without_password(url), url.partition("://")[0]
    try:
        return url_to_fs(url, **(_options_of_s3() if scheme in S3 else {}))
    except ImportError as error:
        raise UserError(f"{shown} needs a package that is missing: {first_line(error)}.") from None
    except Exception as error:  # an unknown scheme, or something wrong in a URL of a known one
        raise UserError(f"{shown} is no URL of an object store: {first_line(error)}.") from None


def _options_of_s3() -> dict[str, Any]:
    """Return options for S3; MLflow's variable overrides that of AWS, which the client reads itself."""
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL")
    once = {"max_concurrency": 1}  # one GET: parts fetched separately could belong to two checkpoints
    return {**once, "endpoint_url": endpoint} if endpoint else once


def _what_helps(url: str) -> str:
    variables = "MLFLOW_S3_ENDPOINT_URL or AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    of_s3 = f"; for S3, {variables} say where and as whom" if url.startswith(S3) else ""
    return f" See that the store answers, and lets objects be read, written and deleted there{of_s3}."


class Lease:
    """A lease on a store, which has no locks: an object that the training of the Kubeflow run `owner` renews.

    Two that take it at the same moment may both have it: they train the same model, and a store replaces objects
    atomically. An earlier attempt of the same run is not waited for: its pod has ended.
    """

    def __init__(self, store: CheckpointStore, owner: str) -> None:
        self._store = store
        self._content = {"owner": owner, "host": socket.gethostname()}

    @contextmanager
    def held(self, wait: Wait) -> Iterator[None]:
        """Take the lease, calling `wait` with its holder until that is possible, and renew it in the background."""
        self._acquire(wait)
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(ended,), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join(5)
            with suppress(Unreachable):
                if self._is_own(self._read()):
                    self._store.remove(LEASE)

    def _acquire(self, wait: Wait) -> None:
        """Wait until there is no lease, or it is not renewed while this process looks: clocks of machines differ."""
        seen: dict[str, Any] | None = None
        since = time.monotonic()
        while not self._is_own(found := self._look(seen)):
            if found != seen:
                seen, since = found, time.monotonic()
            if found is None or time.monotonic() - since > LEASE_TIMEOUT:
                self._write()
                continue
            wait(f"a process on {found.get('host', '?')}")

    def _look(self, seen: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the lease; what was `seen` where the store does not answer any more."""
        try:
            return self._read()
        except Unreachable:
            if seen is None:
                raise
            return seen

    def _is_own(self, found: dict[str, Any] | None) -> bool:
        return found is not None and found.get("owner") == self._content["owner"]

    def _read(self) -> dict[str, Any] | None:
        content = self._store.open(LEASE)
        if content is None:
            return None
        try:
            found = json.load(content)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _write(self) -> None:
        self._store.write(json.dumps({**self._content, "renewed": time.time()}).encode(), LEASE)

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(RENEW_INTERVAL):
            with suppress(Unreachable):  # at worst a second training does the same
                self._write()
