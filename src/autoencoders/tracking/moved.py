"""A project that was moved, renamed, copied or restored: MLflow keeps absolute paths of its files."""

import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from autoencoders.tracking.database import opened

PLACES = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns that hold places of files, beside that of each experiment."""


def follow_move(file: Path, root: Path) -> None:
    """Have the database in `file` name the folder `root`, beside it, as the place of its files.

    In a project that was moved, renamed, copied or restored it names a folder that is no more, or is another project's.
    Files that are only there stay there, since then the database alone was copied. Places that somebody chose, of
    another name than the folder's, are left alone.
    """
    with suppress(sqlite3.Error), closing(opened(file)) as connection:  # a store that cannot be written is only read
        places = [place for (place,) in connection.execute("SELECT DISTINCT artifact_location FROM experiments")]
        moved = {place: old for place in places if place and (old := _former_root(place, root))}
        if not moved:
            return
        connection.execute("BEGIN IMMEDIATE")
        for place, old in moved.items():
            _replace(connection, "experiments", "artifact_location", place, old, root)
        left = sum(_move(connection, table, column, old, root) for table, column in PLACES for old in moved.values())
        connection.execute("COMMIT")
        former = [str(_path(old)) for place, old in moved.items() if place == old]  # not those of MLflow's own making
        if former:
            earlier = "; those of earlier ones stay there" if left else ""
            print(f"MLflow's files are in {root} from now on, not in {former[0]}{earlier}", flush=True)


def _former_root(place: str, root: Path) -> str | None:
    """Return the beginning of an experiment's `place` that ends as `root` does, but is another folder."""
    if urlsplit(place).scheme not in ("", "file"):
        return None
    found = re.fullmatch(rf"(.*/{re.escape(root.name)})(/\d+)?", place)
    return found[1] if found and _path(found[1]).resolve() != root.resolve() else None


def _path(place: str) -> Path:
    return Path(unquote(place.removeprefix("file://"))) if place.startswith("file:") else Path(place)


def _move(connection: sqlite3.Connection, table: str, column: str, old: str, root: Path) -> int:
    """Put `root` in place of `old` in the places of a column, and return how many stay, whose files are only there."""
    begins = f"substr({column}, 1, {len(old) + 1}) = ?"
    stays = 0
    for (place,) in connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {begins}", [f"{old}/"]).fetchall():
        if _path(_new(place, old, root)).exists() or not _path(place).exists():
            _replace(connection, table, column, place, old, root)
        else:
            stays += 1
    return stays


def _replace(connection: sqlite3.Connection, table: str, column: str, place: str, old: str, root: Path) -> None:
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", [_new(place, old, root), place])


def _new(place: str, old: str, root: Path) -> str:
    return f"{root.as_uri() if old.startswith('file:') else root}{place.removeprefix(old)}"


def missing_folder(uri: str, tracking_uri: str) -> Path | None:
    """Return the folder of this machine in which MLflow keeps the model at `uri`, where no file of it is there."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        files = get_artifact_repository(uri, tracking_uri)
    except MlflowException:
        return None
    while inner := getattr(files, "repo", None):
        files = inner
    folder = getattr(files, "artifact_dir", None)
    return Path(folder) if folder and not any(Path(folder).glob("*")) else None
