"""The local database: its file, whether it can be opened, which experiments are deleted, and where artifacts are.

All with sqlite3 alone, before MLflow is imported: MLflow retries for minutes to open a database that cannot be opened.
"""

import glob
import importlib.util
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from autoencoders.errors import UserError

SQLITE = "sqlite:///"
LOCK_TIMEOUT = 20.0  # seconds to wait for a lock that another program holds
MIGRATION_TIMEOUT = 300.0  # seconds to wait for another process that creates the tables
MOVE_IT = "Move it away, or name another store in MLFLOW_TRACKING_URI."
FILE_COLUMNS = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns that hold artifact paths, beside those of experiments."""


def split_uri(uri: str) -> tuple[Path, str]:
    """Return the file of the URI `uri` of an SQLite database, read as SQLAlchemy reads it, and its query with `?`."""
    path, mark, query = uri.removeprefix(SQLITE).partition("?")
    return Path(unquote(path)).absolute(), mark + query


def uri_of(file: Path, query: str = "") -> str:
    """Return the URI of the database `file`; raise `UserError` where MLflow could not read such a URI.

    SQLite would unquote a quoted path, but the code of MLflow that creates the folder of a new database would not.
    """
    text = str(file)
    if "?" in text or unquote(text) != text or text.encode(errors="ignore").decode() != text:
        what = "a question mark, % before two digits, or bytes that are no UTF-8"
        raise UserError(
            f"MLflow cannot keep its database at {text!r}: the path holds {what}. Rename the folder, or set "
            "MLFLOW_TRACKING_URI to sqlite:////another/path/mlflow.db or to a server."
        )
    return f"{SQLITE}{text}{query}"


def require(file: Path, writes: bool) -> None:
    """Raise `UserError` where the database cannot be opened or, with `writes`, written, or belongs to another program.

    It need not exist yet. Wait for another program's lock, `LOCK_TIMEOUT` seconds at most.
    """
    if not file.exists() and not file.is_symlink():
        if writes:
            _require_folder(file.parent)
        return
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no file"
        raise UserError(f"MLflow's database {file} is {what}. {MOVE_IT}")
    try:
        with closing(open_database(file)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            of_mlflow = "alembic_version" in tables
            versions = connection.execute("SELECT version_num FROM alembic_version").fetchall() if of_mlflow else []
            if writes:
                _try_writing(connection)
    except sqlite3.Error as error:
        raise UserError(_describe_error(file, error)) from None
    if tables and not tables & {"alembic_version", "experiments"}:
        raise UserError(f"{file} is the database of another program than MLflow. {MOVE_IT}")
    for (number,) in versions:
        if not is_known(number):
            raise of_another_mlflow(uri_of(file), number)


def _require_folder(folder: Path) -> None:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir():
        raise UserError(f"MLflow's database cannot be in {folder}: {existing} is no folder. {MOVE_IT}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"MLflow's database cannot be in {folder}: {existing} is not writable. {MOVE_IT}")


def open_database(file: Path) -> sqlite3.Connection:
    """Return a connection to a database that exists, for reading where it cannot be written."""
    return sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=LOCK_TIMEOUT, isolation_level=None)


def _try_writing(connection: sqlite3.Connection) -> None:
    """Write a value that is already there, and roll back: a lock alone needs neither permission to write nor space."""
    [(number,)] = connection.execute("PRAGMA user_version")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {number:d}")
    connection.execute("ROLLBACK")


def _describe_error(file: Path, error: sqlite3.Error) -> str:
    advice = {
        sqlite3.SQLITE_BUSY: f"Another program has held it for {LOCK_TIMEOUT:.0f} s: end that one, then run again.",
        sqlite3.SQLITE_FULL: "Free some space, then run again.",
        sqlite3.SQLITE_READONLY: "Make the file and its folder writable, or name another in MLFLOW_TRACKING_URI.",
    }
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest is SQLite's extended code
    return f"MLflow's database {file}: {error}. {advice.get(code, MOVE_IT)}"


def is_known(number: str) -> bool:
    """Return whether the installed MLflow knows a version of its tables, without importing MLflow."""
    found = importlib.util.find_spec("mlflow")
    folders = found.submodule_search_locations if found else None
    scripts = Path(folders[0]) / "store" / "db_migrations" / "versions" if folders else Path()
    return not scripts.is_dir() or any(scripts.glob(f"{glob.escape(number)}_*.py"))


def of_another_mlflow(store: str, number: str) -> UserError:
    """Return the error for a `store` whose tables have the version `number`, not the installed MLflow's."""
    if is_known(number):
        return UserError(f"{store} is of an older MLflow. Back it up, then run `mlflow db upgrade {store}`.")
    return UserError(
        f"{store} is of a newer MLflow than the one installed ({version('mlflow')}). Install that one, or name another "
        "store in MLFLOW_TRACKING_URI."
    )


