"""Download a file: bounded in time and size, retried, verified, and never half-written."""

import re
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3

from autoencoders.data.catalog import MAX_FILE_BYTES
from autoencoders.files.results import Digest, atomic_file, checksum
from autoencoders.runtime.progress import progress

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0
"""How long a server that was reached may send nothing."""
TRIES = 2
WAIT_SECONDS = 1.0
MIN_PACE = 2000.0
"""Bytes a second, over any `SLOW_AFTER` seconds, below which a server counts as hanging."""
SLOW_AFTER = 20.0
LOOK_EVERY = 0.1
MAX_PAGE_BYTES = 2**24


class FetchError(Exception):
    """Why one source could not serve a file."""


class MissingError(FetchError):
    """The source has no such file."""


class UnreachableError(FetchError):
    """The server does not answer; asking it for other files would only cost time."""


class _PassingError(FetchError):
    """Worth another try."""


class _HungUpError(_PassingError):
    """Closed the connection without an answer, as firewalls do."""


class Page(NamedTuple):
    """What a server answered to a request for a page."""

    url: str
    """After redirections."""
    kind: str
    """Its content type."""
    content: bytes


def download_file(url: str, target: Path, digest: Digest, max_bytes: int = MAX_FILE_BYTES) -> None:
    """Download `url`, of at most `max_bytes` bytes, to `target`.

    Raise `FetchError` with a short reason, `UserError` where the disk is full.
    """
    for attempt in range(1, TRIES + 1):
        try:
            with atomic_file(target) as draft:
                with draft.open("wb") as file:
                    _receive(url, file, max_bytes, name=target.name)
                verify(draft, digest)
            return
        except _PassingError as error:
            if attempt == TRIES:
                final = UnreachableError if isinstance(error, _HungUpError) else FetchError
                raise final(f"{error} ({TRIES} tries)") from error
            time.sleep(WAIT_SECONDS * attempt)


def download_page(url: str, accept: str) -> Page:
    """Return the page at `url`; raise `FetchError` with a short reason."""
    body = BytesIO()
    transfer = _receive(url, body, MAX_PAGE_BYTES, name=redact_url(url), accept=accept)
    return Page(transfer.url, transfer.kind, body.getvalue())


