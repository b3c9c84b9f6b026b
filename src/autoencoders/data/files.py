"""Files and folders that appear whole or not at all, checksums, tables, and spooling of arrays larger than memory."""

import csv
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoencoders.errors import UserError

BLOCK_BYTES = 16 * 2**20

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Digest:
    """The checksum that a file must have."""

    algorithm: str
    value: str


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden write beneath `place` into a `UserError`."""
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
    """Give a path beside `target` to write to; renamed to `target` on success, removed on any failure."""
    draft = _beside(target)
    try:
        with disk_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield draft
            draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder beside `target`; it replaces `target` on success and is removed on any failure."""
    draft, previous = _beside(target), _beside(target)
    try:
        with disk_errors(target.parent):
            draft.mkdir(parents=True)
            yield draft
            if target.exists():
                if not target.is_dir():
                    raise UserError(f"{target} is a file. Name a folder with --out.")
                target.rename(previous)
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)


@contextmanager
def result_folder(target: Path) -> Iterator[Path]:
    """Do what `atomic_folder` does for a stage's results, but never in place of a folder that holds other ones.

    Raises `UserError` where it does: `models` in place of `models/vae` would cost all models.
    """
    with atomic_folder(target) as draft:
        yield draft
        there = {path.name for path in target.iterdir() if path.is_dir()} if target.is_dir() else set()
        if others := sorted(there - {path.name for path in draft.iterdir()}):
            raise UserError(f"{target} holds other folders ({', '.join(others[:3])}). Name another one with --out.")


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Give a temporary folder on the same disk as `beside`, removed at the end."""
    folder = _beside(beside)
    try:
        with disk_errors(beside.parent):
            folder.mkdir(parents=True)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _beside(target: Path) -> Path:
    # not tempfile: its files are 0600 whatever the umask, and stay so after the rename
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows that each give the columns that they have; without pandas, a third of a second to import."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def checksum(path: Path, algorithm: str) -> str:
    """Return the hexadecimal `algorithm` digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def is_intact(path: Path, digest: Digest) -> bool:
    """Tell whether `path` is a file with this checksum."""
    return path.is_file() and checksum(path, digest.algorithm) == digest.value


def link_or_copy(source: Path, target: Path) -> None:
    """Put the file `source` at `target`, as a hard link where the disk allows one."""
    with atomic_file(target) as draft:
        try:
            os.link(source, draft)
        except OSError:
            shutil.copyfile(source, draft)


def spool(path: Path, blocks: Iterable[NDArray[np.uint8]], item: tuple[int, ...]) -> NDArray[np.uint8]:
    """Write blocks of shape (n, *item) to `path` and return all of them as one read-only memory map (N, *item).

    Written as a plain file, not through a writable map: a map that outgrows the disk kills the process.
    """
    with path.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block).data)
    count = path.stat().st_size // int(np.prod(item))
    if count == 0:
        return np.empty((0, *item), np.uint8)
    return np.memmap(path, np.uint8, mode="r", shape=(count, *item))


def gather(path: Path, images: NDArray[np.uint8], order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return `images[order]` as a memory map of `path`, holding only a block of it in memory at a time."""
    step = images_per_block(images.shape[1:])
    blocks = (images[order[start : start + step]] for start in range(0, len(order), step))
    return spool(path, blocks, images.shape[1:])


def images_per_block(item: tuple[int, ...]) -> int:
    """Return how many uint8 images of shape `item` make a block of at most `BLOCK_BYTES` (at least one)."""
    return max(1, BLOCK_BYTES // int(np.prod(item)))
