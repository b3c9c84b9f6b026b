"""Where a command's results go: whole or not at all, and never over the user's other files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoencoders.errors import UserError
from autoencoders.files.results import atomic_file, atomic_folder, replaceable_file


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder to write to, which becomes `out` on success.

    Raise `UserError` if `out` is a file, or a folder that is not empty.
    """
    with _writing(out), atomic_folder(out.absolute()) as draft:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise UserError(f"{out} exists already. Name another folder with --out, or remove it.")
        yield draft


@contextmanager
def result_file(out: Path, mark: bytes) -> Iterator[Path]:
    """Give a file to write to, which becomes `out` on success, in place of an earlier result that has `mark`."""
    with _writing(out):
        replaceable_file(out, mark)
        with atomic_file(out.absolute()) as draft:
            yield draft


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turn errors of the operating system about `out` into a `UserError`."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        blocking = next((place for place in out.absolute().parents if place.is_file()), out)
        raise UserError(f"--out {out}: {blocking} is no folder. Name another place.") from None
    except OSError as error:
        raise UserError(f"--out {out} cannot be written ({error.strerror}). Name another place.") from None
