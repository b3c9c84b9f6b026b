"""MLflow's local database: what is said of one that cannot be used, and at once; and a project that was moved."""

import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from processes import run_python
from trees import replaced, rewritten, tree

from autoencoders import tracking
from autoencoders.commands.sample import sample
from autoencoders.errors import UserError
from autoencoders.stages.check import check
from autoencoders.stages.train import train
from autoencoders.tracking import database
from autoencoders.tracking.client import _making_tables, artifact_root
from autoencoders.tracking.store import create_run, experiment_id

MALFORMED = "database disk image is malformed"


def sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)

    return change


overwritten = rewritten(lambda content: content[:4096] + b"\xff" * (len(content) - 4096))
BROKEN = {
    "a folder": (replaced(Path.mkdir), "is a folder"),
    "a pipe": (replaced(os.mkfifo), "is no file"),
    "a link to nothing": (replaced(lambda path: path.symlink_to("/nowhere/mlflow.db")), "is no file"),
    "random": (lambda path: path.write_bytes(bytes(range(256)) * 400), "file is not a database"),
    "text": (lambda path: path.write_text("hello\n" * 99), "file is not a database"),
    "cut": (rewritten(lambda content: content[:100_000]), MALFORMED),
    "overwritten": (overwritten, MALFORMED),
    "another program's": (replaced(sql("CREATE TABLE notes (text)")), "is the database of another program than MLflow"),
    "a newer MLflow's": (
        sql("UPDATE alembic_version SET version_num = 'ffffffffffff'"),
        "is of a newer MLflow than the",
    ),
}


@pytest.mark.parametrize(("break_it", "said"), BROKEN.values(), ids=BROKEN)
def test_a_store_that_cannot_be_opened_is_one_line_before_mlflow_is_imported(store, tmp_path, break_it, said):
    break_it(tmp_path / "mlflow.db")
    code = (
        "import sys\nfrom autoencoders import tracking\nfrom autoencoders.errors import UserError\n"
        "try: tracking.require_store('autoencoders')\n"
        "except UserError as error: print(error, 'mlflow' in sys.modules)"
    )
    done = run_python(code, timeout=30)
    assert done.stderr == ""
    [line] = done.stdout.splitlines()
    assert said in line
    assert str(tmp_path / "mlflow.db") in line
    assert line.endswith("MLFLOW_TRACKING_URI. False")


def test_a_store_below_a_file_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'file' / 'sub' / 'mlflow.db'}")
    with pytest.raises(UserError, match=r"cannot be in .*/file/sub: .*/file is no folder\."):
        tracking.require_store("autoencoders")


def test_a_store_that_another_program_holds_is_waited_for_and_then_reported(store, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "LOCK_TIMEOUT", 0.01)
    with sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None) as other:
        for lock in ("EXCLUSIVE", "IMMEDIATE"):
            other.execute(f"BEGIN {lock}")
            with pytest.raises(UserError, match=r"mlflow.db: database is locked\. Another program has held it for"):
                tracking.require_store("autoencoders")
            if lock == "IMMEDIATE":  # who only reads needs no more
                tracking.require_server()
            other.execute("ROLLBACK")
    tracking.require_store("autoencoders")


