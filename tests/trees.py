"""What is in a folder, to compare it with what was; and how a file is damaged."""

from collections.abc import Callable
from pathlib import Path


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of every file beneath a folder, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return what puts something else in the place of a file, such as a folder or a pipe."""

    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Return what changes the content of a file."""
    return lambda path: path.write_bytes(change(path.read_bytes()))
