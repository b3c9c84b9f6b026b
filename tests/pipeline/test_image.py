"""The container image, where `make image` has built it: what is in it, and a task in it that must fail."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compiled import ROOT  # isort: skip

IMAGE = "autoencoders:" + re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)[0]


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


pytestmark = pytest.mark.skipif(
    shutil.which("docker") is None or docker("image", "inspect", IMAGE).returncode != 0,
    reason=f"Docker has no image {IMAGE}: `make image` builds it",
)


def within(script: str) -> str:
    """The output of a script in a container whose root file system is read-only."""
    done = docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", IMAGE, "sh", "-ec", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_has_the_package_and_nothing_that_builds_or_belongs_to_others() -> None:
    assert "stages of the pipeline" in within("autoencoders --help")
    assert within("id -u").strip() == "10001"
    assert within("command -v gcc cc make git uv || true").strip() == ""
    package = {"autoencoders", "bin", f"autoencoders-{IMAGE.partition(':')[2]}.dist-info"}
    assert set(within("ls -A /opt/autoencoders").split()) == package
    assert set(within("ls -A /opt").split()) == {"autoencoders", "venv"}
    assert within("find / -xdev -name .git -not -path '/proc/*' 2>/dev/null || true").strip() == ""


def test_it_computes_without_a_writable_root() -> None:
    said = within("python3 -c 'import torch, kfp, mlflow; print(float(torch.ones(2, 2).det()))'")
    assert said.strip() == "0.0"


def test_its_labels_say_which_commit_and_version_it_is() -> None:
    found = docker("inspect", IMAGE, "--format", "{{json .Config.Labels}}").stdout
    assert f'"org.opencontainers.image.version":"{IMAGE.partition(":")[2]}"' in found
    assert re.search(r'"org\.opencontainers\.image\.revision":"[0-9a-f]{40}"', found)


def test_a_task_that_fails_in_its_container_fails_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    settings = ["-S", "data.name=folder", "-S", f"data.folder={tmp_path / 'pictures'}"]
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "local",
        "--runner",
        "docker",
        "--root",
        str(tmp_path / "out"),
        *settings,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds no images" in done.stdout
    assert (
        done.stderr.strip().splitlines()[-1].startswith("error: Pipeline 'autoencoders' finished with status FAILURE.")
    )
