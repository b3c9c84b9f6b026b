"""docs/kubernetes.md against the code: its secrets, its volume, its options, its keys."""

import re
import shlex
from typing import Any

import pytest
import yaml
from compiled import ROOT

from pipeline.cluster.kube import Kube
from pipeline.cluster.states import State
from pipeline.options import make_parser
from pipeline.profiles import FOLDER, Placement, Profile, load_profile

TEXT = (ROOT / "docs" / "kubernetes.md").read_text()
PROFILES = sorted(FOLDER.glob("*.yaml"))


def words(prefix: str) -> list[list[str]]:
    """The words of each command in the docs that begins so."""
    return [shlex.split(line, comments=True) for line in re.findall(rf"^{prefix}.*$", TEXT, re.M)]


def rows(header: str) -> set[str]:
    """All names in code in the first column of the table with this header."""
    table = TEXT[TEXT.index(f"\n\n{header}\n| ---") :].strip().split("\n\n")[0]
    return set(re.findall(r"`([^`]+)`", " ".join(line.split("|")[1] for line in table.splitlines())))


def applied(kind: str) -> dict[str, Any]:
    """The object of this kind that the docs have applied."""
    manifests = re.findall(r"kubectl apply [^\n]*<<'END'\n(.*?)\nEND", TEXT, re.S)
    [found] = [manifest for manifest in map(yaml.safe_load, manifests) if manifest["kind"] == kind]
    return found


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_its_secrets_are_those_that_the_profiles_read(file):
    made = {
        command[4]: {word.removeprefix("--from-literal=").split("=")[0] for word in command if "literal" in word}
        for command in words("kubectl create secret generic")
    }
    placement = load_profile(str(file)).default
    assert made.keys() == {secret.secret for secret in placement.secret_env}
    assert all(made[secret.secret] == set(secret.keys) for secret in placement.secret_env if secret.keys)


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_its_volume_is_the_one_that_the_profiles_mount(file):
    claim = applied("PersistentVolumeClaim")
    assert claim["apiVersion"] == "v1"
    checkpoints = load_profile(str(file)).checkpoints
    assert claim["metadata"]["name"] == checkpoints.claim


def test_its_object_store_is_a_place_for_checkpoints():
    [line] = re.findall(r"```yaml\n(checkpoints: .*)\n```", TEXT)
    profile = Profile.model_validate({"image": "autoencoders:1", **yaml.safe_load(line)})
    assert profile.checkpoints.url == "s3://bucket/prefix"


def test_its_commands_are_understood():
    commands = words("python -m pipeline")
    assert {command[3] for command in commands} == {"local", "submit", "status", "recurring", "upload"}
    for command in commands:
        make_parser().parse_args([word for word in command[3:] if word != "…"])


def test_its_table_of_options_is_that_of_submit(capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args(["submit", "--help"])
    known = set(re.findall(r"(?<![\w-])(-S|--[a-z-]+)", capsys.readouterr().out))
    documented = {option.split()[0] for option in rows("| option | |") if option.startswith("-")}
    assert documented | {"--help", "--params", "--host", "--profile", "--image"} == known


def test_its_role_has_the_rights_that_are_used(kube):
    role = applied("Role")
    rights = {(rule["apiGroups"][0], rule["resources"][0]): set(rule["verbs"]) for rule in role["rules"]}
    assert rights == {
        ("argoproj.io", "workflows"): {"get", "list"},
        ("", "pods/log"): {"get"},
        ("", "events"): {"list"},
    }
    kube.logs = {"impl-1": ""}
    asking = Kube("kubeflow")
    asking.workflow("run-1")
    asking.log("wf-impl-1")
    asking.mount_trouble("wf-impl-1")
    asked = {path.partition("/namespaces/kubeflow/")[2] for path in kube.asked}
    assert asked == {"workflows", "pods/wf-impl-1/log", "events"}
    [binding] = words("kubectl create rolebinding")
    assert f"--role={role['metadata']['name']}" in binding


def test_its_states_are_all_that_there_are():
    table = TEXT[TEXT.index("| state | |") :].split("\n\n")[0]
    documented = {state.strip() for line in table.splitlines()[2:] for state in line.split("|")[1].split(",")}
    assert documented == set(State)


def test_its_kfp_is_the_locked_one():
    [version] = re.findall(r"^kfp==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert f"({version})" in TEXT


def test_its_table_of_keys_is_the_profile_s():
    known = set(Profile.model_fields) | set(Placement.model_fields)
    assert rows("| key | |") == known - {"default", "stages", "trainjob"}
