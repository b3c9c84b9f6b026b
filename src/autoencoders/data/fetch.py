"""One verified download: bounded in time, retried, and never half-written."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3

from autoencoders.data.files import Digest, atomic_file, checksum
from autoencoders.progress import progress

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0
"""How long a server that was reached may send nothing."""
TRIES = 2
WAIT_SECONDS = 1.0
SLOWEST = 2000.0
"""Bytes a second, averaged from the first `SLOW_AFTER` seconds on, below which a server counts as hanging."""
SLOW_AFTER = 20.0


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


def download_file(url: str, target: Path, digest: Digest) -> None:
    """Download `url` to `target`; raises `FetchError` with a short reason, `UserError` where the disk is full."""
    for attempt in range(1, TRIES + 1):
        try:
            with atomic_file(target) as draft:
                _receive(url, draft, name=target.name)
                verify(draft, digest)
            return
        except _PassingError as error:
            if attempt == TRIES:
                final = UnreachableError if isinstance(error, _HungUpError) else FetchError
                raise final(f"{error} ({TRIES} tries)") from error
            time.sleep(WAIT_SECONDS * attempt)


def verify(path: Path, digest: Digest) -> None:
    """Raise `FetchError`, saying what the file looks like instead, unless it has the checksum."""
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


def shown(url: str) -> str:
    """Return `url` without the user name, password and query that it may hold, for messages."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _receive(url: str, draft: Path, name: str) -> None:
    try:
        # identity: a server that compresses on the fly would change the bytes that the checksum is about
        headers = {"Accept-Encoding": "identity"}
        timeout = (CONNECT_SECONDS, SILENCE_SECONDS)
        with requests.get(url, stream=True, timeout=timeout, headers=headers) as response:
            _check_status(response.status_code)
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            bar = progress(total=total, unit="B", unit_scale=True, desc=name, delay=2, leave=False)
            with bar, draft.open("wb") as file:
                for chunk in _chunks(response.raw):
                    file.write(chunk)
                    bar.update(len(chunk))
    except (requests.ConnectTimeout, requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
        raise UnreachableError("does not answer (timed out)") from error
    except requests.exceptions.SSLError as error:
        raise UnreachableError("its certificate could not be verified") from error
    except requests.ConnectionError as error:
        if "NewConnectionError" in repr(error) or isinstance(error, requests.exceptions.ProxyError):
            raise UnreachableError(f"cannot be reached ({_cause(error)})") from error
        raise _HungUpError("closed the connection") from error
    except urllib3.exceptions.ProtocolError as error:
        raise _PassingError(f"cut the download short after {draft.stat().st_size:,} bytes") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _PassingError(f"failed ({type(error).__name__})") from error


def _check_status(status: int) -> None:
    if status in (404, 410):
        raise MissingError("has no such file (HTTP 404)")
    if status in (408, 429) or status >= 500:
        raise _PassingError(f"answered with HTTP {status}")
    if status != 200:
        raise FetchError(f"answered with HTTP {status}")


def _chunks(raw: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The body as sent, whatever `Content-Encoding` claims; ends a download that only trickles."""
    began, received = time.monotonic(), 0
    while chunk := raw.read1(64 * 1024, decode_content=False):  # at most one receive: a trickle must not block
        received += len(chunk)
        spent = time.monotonic() - began
        if spent > SLOW_AFTER and received / spent < SLOWEST:
            raise UnreachableError(f"sends only {received / spent:,.0f} bytes a second")
        yield chunk


def _cause(error: Exception) -> str:
    """The operating system's words at the end of a chain of wrapped exceptions."""
    text = str(error)
    if "NameResolution" in text:
        return "unknown host"
    reason = re.search(r"\[Errno -?\d+\] ([\w ]+)", text)
    return reason.group(1).lower() if reason else type(error).__name__