def deleted_experiments(file: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return name and id of those experiments, of `names`, that are deleted."""
    marks = ", ".join("?" * len(names))
    where = f"lifecycle_stage = 'deleted' AND name IN ({marks})"
    return [(str(name), str(number)) for name, number in _select_experiments(file, "name, experiment_id", where, names)]


def experiment_name(file: Path, number: str) -> str | None:
    """Return the name of the experiment with an id, or None where there is none."""
    return next((str(name) for (name,) in _select_experiments(file, "name", "experiment_id = ?", [number])), None)


def _select_experiments(file: Path, columns: str, where: str, values: Sequence[str]) -> list[tuple[object, ...]]:
    with suppress(sqlite3.Error), closing(open_database(file)) as connection:
        return connection.execute(f"SELECT {columns} FROM experiments WHERE {where}", values).fetchall()
    return []  # there is no database yet, or it has no tables


@contextmanager
def file_lock(lock: Path) -> Iterator[None]:
    """Hold the lock that processes hold while they create tables; none where the folder is not writable."""
    try:
        handle = lock.open("a")
    except OSError:
        yield
        return
    with handle:
        until = time.monotonic() + MIGRATION_TIMEOUT
        while True:
            try:
                flock(handle, LOCK_EX | LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    what = f"another process has held {lock} for {MIGRATION_TIMEOUT / 60:.0f} min"
                    raise UserError(f"{what}, to make or open MLflow's database. End it, then run again.") from None
                time.sleep(0.05)
        yield


def follow_move(file: Path, root: Path) -> None:
    """Replace artifact paths in the database `file` so that they name the folder `root` beside it.

    MLflow stores absolute paths. In a project that was moved, renamed, copied or restored they name a folder that no
    longer exists, or another project's. The paths of files that exist only there are kept: then the database alone was
    copied. Paths that end in another name than `root` were chosen by somebody, and are kept.
    """
    with suppress(sqlite3.Error), closing(open_database(file)) as connection:  # a read-only store is only read
        paths = [path for (path,) in connection.execute("SELECT DISTINCT artifact_location FROM experiments")]
        moved = {path: old for path in paths if path and (old := _former_root(path, root))}
        if not moved:
            return
        connection.execute("BEGIN IMMEDIATE")
        for path, old in moved.items():
            _replace(connection, "experiments", "artifact_location", path, old, root)
        columns = [(table, column, old) for table, column in FILE_COLUMNS for old in moved.values()]
        n_left = sum(_move_column(connection, table, column, old, root) for table, column, old in columns)
        connection.execute("COMMIT")
        former = [str(_local_path(old)) for path, old in moved.items() if path == old]  # not MLflow's own default
        if former:
            earlier = "; those of earlier ones stay there" if n_left else ""
            print(f"MLflow's files are in {root} from now on, not in {former[0]}{earlier}", flush=True)


def _former_root(path: str, root: Path) -> str | None:
    """Return the part of an experiment's `path` that ends in the name of `root`, if it is another folder."""
    if urlsplit(path).scheme not in ("", "file"):
        return None
    found = re.fullmatch(rf"(.*/{re.escape(root.name)})(/\d+)?", path)
    return found[1] if found and _local_path(found[1]).resolve() != root.resolve() else None


def _local_path(path: str) -> Path:
    return Path(unquote(path.removeprefix("file://"))) if path.startswith("file:") else Path(path)


def _move_column(connection: sqlite3.Connection, table: str, column: str, old: str, root: Path) -> int:
    """Replace `old` by `root` in the paths of a column; return how many are kept, as their files exist only there."""
    begins, stays = f"substr({column}, 1, {len(old) + 1}) = ?", 0
    for (path,) in connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {begins}", [f"{old}/"]).fetchall():
        if _local_path(_moved(path, old, root)).exists() or not _local_path(path).exists():
            _replace(connection, table, column, path, old, root)
        else:
            stays += 1
    return stays


def _replace(connection: sqlite3.Connection, table: str, column: str, path: str, old: str, root: Path) -> None:
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", [_moved(path, old, root), path])


def _moved(path: str, old: str, root: Path) -> str:
    return f"{root.as_uri() if old.startswith('file:') else root}{path.removeprefix(old)}"
