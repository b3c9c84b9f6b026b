"""Object stores by their URL: which client, at which address, and what is said where there is none."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoencoders.errors import UserError
from autoencoders.training import object_store
from autoencoders.training.checkpoint_store import LocalStore, Unreachable, join_path, open_store
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
def test_a_model_s_place_is_beneath_a_folder_or_a_url(root: Path | str, expected: Path | str) -> None:
    assert join_path(root, "vae") == expected
    assert isinstance(open_store(join_path(root, "vae")), ObjectStore if isinstance(expected, str) else LocalStore)


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "://x", "file:///tmp/x", "local://x", "simplecache::s3://b/x"])
def test_a_url_without_a_store_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=rf"^{url} is not in an object store\. Name a folder by its path, a store as"):
        join_path(url, "vae")


def test_an_unknown_scheme_and_a_missing_package_are_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs")):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    for url, said in (
        ("s3://b/x", "s3://b/x needs a package that is missing: Install s3fs to access S3."),
        (
            "gs://b/x",
            "gs://b/x needs a package that is missing: Please install gcsfs to access Google Storage.",
        ),
        ("abc://me:pw@b/x", "abc://b/x is no URL of an object store: Protocol not known: abc."),
    ):
        with pytest.raises(UserError) as caught:
            open_store(url)
        assert str(caught.value) == said


def test_a_folder_costs_no_import_of_a_store_s_client(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from autoencoders.training.checkpoint import Checkpoint\n"
        f"with (checkpoint := Checkpoint(Path({str(tmp_path)!r}), 'x')).acquire():\n"
        "    checkpoint.save({'progress': {'epoch': 1}})\n"
        "print(checkpoint.load()['identity'], {'fsspec', 's3fs', 'aiobotocore'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "x set()\n"


def test_s3_is_where_mlflow_s_artifacts_are_or_where_aws_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def address() -> str:
        store = object_store._store("s3://bucket/last.pt")[0]
        store.clear_instance_cache()
        store.connect(refresh=True)
        return str(store.s3.meta.endpoint_url)

    assert address() == "https://s3.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws:1")
    assert address() == "http://aws:1"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://mlflow:2")
    assert address() == "http://mlflow:2"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "")
    assert address() == "http://aws:1"


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """S3 is at a server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
        yield


def test_a_store_that_never_answers_is_given_up(silent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client waits for ever: it wants to be told to go on before it sends an object."""
    monkeypatch.setattr(object_store, "REQUEST_TIMEOUT", 0.5)
    objects = open_store("s3://bucket/vae")
    for ask in (
        lambda: objects.write(b"content", "a.pt"),
        lambda: objects.remove("a.pt"),
        lambda: objects.acquire().__enter__(),
    ):
        with pytest.raises(Unreachable, match=r"^s3://bucket/vae: no answer in time\.") as caught:
            ask()
        assert "the-" not in str(caught.value)
    assert "MLFLOW_S3_ENDPOINT_URL or AWS_ENDPOINT_URL" in str(caught.value)
