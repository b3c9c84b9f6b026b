"""A lease on a place of an object store, which has no locks: an object that its holder renews until it lets go."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from autoencoders.training.place import Place, Unreachable, Wait

LEASE = "lease.json"
RENEWED = 30.0
"""Seconds between two renewals."""
EXPIRED = 180.0
"""Seconds without a renewal after which a lease is no longer its holder's."""


class Lease:
    """The lease of a training of the Kubeflow run `owner`.

    Two that take it at the same moment may both have it: they train the same, and a store never mixes what they write.
    An earlier attempt of the same run needs no waiting for: its pod was lost, or there would be no further one.
    """

    def __init__(self, place: Place, owner: str) -> None:
        self._place = place
        self._content = {"owner": owner, "host": socket.gethostname()}

    @contextmanager
    def held(self, wait: Wait) -> Iterator[None]:
        """Take the lease, call `wait` with its holder until that is possible, and renew it in the background."""
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
                    self._place.remove(LEASE)

    def _acquire(self, wait: Wait) -> None:
        """Wait until there is no lease, or it was not renewed while we watched: clocks of two machines may differ."""
        seen: dict[str, Any] | None = None
        since = time.monotonic()
        while not self._is_own(found := self._look(seen)):
            if found != seen:
                seen, since = found, time.monotonic()
            if found is None or time.monotonic() - since > EXPIRED:
                self._write()
                continue
            wait(f"a process on {found.get('host', '?')}")

    def _look(self, seen: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return what there is, or what there was where the store has gone away since."""
        try:
            return self._read()
        except Unreachable:
            if seen is None:
                raise
            return seen

    def _is_own(self, found: dict[str, Any] | None) -> bool:
        return found is not None and found.get("owner") == self._content["owner"]

    def _read(self) -> dict[str, Any] | None:
        content = self._place.open(LEASE)
        if content is None:
            return None
        try:
            found = json.load(content)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _write(self) -> None:
        self._place.write(json.dumps({**self._content, "renewed": time.time()}).encode(), LEASE)

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWED):
            with suppress(Unreachable):  # the training goes on; at worst a second one does the same
                self._write()
