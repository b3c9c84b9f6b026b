"""Object stores: which client, at which address, what is said where there is none, and who holds the lease."""

import json
import socket
import sys
import time
from collections.abc import Iterator

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from autoencoders.errors import UserError
from autoencoders.training import object_store
from autoencoders.training.checkpoint import open_store
from autoencoders.training.checkpoint_store import Unreachable
from autoencoders.training.object_store import LEASE, Lease


def test_an_unknown_scheme_and_a_missing_package_are_named_in_one_line(monkeypatch):
    for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs")):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    for url, said in (
        ("s3://b/x", "s3://b/x needs a package that is missing: Install s3fs to access S3."),
        ("gs://b/x", "gs://b/x needs a package that is missing: Please install gcsfs to access Google Storage."),
        ("abc://me:pw@b/x", "abc://b/x is no URL of an object store: Protocol not known: abc."),
    ):
        with pytest.raises(UserError) as caught:
            open_store(url)
        assert str(caught.value) == said


def test_s3_is_where_mlflow_s_artifacts_are_or_where_aws_says(monkeypatch):
    for variable in ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def address() -> str:
        store = object_store._store("s3://bucket/last.pt")[0]
        store.clear_instance_cache()
        store.connect(refresh=True)
        assert store.max_concurrency == 1  # parts fetched separately could belong to two checkpoints
        return str(store.s3.meta.endpoint_url)

    assert address() == "https://s3.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws:1")
    assert address() == "http://aws:1"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://mlflow:2")
    assert address() == "http://mlflow:2"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "")
    assert address() == "http://aws:1"


@pytest.fixture
def silent(monkeypatch) -> Iterator[None]:
    """S3 is at a server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
        yield


def test_a_store_that_never_answers_is_given_up(silent, monkeypatch):
    """Its client waits forever for the server's leave to send an object."""
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


def test_an_upload_has_a_second_more_for_each_megabyte(memory, monkeypatch):
    store, given = open_store(f"{memory}/vae"), []
    monkeypatch.setattr(store, "_call", lambda seconds, *call: given.append((seconds, call[0])))
    store.write(bytes(2_500_000), "a.pt")
    store.remove("a.pt")
    assert given == [(32.5, "pipe_file"), (30, "rm_file")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(TimeoutError(), "no answer in time"), (TimeoutError("slow.\nvery"), "slow"), (OSError(), "OSError")],
)
def test_a_failure_is_named_in_one_line(memory, monkeypatch, error, reason):
    def fails(*call: object) -> None:
        raise error

    store = open_store(f"{memory}/vae")
    monkeypatch.setattr(store, "_call", fails)
    with pytest.raises(Unreachable) as caught:
        store.remove("a.pt")
    assert str(caught.value) == f"{memory}/vae: {reason}."


def test_a_lease_expires_after_more_than_three_minutes_without_a_renewal(memory, clock):
    store, waited = open_store(f"{memory}/vae"), []

    def wait(holder: str) -> None:
        waited.append(holder)
        clock(90)

    store.write(b'{"owner": "a", "host": "pod-a"}', LEASE)
    with Lease(store, "b").held(wait):
        assert len(waited) == 3


def test_a_lease_that_is_renewed_is_waited_for_and_one_that_is_not_has_expired(memory, clock):
    store, waited = open_store(f"{memory}/vae"), []
    renewals = 5

    def wait(holder: str) -> None:
        waited.append(holder)
        clock(object_store.LEASE_TIMEOUT - 1)
        if len(waited) <= renewals:
            store.write(json.dumps({"owner": "a", "host": "pod-a", "renewed": len(waited)}).encode(), LEASE)

    store.write(json.dumps({"owner": "a", "host": "pod-a", "renewed": 0}).encode(), LEASE)
    with Lease(store, "b").held(wait):
        assert json.loads(store.open(LEASE).read())["owner"] == "b"
    assert waited == ["a process on pod-a"] * (renewals + 2)
    assert MemoryFileSystem.store == {}


def test_an_own_or_a_damaged_lease_is_not_waited_for(memory):
    store = open_store(f"{memory}/vae")
    for content in (b'{"owner": "a"}', b"", b"[]"):
        store.write(content, LEASE)
        with Lease(store, "a").held(lambda holder: pytest.fail("waited")):
            pass
        assert MemoryFileSystem.store == {}


def test_a_lease_that_another_training_has_taken_over_is_left_to_it(memory):
    store = open_store(f"{memory}/vae")
    with Lease(store, "a").held(lambda holder: pytest.fail("waited")):
        store.write(b'{"owner": "b"}', LEASE)
    assert store.names() == [LEASE]


def test_a_lease_is_renewed_while_it_is_held_and_an_outage_is_no_matter(flaky, monkeypatch):
    monkeypatch.setattr(object_store, "RENEW_INTERVAL", 0.001)
    store = open_store("flaky://bucket/vae")

    def renewed() -> float:
        return float(json.loads(store.open(LEASE).read())["renewed"])

    with Lease(store, "a").held(lambda holder: pytest.fail("waited")):
        for _ in range(2):
            before = renewed()
            while renewed() == before:
                pass
            flaky.add("pipe_file")
            time.sleep(0.01)
            flaky.clear()


def test_a_store_that_goes_away_while_it_is_waited_for_is_waited_for_too(flaky):
    store, waited = open_store("flaky://bucket/vae"), []
    store.write(b'{"owner": "a"}', LEASE)

    def wait(holder: str) -> None:
        waited.append(holder)
        flaky.clear()
        if len(waited) == 1:
            flaky.add("cat_file")
        elif len(waited) == 3:
            store.remove(LEASE)

    with Lease(store, "b").held(wait):
        assert len(waited) == 3
    flaky.add("cat_file")
    with pytest.raises(Unreachable), Lease(store, "b").held(wait):
        pass
