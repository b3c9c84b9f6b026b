"""Where a command's results go: whole or not at all, and never over somebody's files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoencoders.data.files import atomic_file, atomic_folder
from autoencoders.errors import UserError


@contextmanager
def result_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder to write to, which becomes `out` on success.

    Raises `UserError` where `out` is a file, or a folder that holds something.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} exists already. Name another folder with --out, or remove it.")
    with _beneath_folders(out), atomic_folder(out.absolute()) as draft:
        yield draft


@contextmanager
def result_file(out: Path) -> Iterator[Path]:
    """Give a file to write to, which becomes `out` on success, in place of one that was there."""
    if out.is_dir():
        raise UserError(f"{out} is a folder. Name a file with --out.")
    with _beneath_folders(out), atomic_file(out.absolute()) as draft:
        yield draft


@contextmanager
def _beneath_folders(out: Path) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"--out {out}: {error.filename} is no folder. Name another place.") from None
