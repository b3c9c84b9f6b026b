"""What is in a folder, to compare it with what was."""

from pathlib import Path


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of every file beneath a folder, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
