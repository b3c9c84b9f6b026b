"""What a training changes: by what its run is named, and against what it is compared."""

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.utils.name_utils import _generate_random_name

from autoencoders.params import parse_params
from autoencoders.tracking.changes import CHANGES, RUN_NAME, give_name, is_random, name_by_changes

PARAMS = """
train: {steps: 100}
models:
  vae: {kind: vae, arch: mlp, hidden: [8], latent: 2, beta: 1.0}
  pca: {kind: pca, latent: 2}
"""


def described(name: str = "vae", data: str = "mnist", train: dict[str, Any] | None = None, **entry: Any) -> Any:
    """What model.json says of a training with the parameters above and these changes."""
    import yaml

    raw = yaml.safe_load(PARAMS)
    raw["models"][name] |= entry
    raw["train"] |= train or {}
    params = parse_params(raw)
    model = params.model(name)
    settings = params.training_of(name).model_dump() if model.trained_in_steps else None
    return {"name": name, "model": model.model_dump(), "train": settings, "dataset": {"name": data}}


def git(*arguments: str) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *author, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A commit, in the current folder, of the parameters above."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("DVC_EXP_BASELINE_REV")
    git("init", "-q")
    Path("params.yaml").write_text(PARAMS)
    git("add", ".")
    git("commit", "-qm", "1")
    return git("rev-parse", "--short", "HEAD")


@pytest.mark.parametrize(
    ("changes", "name", "listed"),
    [
        ({}, "vae", None),
        ({"beta": 4.0}, "vae β=4", "beta 1 → 4"),
        ({"beta": 0.5, "train": {"steps": 300}}, "vae β=0.5 steps=300", "beta 1 → 0.5, steps 100 → 300"),
        ({"hidden": [16, 8]}, "vae hidden=[16,8]", "hidden [8] → [16,8]"),
        ({"data": "cifar10"}, "vae data=cifar10", "name mnist → cifar10"),
        (
            {"latent": 3, "beta": 4.0, "kl_warmup": 0.5, "train": {"seed": 1, "grad_clip": 1.0}},
            "vae latent=3 β=4 kl_warmup=0.5 +2",
            "latent 2 → 3, beta 1 → 4, kl_warmup 0 → 0.5, seed 0 → 1, grad_clip null → 1",
        ),
    ],
)
def test_a_run_is_named_by_what_differs_from_the_commit(client, commit, changes, name, listed):
    tags = name_by_changes(client, described(**changes), {})
    assert tags.pop(RUN_NAME) == name
    assert tags == ({CHANGES: f"{listed} (against params.yaml of commit {commit})"} if listed else {})


def test_an_experiment_is_compared_with_what_it_began_from(client, commit, monkeypatch):
    Path("params.yaml").write_text(PARAMS.replace("beta: 1.0", "beta: 4.0"))
    git("commit", "-qam", "2")
    assert name_by_changes(client, described(beta=4.0), {}) == {RUN_NAME: "vae"}
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", git("rev-parse", "HEAD~1"))
    assert name_by_changes(client, described(beta=4.0), {})[RUN_NAME] == "vae β=4"


def test_an_experiment_that_changes_no_parameter_has_its_own_name(client, commit):
    assert name_by_changes(client, described("pca"), {"dvc_experiment": "gypsy-yoke"}) == {RUN_NAME: "pca (gypsy-yoke)"}


@pytest.mark.parametrize("text", ["models: {}", "}", "models: {pca: {kind: pca, latent: 2}}"])
def test_a_model_that_is_not_committed_has_its_plain_name(client, commit, text):
    Path("params.yaml").write_text(text)
    git("commit", "-qam", "2")
    assert name_by_changes(client, described(beta=4.0), {}) == {RUN_NAME: "vae"}


def test_without_git_a_run_is_compared_with_the_first_of_its_commit(client):
    def run(beta: float, commit: str) -> dict[str, str]:
        tags = {"model": "vae", "git_commit": commit}
        named = name_by_changes(client, described(beta=beta), tags)
        run_id = client.create_run("0", tags=tags).info.run_id
        client.log_param(run_id, "model.beta", str(beta))
        return named

    assert run(1.0, "a") == {RUN_NAME: "vae"}
    first = client.search_runs(["0"])[0].info.run_id
    assert run(4.0, "a") == {RUN_NAME: "vae β=4", CHANGES: f"beta 1 → 4 (against run {first})"}
    assert run(8.0, "a")[RUN_NAME] == "vae β=8"
    assert run(1.0, "a") == {RUN_NAME: "vae"}
    assert run(4.0, "b") == {RUN_NAME: "vae"}


def test_a_name_that_somebody_gave_stays(client: MlflowClient):
    random.seed(0)
    for _ in range(50):
        assert is_random(_generate_random_name())
    for name, after in (("", "evaluate: vae"), ("my-vae-2", "my-vae-2"), ("sweep", "sweep")):
        run_id = client.create_run("0", run_name=name or None).info.run_id  # without a name MLflow makes one up
        give_name(client, run_id, "evaluate: vae")
        assert client.get_run(run_id).info.run_name == after
