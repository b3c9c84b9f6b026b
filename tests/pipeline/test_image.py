"""The container image that `make image` built: what is in it, the whole pipeline in it, a task that must fail."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from compiled import ROOT

from autoencoders.ladder.record import RUNGS

IMAGE = "autoencoders:" + re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)[0]


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


pytestmark = pytest.mark.image


@pytest.fixture(scope="module", autouse=True)
def _image() -> None:
    found = docker("image", "inspect", IMAGE)
    assert found.returncode == 0, (
        f"Docker has no image {IMAGE}, or does not answer: {found.stderr}`make image` builds it."
    )


def within(script: str) -> str:
    """The output of a script in a container whose root file system is read-only."""
    done = docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", IMAGE, "sh", "-ec", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_has_the_package_and_nothing_that_builds_or_belongs_to_others():
    assert "stages of the pipeline" in within("autoencoders --help")
    assert within("id -u").strip() == "10001"
    assert within("command -v gcc cc make git uv || true").strip() == ""
    package = {"autoencoders", "components", "bin", f"autoencoders-{IMAGE.partition(':')[2]}.dist-info"}
    assert set(within("ls -A /opt/autoencoders").split()) == package
    assert set(within("ls -A /opt").split()) == {"autoencoders", "venv"}
    assert within("find / -xdev -name .git -not -path '/proc/*' 2>/dev/null || true").strip() == ""


def test_it_computes_without_a_writable_root():
    said = within("python3 -c 'import torch, kfp, mlflow; print(float(torch.ones(2, 2).det()))'")
    assert said.strip() == "0.0"


def test_its_labels_say_which_commit_and_version_it_is():
    found = docker("inspect", IMAGE, "--format", "{{json .Config.Labels}}").stdout
    assert f'"org.opencontainers.image.version":"{IMAGE.partition(":")[2]}"' in found
    assert re.search(r'"org\.opencontainers\.image\.revision":"[0-9a-f]{40}"', found)


def locally(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", "local", "--runner", "docker", "--root", str(root), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The repository's parameters, all of MNIST with them, but small models that train for an epoch."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["train"] |= {"steps": 55, "batch_size": 1000}
    params["features"] |= {"epochs": 1, "images": 1000}
    params["evaluate"] |= {"importance_samples": 3, "importance_images": 100, "mixture_components": 2}
    params["models"] = {
        "pca": {"kind": "pca", "latent": 8},
        "ae": {"kind": "autoencoder", "latent": 8, "hidden": [64]},
        "vae": {"kind": "vae", "latent": 8, "hidden": [64]},
    }
    params["ladder"]["one_image"] |= {"networks": [[8, 8]], "steps": 20}
    params["ladder"]["one_hot"] |= {"counts": [4], "steps": 20}
    params["ladder"]["auto_decoder"] |= {"images": 100, "epochs": 2}
    params["ladder"]["linear"] |= {"latents": [8], "epochs": 1}
    params["ladder"]["beta"] |= {
        "betas": [0.1, 10.0],
        "hidden": [32],
        "decoder_hidden": [32],
        "images": 1000,
        "epochs": 2,
    }
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def ran(small, tmp_path_factory) -> Path:
    """The folder in which the whole pipeline left its artifacts, every task of it a container."""
    root = tmp_path_factory.mktemp("pipeline")
    done = locally(root, "--params", str(small))
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def artifact(root: Path, name: str) -> Path:
    [found] = root.glob(f"*/{name}")
    return found


def test_the_whole_pipeline_runs_in_its_containers(ran):
    report = (ran / "index.html").read_text()
    assert all(f">{model}<" in report for model in ("pca", "ae", "vae"))
    measured = {
        path.parent.name: json.loads(path.read_text())
        for path in ran.rglob("compare/results/evaluation/*/metrics.json")
    }
    assert set(measured) == {"pca", "ae", "vae"}
    assert 0.02 < measured["pca"]["mse"] < 0.04  # 8 components of MNIST
    assert measured["vae"]["nll"] < -measured["vae"]["elbo"] < 300
    assert all(len(list(ran.rglob(f"{rung}/rung.json"))) == 1 for rung in RUNGS)


def test_the_runs_in_mlflow_name_the_image_and_the_task(ran):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{ran / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("autoencoders")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    [pipeline] = [name for name in runs if name.startswith("kubeflow ")]
    assert set(runs) == {pipeline, "pca", "ae", "vae", *(f"ladder: {rung}" for rung in RUNGS)}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    identity = docker("inspect", IMAGE, "--format", "{{.Id}}").stdout.strip()
    for name, run in runs.items():
        assert run.data.tags["image"] == f"{IMAGE} ({identity})"
        assert run.data.tags["git_commit"] in docker("inspect", IMAGE).stdout
        assert run.data.tags.get("mlflow.parentRunId") == (None if name == pipeline else runs[pipeline].info.run_id)
    assert {runs[name].data.tags["kfp_task"] for name in ("pca", "ae", "vae")} == {"train"}
    assert runs["ladder: beta"].data.tags["kfp_task"] == "ladder"


def test_a_container_gives_the_weights_that_this_machine_s_own_python_gives(ran, small, tmp_path):
    data, out = artifact(ran, "prepare/data"), tmp_path / "models" / "vae"
    command = [
        sys.executable,
        "-m",
        "autoencoders",
        "train",
        "--model=vae",
        f"--params={small}",
        f"--data={data}",
        f"--out={out}",
    ]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    subprocess.run([*command, f"--checkpoints={tmp_path / 'checkpoints'}"], check=True, env=environment, cwd=tmp_path)
    [contained] = ran.rglob("train/model/vae/model.json")
    assert (
        json.loads(contained.read_text())["weights_sha256"]
        == json.loads((out / "model.json").read_text())["weights_sha256"]
    )


def test_a_task_that_fails_in_its_container_fails_the_pipeline(tmp_path):
    (tmp_path / "pictures").mkdir()
    settings = ["-S", "data.name=folder", "-S", f"data.folder={tmp_path / 'pictures'}"]
    done = locally(tmp_path / "out", *settings)
    assert done.returncode == 2
    assert "holds no images" in done.stdout
    assert (
        done.stderr.strip().splitlines()[-1].startswith("error: Pipeline 'autoencoders' finished with status FAILURE.")
    )