def verify(path: Path, digest: Digest) -> None:
    """Raise `FetchError`, which says what the file looks like, where it does not have the checksum."""
    found = checksum(path, digest.algorithm)
    if found == digest.value:
        return
    with path.open("rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        raise FetchError("sent an HTML page instead of the file")
    size = path.stat().st_size
    if size == 0:
        raise FetchError("sent an empty file")
    raise FetchError(
        f"wrong checksum ({digest.algorithm} {found[:8]}… instead of {digest.value[:8]}…, {size:,} bytes): "
        "damaged, cut short or another file"
    )


def redact_url(url: str) -> str:
    """Return `url` without the user name, password and query that it may hold, in one line, for messages."""
    try:
        parts = urlsplit(url)
        if parts.port == 0:  # reading it fails where it is no number
            raise ValueError("no port")
        plain = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:  # no well-formed address: a password may be anywhere before the last @
        plain = re.sub("//.*@", "//", url.partition("?")[0], flags=re.DOTALL)
    return re.sub(r"[^ -\uffff]", "?", plain)


def is_address(url: str) -> bool:
    """Return whether a request could be sent to `url`."""
    try:
        parts = urlsplit(requests.Request("GET", url).prepare().url or "")
        return bool(parts.hostname) and parts.port != 0  # reading a port that is no number fails
    except ValueError:
        return False


def _receive(url: str, file: IO[bytes], max_bytes: int, name: str, accept: str = "*/*") -> "_Transfer":
    """Write what `url` serves to `file`; raise `FetchError` where that fails, or is too slow or too large."""
    transfer = _Transfer(url, file, max_bytes, accept)
    transfer.start()
    looks = _looks(transfer)
    while transfer.size is None and next(looks, None) is not None:
        pass
    counted = 0
    with progress(total=transfer.size or None, unit="B", unit_scale=True, desc=name, delay=2, leave=False) as bar:
        for received in looks:
            if received > counted:
                bar.update(received - counted)
            counted = received
    if transfer.error:
        raise _explained(transfer.error, transfer.received) from transfer.error
    return transfer


def _looks(transfer: "_Transfer") -> Iterator[int]:
    """Yield every `LOOK_EVERY` seconds how many bytes have come; raise `UnreachableError` where too few do."""
    began, before = time.monotonic(), 0
    while transfer.is_alive():
        transfer.join(LOOK_EVERY)
        received, spent = transfer.received, time.monotonic() - began
        if transfer.is_alive() and spent > SLOW_AFTER:
            if received - before < MIN_PACE * SLOW_AFTER:
                pace = f"sends only {(received - before) / spent:,.0f} bytes a second"
                raise UnreachableError(pace if received else "does not answer (timed out)")
            began, before = time.monotonic(), received
        yield received


class _Transfer(threading.Thread):
    """A request in a thread of its own: neither a socket nor `requests` has a deadline for all of it, headers too.

    One that takes too long is left behind, and ends with the process.
    """

    def __init__(self, url: str, file: IO[bytes], max_bytes: int, accept: str) -> None:
        super().__init__(daemon=True)
        self.url, self.kind = url, ""
        self.received = 0
        self.size: int | None = None
        """What the server says that it sends, 0 where it does not; None before its answer."""
        self.error: Exception | None = None
        self._file, self._max_bytes = file, max_bytes
        # identity: a server that compresses on the fly would change the bytes that the checksum is about
        self._headers = {"Accept-Encoding": "identity", "Accept": accept}

    def run(self) -> None:
        try:
            self._request()
        except Exception as error:
            self.error = error

    def _request(self) -> None:
        timeout = (CONNECT_SECONDS, SILENCE_SECONDS)
        hooks = {"response": _leave_redirect}
        with requests.get(self.url, stream=True, timeout=timeout, headers=self._headers, hooks=hooks) as response:
            _check_status(response.status_code)
            self.url, self.kind = response.url, response.headers.get("Content-Type", "")
            length = response.headers.get("Content-Length", "")
            self.size = int(length) if length.isdecimal() else 0
            self._check_size(self.size)
            for chunk in _chunks(response.raw):
                self.received += len(chunk)
                self._check_size(self.received)
                self._file.write(chunk)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise FetchError(f"sends more than {self._max_bytes:,} bytes, so it is another file")


def _leave_redirect(response: requests.Response, *unused: object, **ignored: object) -> None:
    """Close an answer that names another address: `requests` would read its body to the end, which may have none."""
    if response.is_redirect:
        response.close()


def _explained(error: Exception, received: int) -> Exception:
    """Return a `FetchError` that says why a transfer failed, or the error itself where that is not the network's."""
    match error:
        case FetchError():
            return error
        case requests.ConnectTimeout() | requests.ReadTimeout() | urllib3.exceptions.ReadTimeoutError():
            return UnreachableError("does not answer (timed out)")
        case requests.exceptions.SSLError():
            return UnreachableError("its certificate could not be verified")
        case requests.ConnectionError():
            if isinstance(error, requests.exceptions.ProxyError) or "NewConnectionError" in repr(error):
                return UnreachableError(f"cannot be reached ({_cause(error)})")
            return _HungUpError("closed the connection")
        case urllib3.exceptions.ProtocolError():
            return _PassingError(f"cut the download short after {received:,} bytes")
        # such as a redirect to nowhere
        case requests.RequestException() | urllib3.exceptions.HTTPError() | ValueError():
            return _PassingError(f"failed ({type(error).__name__})")
    return error


def _check_status(status: int) -> None:
    if status in (404, 410):
        raise MissingError("has no such file (HTTP 404)")
    if status in (408, 429) or status >= 500:
        raise _PassingError(f"answered with HTTP {status}")
    if status != 200:
        raise FetchError(f"answered with HTTP {status}")


def _chunks(raw: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the body as sent, whatever `Content-Encoding` claims."""
    while chunk := raw.read1(64 * 1024, decode_content=False):  # at most one receive, so that the pace can be seen
        yield chunk


def _cause(error: Exception) -> str:
    """Return the operating system's words at the end of a chain of wrapped exceptions."""
    text = str(error)
    if "NameResolution" in text:
        return "unknown host"
    reason = re.search(r"\[Errno -?\d+\] ([\w ]+)", text)
    return reason.group(1).lower() if reason else type(error).__name__
