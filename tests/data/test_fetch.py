import errno
import hashlib
import time
from pathlib import Path

import pytest
from serving import refused_url, serving

from autoencoders.data import fetch
from autoencoders.data.fetch import FetchError, MissingError, UnreachableError, download_file, redact_url
from autoencoders.errors import UserError
from autoencoders.files.results import Digest

BODY = b"\x1f\x8b" + bytes(range(256)) * 40
DIGEST = Digest("md5", hashlib.md5(BODY).hexdigest())


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(fetch, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(fetch, "SILENCE_SECONDS", 1.0)


def attempt(behaviour: str, folder: Path, name: str = "file.gz"):
    with serving({"file.gz": BODY}, behaviour) as mirror:
        try:
            download_file(f"{mirror.url}/{name}", folder / "file.gz", DIGEST)
        finally:
            attempt.asked = len(mirror.asked)


@pytest.mark.parametrize("behaviour", ["good", "mislabelled"])
def test_bytes_arrive_as_sent(tmp_path, behaviour):
    attempt(behaviour, tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]


def test_a_passing_error_is_tried_again(tmp_path):
    attempt("fails once", tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == BODY
    assert attempt.asked == 2


@pytest.mark.parametrize(
    ("behaviour", "kind", "reason", "tries"),
    [
        ("html", FetchError, "sent an HTML page instead of the file", 1),
        ("wrong", FetchError, "wrong checksum (md5 ", 1),
        ("empty", FetchError, "sent an empty file", 1),
        ("truncated", FetchError, "cut the download short after 5,121 bytes (2 tries)", 2),
        ("hangs", UnreachableError, "does not answer (timed out)", 1),
        ("hangs up", UnreachableError, "closed the connection (2 tries)", 2),
    ],
)
def test_a_bad_answer_is_named_and_leaves_nothing(tmp_path, behaviour, kind, reason, tries):
    with pytest.raises(FetchError) as error:
        attempt(behaviour, tmp_path)
    assert type(error.value) is kind
    assert reason in str(error.value)
    assert attempt.asked == tries
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_not_asked_for_twice(tmp_path):
    with pytest.raises(MissingError, match="no such file"):
        attempt("good", tmp_path, name="other.gz")
    assert attempt.asked == 1


def test_a_refused_connection_fails_at_once(tmp_path):
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="connection refused"):
        download_file(f"{refused_url()}/file.gz", tmp_path / "file.gz", DIGEST)
    assert time.monotonic() - began < 2


def test_a_trickle_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "SLOW_AFTER", 0.3)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="bytes a second"):
        attempt("trickles", tmp_path)
    assert time.monotonic() - began < 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("trickles headers", "does not answer (timed out)"),
        ("trickles many headers", "does not answer (timed out)"),
        ("trickles sizes of chunks", "does not answer (timed out)"),
        ("is fast and then trickles", "bytes a second"),
    ],
)
def test_one_deadline_covers_headers_and_body(tmp_path, monkeypatch, behaviour, reason):
    monkeypatch.setattr(fetch, "SLOW_AFTER", 0.3)
    monkeypatch.setattr(fetch, "MIN_PACE", 100_000)
    with pytest.raises(UnreachableError) as caught:
        attempt(behaviour, tmp_path)
    assert reason in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("behaviour", ["never ends", "never ends, in chunks", "claims much"])
def test_a_file_without_end_is_given_up(tmp_path, behaviour):
    with (
        serving({"file.gz": BODY}, behaviour) as mirror,
        pytest.raises(FetchError, match="sends more than 1,000,000 by"),
    ):
        download_file(f"{mirror.url}/file.gz", tmp_path / "file.gz", DIGEST, max_bytes=1_000_000)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_of_a_file_that_claims_to_be_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "_chunks", lambda raw: pytest.fail("read"))
    with pytest.raises(FetchError, match="sends more than 1,073,741,824 bytes, so it is another file"):
        attempt("claims much", tmp_path)


def test_a_redirection_s_own_body_is_not_read(tmp_path):
    with serving({"elsewhere": BODY}, "never ends a redirection") as mirror:
        download_file(f"{mirror.url}/file.gz", tmp_path / "file.gz", DIGEST)
    assert (tmp_path / "file.gz").read_bytes() == BODY


@pytest.mark.parametrize("behaviour", ["never ends", "claims much"])
def test_a_page_without_end_is_given_up(monkeypatch, behaviour):
    monkeypatch.setattr(fetch, "MAX_PAGE_BYTES", 1_000_000)
    with serving({}, behaviour) as server, pytest.raises(FetchError, match="sends more than 1,000,000 bytes"):
        fetch.download_page(server.url, "text/html")


def test_a_full_disk_is_the_users_to_mend(tmp_path, monkeypatch):
    (tmp_path / "file.gz").write_bytes(b"what was there before")

    def full(response):
        yield BODY[:100]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "_chunks", full)
    with pytest.raises(UserError, match=f"No space left on the disk that holds {tmp_path}"):
        attempt("good", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]
    assert (tmp_path / "file.gz").read_bytes() == b"what was there before"


def test_addresses_are_shown_without_secrets():
    assert redact_url("https://me:secret@host:8080/a/b.gz?token=1") == "https://host:8080/a/b.gz"
    assert redact_url("https://me:sec/r@et@[::1/a?token=1") == "https://[::1/a"
    assert redact_url("https://host/a\nb\x1b") == "https://host/ab?"
