"""Files and folders that appear whole or not at all, checksums, and tables."""

import csv
import errno
import hashlib
import itertools
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from autoencoders.errors import UserError

DRAFT = ".draft"
"""Ending of what is being written; .dvcignore has it: what a killed process leaves is no part of a stage's outputs."""
_PREVIOUS = "-previous"
_MAX_DRAFT_AGE = 86_400
"""Seconds after which a draft of another machine is removed."""
_own: set[str] = set()
"""Tokens of this process's drafts."""
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in any folder."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Digest:
    """The checksum that a file must have."""

    algorithm: str
    value: str


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden write below `place` into a `UserError`."""
    try:
        yield
    except OSError as error:
        # numpy's tofile says only how many items it could not write, without an error number
        if error.errno in _FULL or (error.errno is None and "requested and" in str(error)):
            raise UserError(
                f"No space left on the disk that holds {place}; nothing was left half-written. Free some and run again."
            ) from error
        if error.errno in _FORBIDDEN:
            raise UserError(f"{error.filename or place}: {error.strerror}. Choose a place you may write to.") from error
        raise


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; rename it to `target` on success, remove it on any failure."""
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(target)
        try:
            yield draft
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`; replace `target` with it on success, remove it on any failure."""
    with scratch_folder(target) as draft:
        yield draft
        previous = draft.with_name(draft.name.removesuffix(DRAFT) + _PREVIOUS + DRAFT)
        if target.exists():
            target.rename(previous)
        try:
            draft.rename(target)
        except BaseException:
            if previous.exists():
                previous.rename(target)
            raise
        shutil.rmtree(previous, ignore_errors=True)


@contextmanager
def result_folder(target: Path, contents: Sequence[str]) -> Iterator[Path]:
    """Like `atomic_folder`, but replace only results of the same kind: see `replaceable`."""
    with atomic_folder(replaceable(target, contents)) as draft:
        yield draft
        replaceable(target, contents)


def replaceable(target: Path, contents: Sequence[str]) -> Path:
    """Return the folder that `target` names, links followed; raise `UserError` where replacing it would lose files.

    All files in it have to match `contents`, patterns of paths within it such as `codes/*.npy`: otherwise a slip,
    `models` in place of `models/vae`, would delete all models.
    """
    place = target.resolve()
    if not place.exists():
        return place
    if not place.is_dir():
        raise UserError(f"{target} is a file. Name a folder.")
    if Path.cwd().is_relative_to(place):
        raise UserError(f"{target} holds the folder that you are in. Name another one for the results.")
    foreign = next((path for path in _inside(place) if not _is_among(contents, path)), None)
    if foreign:
        raise UserError(
            f"{target} holds {foreign}, which is no part of the results that would take its place. Name another folder "
            "for them, or move away what is in this one."
        )
    return place


def replaceable_file(target: Path, mark: bytes) -> None:
    """Raise `UserError` where `target` is anything but a file that has `mark` near its beginning, as results have."""
    if not target.exists():
        return
    if not target.is_file():
        raise UserError(f"{target} is {'a folder' if target.is_dir() else 'no file'}. Name a file with --out.")
    with target.open("rb") as file:
        if mark not in file.read(1000):
            raise UserError(f"{target} is no earlier result of this command. Name another file with --out.")


def apart(*folders: Path) -> None:
    """Raise `UserError` where two of the folders are the same, or one is within another."""
    for inner, outer in itertools.permutations(folders, 2):
        if inner.resolve().is_relative_to(outer.resolve()):
            raise UserError(f"{inner} is {outer}, or within it. Name two folders that are apart.")


def _inside(folder: Path) -> Iterator[str]:
    """Yield the files and links below a folder, as paths within it."""

    def unreadable(error: OSError) -> None:
        raise UserError(f"{error.filename}: {error.strerror}. Name another folder.") from error

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        yield from (Path(place, name).relative_to(folder).as_posix() for name in sorted(links + files))


def _is_among(contents: Sequence[str], path: str) -> bool:
    name = path.rpartition("/")[2]
    return name in _LITTER or any(fnmatchcase(path, pattern) for pattern in contents)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Yield a temporary folder on the same disk as `beside`; remove it at the end."""
    with disk_errors(beside.parent):
        beside.parent.mkdir(parents=True, exist_ok=True)
        folder = _draft(beside)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _draft(target: Path) -> Path:
    """Return a new path beside `target`, and remove the drafts of killed processes."""
    # not tempfile: its files are 0600 whatever the umask, and stay so after the rename
    _tidy_up(target)
    token = secrets.token_hex(4)
    _own.add(token)
    return target.with_name(f".{target.name}.{os.getpid()}-{token}-{socket.gethostname()}{DRAFT}")


def _tidy_up(target: Path) -> None:
    """Remove the drafts of `target` that no process of this machine writes, or that are a day old.

    Where a process was killed after it moved the old folder away and before it put the new one in its place, move the
    old one back.
    """
    name = rf"\.{re.escape(target.name)}\.(\d+)-([0-9a-f]{{8}})-(.*?)({_PREVIOUS})?\{DRAFT}"
    for path in target.parent.iterdir():
        if not (match := re.fullmatch(name, path.name, re.DOTALL)) or _is_alive(path, *match.group(1, 2, 3)):
            continue
        with suppress(OSError):
            if match[4] and not target.exists():
                path.rename(target)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _is_alive(draft: Path, process: str, token: str, host: str) -> bool:
    if host == socket.gethostname():  # a container's first process always has the same number
        return token in _own or (int(process) != os.getpid() and is_running(int(process)))
    with suppress(FileNotFoundError):
        newest = max(path.lstat().st_mtime for path in (draft, *draft.rglob("*")))
        return time.time() - newest < _MAX_DRAFT_AGE
    return False


def is_running(process: int) -> bool:
    """Return whether a process of this number runs on this machine, another user's too."""
    try:
        with suppress(PermissionError, OverflowError):
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows, each with the columns that it has. pandas could, but takes a third of a second to import."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def checksum(path: Path, algorithm: str) -> str:
    """Return the hexadecimal `algorithm` digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def is_intact(path: Path, digest: Digest) -> bool:
    """Return whether `path` is a file with this checksum."""
    return path.is_file() and checksum(path, digest.algorithm) == digest.value


def link_or_copy(source: Path, target: Path) -> None:
    """Put the file `source` at `target`, as a hard link where the disk allows one."""
    with atomic_file(target) as draft:
        try:
            os.link(source, draft)
        except OSError:
            shutil.copyfile(source, draft)
