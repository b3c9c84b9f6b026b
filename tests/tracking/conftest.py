"""Trainings that are recorded, and what starts them: MLflow Projects, Kubeflow Pipelines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autoencoders import tracking
from autoencoders.params import Params
from autoencoders.stages.train import train

Hook = Callable[[tracking.ModelRun, dict[str, float]], None]


@pytest.fixture
def train_model(params, prepared, tmp_path) -> Callable[..., Path]:
    def trained_folder(name: str, params: Params = params) -> Path:
        out = tmp_path / "models" / name
        train(params, model=name, data=prepared, checkpoints=tmp_path / "checkpoints", out=out)
        return out

    return trained_folder


@pytest.fixture
def at_validation(monkeypatch) -> Callable[[Hook], None]:
    """Have something happen at each validation, before its metrics are logged."""
    log_validation = tracking.ModelRun.log_validation

    def install(hook: Hook) -> None:
        def hooked(run: tracking.ModelRun, row: dict[str, float]) -> None:
            hook(run, row)
            log_validation(run, row)

        monkeypatch.setattr(tracking.ModelRun, "log_validation", hooked)

    return install


@pytest.fixture
def broken_off(at_validation) -> Callable[..., list[str]]:
    """Have the next training end with an error at its first validation; return where its run's id will be."""

    def install(error: type[BaseException] = KeyboardInterrupt) -> list[str]:
        seen: list[str] = []

        def break_off(run: tracking.ModelRun, row: dict[str, float]) -> None:
            if not seen:
                seen.append(run.run_id)
                raise error("stop")

        at_validation(break_off)
        return seen

    return install


@pytest.fixture
def injected(client, tmp_path, monkeypatch) -> str:
    """A run such as `mlflow run` starts, in another experiment than the parameters name."""
    # a bare client of MLflow's would keep its files in mlruns, where the tests were started
    experiment = client.create_experiment("launched", artifact_location=(tmp_path / "artifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


@pytest.fixture
def task(client, monkeypatch) -> Callable[..., None]:
    """Be a task of a Kubeflow pipeline; called, another one."""

    def become(name: str = "train", pipeline: str = "c0ffee00-1") -> None:
        for variable, value in {"KFP_RUN_ID": pipeline, "KFP_TASK": name, "AUTOENCODERS_IMAGE": "a@sha256:1"}.items():
            monkeypatch.setenv(variable, value)

    become()
    return become
