"""The local database: what file it is, whether it can be opened, and which of its experiments are deleted.

Looked at with sqlite3 alone, before MLflow is imported: MLflow tries for minutes to open what cannot be opened.
"""

import glob
import importlib.util
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from urllib.parse import quote, unquote

from autoencoders.errors import UserError

SQLITE = "sqlite:///"
LOCKED = 20.0
"""Seconds for which a lock of another program is waited for."""
MAKING = 300.0
"""Seconds for which another process that makes the tables is waited for."""
ELSEWHERE = "Move it away, or name another store in MLFLOW_TRACKING_URI."


def split_uri(uri: str) -> tuple[Path, str]:
    """Return the file of the URI `uri` of an SQLite database, read as SQLAlchemy reads it, and its query with `?`."""
    path, mark, query = uri.removeprefix(SQLITE).partition("?")
    return Path(unquote(path)).absolute(), mark + query


def uri_of(file: Path, query: str = "") -> str:
    """Return the URI of the database `file`; raises `UserError` where no URI of MLflow's can name it.

    Quoted, such a path would reach SQLite, but not the code of MLflow that makes the folder of a new database: that
    does not unquote. What is not in need of quotes is read alike by both.
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
    """Raise `UserError` where the database cannot be opened, with `writes` not be written, or is of another program.

    One that does not exist yet will be made. A lock of another program is waited for, `LOCKED` seconds at most.
    """
    if not file.exists() and not file.is_symlink():
        _require_folder(file.parent, writes)
        return
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no file"
        raise UserError(f"MLflow's database {file} is {what}. {ELSEWHERE}")
    try:
        with closing(opened(file)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            of_mlflow = "alembic_version" in tables
            versions = connection.execute("SELECT version_num FROM alembic_version").fetchall() if of_mlflow else []
            if writes:
                _try_writing(connection)
    except sqlite3.Error as error:
        raise UserError(_what_failed(file, error)) from None
    if tables and not tables & {"alembic_version", "experiments"}:
        raise UserError(f"{file} is the database of another program than MLflow. {ELSEWHERE}")
    for (version,) in versions:
        if not is_known(version):
            raise UserError(newer(uri_of(file)))


def _require_folder(folder: Path, writes: bool) -> None:
    there = next(above for above in (folder, *folder.parents) if above.exists())
    if writes and not there.is_dir():
        raise UserError(f"MLflow's database cannot be in {folder}: {there} is no folder. {ELSEWHERE}")
    if writes and not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"MLflow's database cannot be in {folder}: {there} is not writable. {ELSEWHERE}")


def opened(file: Path) -> sqlite3.Connection:
    """Return a connection to a database that exists, for reading where it cannot be written."""
    return sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=LOCKED, isolation_level=None)


def _try_writing(connection: sqlite3.Connection) -> None:
    """Write what is there already, and take it back: a lock alone needs neither the right to write nor room."""
    [(version,)] = connection.execute("PRAGMA user_version")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {version:d}")
    connection.execute("ROLLBACK")


def _what_failed(file: Path, error: sqlite3.Error) -> str:
    advice = {
        sqlite3.SQLITE_BUSY: f"Another program has held it for {LOCKED:.0f} s: end that one, then run again.",
        sqlite3.SQLITE_FULL: "Free some space, then run again.",
        sqlite3.SQLITE_READONLY: "Make the file and its folder writable, or name another in MLFLOW_TRACKING_URI.",
    }
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of an extended code tells more of the same
    return f"MLflow's database {file}: {error}. {advice.get(code, ELSEWHERE)}"


def is_known(version: str) -> bool:
    """Tell whether the installed MLflow knows a version of its tables; found without importing it."""
    found = importlib.util.find_spec("mlflow")
    folders = found.submodule_search_locations if found else None
    scripts = Path(folders[0]) / "store" / "db_migrations" / "versions" if folders else Path()
    return not scripts.is_dir() or any(scripts.glob(f"{glob.escape(version)}_*.py"))


def newer(store: object) -> str:
    """Return what is said of a store that a newer MLflow has made or changed."""
    from importlib.metadata import version

    return (
        f"{store} is of a newer MLflow than the one installed ({version('mlflow')}). Install that one, or name another "
        "store in MLFLOW_TRACKING_URI."
    )


def older(store: object) -> str:
    """Return what is said of a store that an older MLflow has made."""
    return f"{store} is of an older MLflow. Back it up, then run `mlflow db upgrade {store}`."


def deleted(file: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return name and id of those experiments, of `names`, that are deleted."""
    marks = ", ".join("?" * len(names))
    wanted = f"SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'deleted' AND name IN ({marks})"
    try:
        with closing(opened(file)) as connection:
            return [(name, str(number)) for name, number in connection.execute(wanted, list(names))]
    except sqlite3.Error:  # there is no database yet, or it has no tables
        return []


def name_of(file: Path, experiment: str) -> str | None:
    """Return the name of the experiment with an id, or None where there is none."""
    try:
        with closing(opened(file)) as connection:
            found = connection.execute("SELECT name FROM experiments WHERE experiment_id = ?", [experiment]).fetchone()
    except sqlite3.Error:
        return None
    return str(found[0]) if found else None


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold a lock that processes hold while they make tables; where there can be none, nothing is made either."""
    try:
        handle = lock.open("a")
    except OSError:
        yield
        return
    with handle:
        until = time.monotonic() + MAKING
        while True:
            try:
                flock(handle, LOCK_EX | LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    what = f"another process has held {lock} for {MAKING / 60:.0f} min"
                    raise UserError(f"{what}, to make or open MLflow's database. End it, then run again.") from None
                time.sleep(0.05)
        yield
