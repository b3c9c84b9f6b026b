"""`dvc.yaml` and `MLproject` call the same commands, and these are what the stages' functions take."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import mlflow.projects
import pytest
import yaml
from mlflow import MlflowClient

from autoencoders import cli
from autoencoders.ladder.record import RUNGS

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
DVC = {name: {**stage, **stage.get("do", {})} for name, stage in STAGES.items() if name != "ladder-of-models"}
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
BEYOND_DVC = {"main", "publish"}


def test_every_stage_is_an_entry_point_and_main_is_the_whole_pipeline():
    missing, unknown = DVC.keys() - PROJECT.keys(), PROJECT.keys() - DVC.keys() - BEYOND_DVC
    assert not missing, f"add these stages of dvc.yaml to MLproject: {sorted(missing)}"
    assert not unknown, f"remove these entry points of MLproject, or add them to dvc.yaml: {sorted(unknown)}"
    assert PROJECT["main"] == {"command": "autoencoders check && dvc repro"}


@pytest.mark.parametrize("stage", DVC)
def test_an_entry_point_runs_the_command_of_dvc_yaml(stage):
    expected = re.sub(r"\$\{item\.(\w+)\}", r"{\1}", DVC[stage]["cmd"].replace("${key}", "{rung}"))
    found = PROJECT[stage]["command"]
    assert found == expected, f"MLproject, entry point {stage}: write `command: {expected}`, as dvc.yaml has it"
    used, declared = set(re.findall(r"\{(\w+)\}", found)), set(PROJECT[stage].get("parameters", {}))
    assert used == declared, f"MLproject, entry point {stage}: declare just the parameters {sorted(used)}"


def test_all_rungs_are_measured_by_one_command():
    assert STAGES["ladder-of-models"]["do"]["cmd"] == STAGES["ladder"]["do"]["cmd"]
    assert sorted({**STAGES["ladder"]["foreach"], **STAGES["ladder-of-models"]["foreach"]}) == sorted(RUNGS)


@pytest.mark.parametrize("stage", [*DVC, "publish"])
def test_a_command_gives_a_stage_what_its_function_takes(stage):
    command = DVC[stage]["cmd"] if stage in DVC else PROJECT[stage]["command"]
    assert command.split()[:2] == ["autoencoders", stage]
    assert stage in cli.list_commands("stages"), f"write the function {stage} in stages/{stage}.py"
    given = set(re.findall(r" --([\w-]+)", command))
    taken = dict(inspect.signature(cli.find_command(stage)).parameters)
    del taken["params"]
    required = {
        name
        for name, parameter in taken.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY
    }
    where = "dvc.yaml and MLproject" if stage in DVC else "MLproject"
    assert given <= taken.keys(), f"{where}, {stage}: the function takes no {sorted(given - taken.keys())}"
    assert required <= given, f"{where}, {stage}: the function needs --{', --'.join(sorted(required - given))}"


@pytest.fixture
def repository(tmp_path, migrated, prepared) -> Path:
    """A repository with the real MLproject, a dvc.yaml of the one stage `train`, prepared data and two tiny models."""
    root = tmp_path / "a repository"
    shutil.copytree(prepared, root / "data" / "prepared")
    shutil.copy(migrated, root / "mlflow.db")
    shutil.copy(ROOT / "MLproject", root)
    models = {
        "ae": {"kind": "autoencoder", "arch": "mlp", "hidden": [8], "latent": 2},
        "pca": {"kind": "pca", "latent": 2},
    }
    (root / "params.yaml").write_text(yaml.safe_dump({"train": {"steps": 1}, "models": models}))
    train = {key: DVC["train"][key] for key in ("cmd", "outs")}
    stages = {"train": {**train, "matrix": {"model": ["pca"]}}}
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = True\n    analytics = False\n")
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    return root


def test_mlflow_runs_one_stage_in_a_run_and_the_pipeline_under_one(repository, monkeypatch):
    """Without MLFLOW_TRACKING_URI, so that `mlflow run`, the stage and `mlflow ui` have to agree on the store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    client = MlflowClient(f"sqlite:///{repository / 'mlflow.db'}")

    command = [sys.executable, "-m", "mlflow", "run", ".", "-e", "train", "-P", "model=ae", "--env-manager=local"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [run] = client.search_runs(["0"])
    assert run.info.run_id == json.loads((repository / "models" / "ae" / "run.json").read_text())["run_id"]
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.project.entryPoint"] == "train"
    assert "val/loss" in run.data.metrics
    assert run.info.run_name == "ae"

    mlflow.set_tracking_uri(f"sqlite:///{repository / 'mlflow.db'}")
    mlflow.projects.run(str(repository), env_manager="local")
    runs = {run.info.run_id: run for run in client.search_runs(["0"])}
    child = runs[json.loads((repository / "models" / "pca" / "run.json").read_text())["run_id"]]
    parent = runs[child.data.tags["mlflow.parentRunId"]]
    assert len(runs) == 3
    assert (child.info.status, child.data.tags["dvc_stage"]) == ("FINISHED", "train@pca")
    assert (parent.info.status, parent.data.tags["mlflow.project.entryPoint"]) == ("FINISHED", "main")
    assert (parent.info.run_name, child.info.run_name) == ("pipeline", "pca")
    assert {entry.name for entry in repository.glob("ml*")} <= {"mlflow.db", "mlflow.db.lock", "mlartifacts", "mlruns"}
