"""Where checkpoints are: a folder and its lock, or an object store by its URL."""

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
        "    checkpoint.save({'progress': {'epoch': 1}})\n"
        "print(checkpoint.load()['identity'], {'fsspec', 's3fs', 'aiobotocore'} & set(sys.modules))"
    )
    done = run_python(code)
    assert done.stdout == "x set()\n"


def test_a_lock_is_what_a_complete_training_leaves(tmp_path):
    training = Checkpoint(tmp_path / "vae", "x")
    with training.acquire():
        training.save({"progress": {"epoch": 1}})
    assert {path.name for path in (tmp_path / "vae").iterdir()} == {training.name, "lock"}
    with training.acquire():
        (tmp_path / "vae" / f"{training.name}.partial").touch()  # of a process that was killed while it wrote
        training.finish(Path())
    assert [path.name for path in (tmp_path / "vae").iterdir()] == ["lock"]
