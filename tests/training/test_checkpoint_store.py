"""Where checkpoints are: a folder and its lock, or an object store by its URL."""

import fcntl
from pathlib import Path

import pytest
from processes import run_python

from autoencoders.errors import UserError
from autoencoders.training.checkpoint import Checkpoint, open_store
from autoencoders.training.checkpoint_store import LocalStore, join_path
from autoencoders.training.object_store import ObjectStore


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (Path("a/b"), Path("a/b/vae")),
        ("a/b", Path("a/b/vae")),
        ("s3://bucket", "s3://bucket/vae"),
        ("s3://bucket/prefix/", "s3://bucket/prefix/vae"),
    ],
)
def test_a_model_s_place_is_beneath_a_folder_or_a_url(root, expected):
    assert join_path(root, "vae") == expected
    assert isinstance(open_store(join_path(root, "vae")), ObjectStore if isinstance(expected, str) else LocalStore)


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "://x", "file:///tmp/x", "local://x", "simplecache::s3://b/x"])
def test_a_url_without_a_store_is_refused(url):
    with pytest.raises(UserError, match=rf"^{url} is not in an object store\. Name a folder by its path, a store as"):
        join_path(url, "vae")


def test_a_folder_costs_no_import_of_a_store_s_client(tmp_path):
    code = (
        "import sys; from pathlib import Path; from autoencoders.training.checkpoint import Checkpoint\n"
        f"with (checkpoint := Checkpoint(Path({str(tmp_path)!r}), 'x')).acquire():\n"
        "    checkpoint.save({'progress': {'step': 1}})\n"
        "print(checkpoint.load()['identity'], {'fsspec', 's3fs', 'aiobotocore'} & set(sys.modules))"
    )
    done = run_python(code)
    assert done.stdout == "x set()\n"


def test_a_folder_goes_with_its_training_but_for_a_checkpoint(tmp_path):
    training = Checkpoint(tmp_path / "vae", "x")
    with training.acquire():
        training.save({"progress": {"step": 1}})
        assert (tmp_path / "vae" / "lock").exists()
    assert {path.name for path in (tmp_path / "vae").iterdir()} == {training.name, "lock"}
    with training.acquire():
        (tmp_path / "vae" / f"{training.name}.partial").touch()  # of a process that was killed while it wrote
        training.finish(Path())
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_keeps_nobody_out_and_is_made_anew(tmp_path, monkeypatch):
    """Between the moment at which a file is opened and that at which it is locked, its holder may remove it."""
    flock, opened = fcntl.flock, []

    def late(handle: object, how: int) -> None:
        if not opened:
            opened.append(handle)
            with monkeypatch.context() as patch:
                patch.setattr(fcntl, "flock", flock)
                with LocalStore(tmp_path / "vae").acquire():
                    pass
            assert not (tmp_path / "vae").exists()
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with (
        LocalStore(tmp_path / "vae").acquire(),
        pytest.raises(UserError, match="is already training vae"),
        LocalStore(tmp_path / "vae").acquire(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