def test_a_lock_beside_the_store_is_not_waited_for_without_end(store, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MIGRATION_TIMEOUT", 0.01)
    with (tmp_path / "mlflow.db.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another process has held .*mlflow\.db\.lock"):
            tracking.connect()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("PRAGMA query_only = 1", "attempt to write a readonly database. Make the file and its folder writable"),
        ("PRAGMA max_page_count = 1", "database or disk is full. Free some space"),
    ],
    ids=["read-only", "full"],
)
def test_a_store_that_cannot_be_written_is_one_line_with_the_reason(store, monkeypatch, statement, said):
    """A superuser may write whatever the mode says: so the database itself refuses."""
    opened = database.open_database

    def refusing(file: Path) -> sqlite3.Connection:
        connection = opened(file)
        connection.execute(statement)
        return connection

    def try_writing(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE more AS SELECT * FROM experiments")

    monkeypatch.setattr(database, "open_database", refusing)
    monkeypatch.setattr(database, "_try_writing", try_writing)
    with pytest.raises(UserError) as caught:
        tracking.require_store("autoencoders")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_threads_of_a_process_connect_to_two_stores_one_after_the_other(tmp_path):
    """The variable that names the artifact path belongs to both."""
    order: list[str] = []

    def connect_too() -> None:
        with _making_tables(tmp_path / "b" / "mlflow.db"):
            order.append("second")

    second = threading.Thread(target=connect_too)
    with _making_tables(tmp_path / "a" / "mlflow.db"):
        second.start()
        second.join(0.2)
        order.append("first")
    second.join()
    assert order == ["first", "second"]
    assert "_MLFLOW_SERVER_ARTIFACT_ROOT" not in os.environ


def test_a_store_that_is_written_to_on_trial_stays_as_it_was(store, tmp_path):
    before = (tmp_path / "mlflow.db").read_bytes()
    tracking.require_store("autoencoders")
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert [path.name for path in tmp_path.glob("mlflow.db*")] == ["mlflow.db"]


def test_a_store_that_breaks_while_it_is_opened_stops_the_training_and_is_reported_once(
    params, prepared, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(tracking, "require_store", lambda experiment: None)
    overwritten(tmp_path / "mlflow.db")
    with pytest.raises(UserError) as caught:
        train(params, model="ae", data=prepared, checkpoints=tmp_path / "c", out=tmp_path / "ae")
    assert str(caught.value).endswith(f"cannot open a run: {MALFORMED}")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a b", "a#b", "a:b", "a&b=c;d", "a%b", "ä 犬", "a'b", "a\\b", "file:x"])
def test_a_checkout_of_any_usual_name_has_its_store_and_files_in_it(migrated, tmp_path, monkeypatch, name):
    root = tmp_path / name
    root.mkdir()
    (root / "dvc.yaml").touch()
    (root / "note.txt").write_text("hello")
    shutil.copy(migrated, root / "mlflow.db")
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    client = tracking.connect()
    run_id = create_run(client, "autoencoders", "x", {})
    client.log_artifact(run_id, "note.txt")
    assert [file.path for file in client.list_artifacts(run_id)] == ["note.txt"]
    assert (root / "mlartifacts" / run_id / "artifacts" / "note.txt").read_text() == "hello"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a?b", "what?", "a%20b", "%3F", os.fsdecode(b"a\xffb")])
def test_a_checkout_whose_name_mlflow_takes_for_another_is_refused_before_anything_is_made(
    params, tmp_path, monkeypatch, name
):
    root = tmp_path / "in" / name
    root.mkdir(parents=True)
    (root / "dvc.yaml").touch()
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for ask in (lambda: check(params), tracking.tracking_uri, tracking.connect):
        with pytest.raises(UserError, match=r"^MLflow cannot keep its database at '.*\. Rename the folder, or set"):
            ask()
    assert [path.name for path in (tmp_path / "in").iterdir()] == [name]
    assert [path.name for path in root.iterdir()] == ["dvc.yaml"]


def test_a_quoted_address_of_a_store_is_read_as_sqlalchemy_reads_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/a%20b/m.db?timeout=30")
    assert tracking.tracking_uri() == f"sqlite:///{tmp_path}/a b/m.db?timeout=30"
    assert artifact_root() == tmp_path / "a b" / "mlartifacts"


# A project that was moved


@pytest.fixture
def project(trained, params, tmp_path, monkeypatch) -> Path:
    """A project whose models are in its own store."""
    root = tmp_path / "b"
    root.mkdir()
    shutil.move(tmp_path / "mlflow.db", root / "mlflow.db")
    (root / "dvc.yaml").touch()
    stand_in(root, monkeypatch)
    with tracking.RunPublisher("autoencoders") as runs:
        runs.publish_model(trained / "vae")
        runs.register("tiny-autoencoders", trained / "vae", "best-vae", "val/elbo", higher_is_better=True)
    return root


def stand_in(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")


def sampled(out: Path) -> int:
    sample(model="models:/tiny-autoencoders@best-vae", n=2, out=out)
    return len(list(out.glob("*.png")))


def places(root: Path) -> set[str]:
    """Beginnings, up to the folder of files, of all that a store says of places."""
    columns = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}
    with sqlite3.connect(root / "mlflow.db") as connection:
        asked = [f"SELECT {column} FROM {table}" for table, column in columns.items()]
        asked += [f"SELECT {column} FROM model_versions" for column in ("source", "storage_location")]
        said = [value for statement in asked for (value,) in connection.execute(statement)]
    found = {unquote(value.partition("/mlartifacts")[0]) for value in said if "/mlartifacts" in value}
    return {place.removeprefix("file://") for place in found}


def test_a_project_that_was_renamed_finds_its_models_and_leaves_nothing_where_it_was(
    project, tmp_path, monkeypatch, capsys
):
    moved = project.rename(tmp_path / "c")
    stand_in(moved, monkeypatch)
    capsys.readouterr()
    assert sampled(tmp_path / "s") == 3
    told = f"MLflow's files are in {moved}/mlartifacts from now on, not in {project}/mlartifacts\n"
    assert capsys.readouterr().out.startswith(told)
    assert places(moved) == {str(moved)}
    assert not project.exists()
    tracking.connect()
    assert capsys.readouterr().out == ""


def test_a_copied_project_and_its_original_are_apart(project, tmp_path, trained, monkeypatch):
    copy = Path(shutil.copytree(project, tmp_path / "copy of b"))
    before = tree(project)
    stand_in(copy, monkeypatch)
    with tracking.RunPublisher("autoencoders") as runs:
        runs.publish_model(trained / "ae")
        runs.log_figures(trained / "vae", {"model.json": trained / "vae" / "model.json"})
    assert tree(project) == before
    assert places(copy) == {str(copy)}
    assert sum(name.endswith("weights.safetensors") for name in tree(copy)) == 2


def test_a_database_that_was_copied_alone_still_finds_earlier_files_and_puts_new_ones_beside_it(
    project, tmp_path, trained, monkeypatch, capsys
):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(project / "mlflow.db", alone)
    stand_in(alone, monkeypatch)
    before = tree(project)
    assert sampled(tmp_path / "s") == 3
    assert f"not in {project}/mlartifacts; those of earlier ones stay there\n" in capsys.readouterr().out
    with tracking.RunPublisher("autoencoders") as runs:
        runs.publish_model(trained / "ae")
    assert tree(project) == before
    assert sum(name.endswith("weights.safetensors") for name in tree(alone)) == 1


def test_a_place_that_somebody_chose_is_left_alone(project, tmp_path, monkeypatch):
    chosen = {"a": (tmp_path / "else").as_uri(), "b": "s3://bucket/mlartifacts"}
    client = tracking.connect()
    for name, place in chosen.items():
        client.create_experiment(name, artifact_location=place)
    stand_in(project.rename(tmp_path / "c"), monkeypatch)
    client = tracking.connect()
    assert {name: client.get_experiment(experiment_id(client, name)).artifact_location for name in chosen} == chosen


def test_a_missing_model_says_which_folder_is_missing(project, tmp_path):
    shutil.rmtree(project / "mlartifacts" / "models")
    with pytest.raises(UserError) as caught:
        sampled(tmp_path / "s")
    said = str(caught.value)
    assert said.startswith("the files of models:/tiny-autoencoders@best-vae are missing: there are none in ")
    assert f" {project}/mlartifacts/models/m-" in said
