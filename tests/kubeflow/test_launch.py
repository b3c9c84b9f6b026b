"""A task under Kubeflow Pipelines: its stage gets parameters and folders, and its mistakes are one line."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from artifacts import Artifact
from processes import run_python

from autoencoders.kubeflow import launch
from autoencoders.params import Params


def test_a_part_that_is_wrong_ends_in_one_line_and_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        launch.run(lambda params: None, {"train": {"steps": 2.5}})
    assert ended.value.code == 2
    assert re.fullmatch(r"error: the pipeline's parameters: train\.steps: .*2\.5\n", capsys.readouterr().err)


def test_artifacts_arrive_as_folders(tmp_path):
    seen = {}

    def stage(params: Params, *, data: Path, models: Path, out: Path, model: str) -> None:
        seen.update(data=data, models=models, out=out, model=model)

    launch.run(stage, {}, data=Artifact("/data"), models=tmp_path, out=Artifact("/out"), model="ae")
    assert seen == {"data": Path("/data"), "models": tmp_path, "out": Path("/out"), "model": "ae"}
    assert os.environ["KFP_TASK"] == "stage"


def test_checkpoints_are_found_again_by_the_same_training_alone(monkeypatch, tmp_path):
    monkeypatch.setenv(launch.CHECKPOINTS, str(tmp_path))
    first = launch.checkpoints({"vae": {"latent": 2}}, {"steps": 3}, "data")
    assert isinstance(first, Path)
    assert first.parent == tmp_path
    assert launch.checkpoints({"vae": {"latent": 2}}, {"steps": 3}, "data") == first
    assert launch.checkpoints({"vae": {"latent": 2}}, {"steps": 4}, "data") != first
    assert launch.checkpoints({"vae": {"latent": 2}}, {"steps": 3}, "other data") != first
    monkeypatch.setenv(launch.CHECKPOINTS, "s3://bucket/prefix")
    assert launch.checkpoints({"vae": {"latent": 2}}, {"steps": 3}, "data") == f"s3://bucket/prefix/{first.name}"


def test_a_pod_without_a_tracking_server_does_not_start(monkeypatch, capsys):
    monkeypatch.setenv("KFP_RUN_ID", "a-run")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(SystemExit) as ended:
        launch.run(lambda params: pytest.fail("ran"), {})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: MLFLOW_TRACKING_URI is not set: a database in the pod")


def test_a_pod_that_is_evicted_leaves_in_order(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            launch.run(lambda params: os.kill(os.getpid(), signal.SIGTERM), {})
        assert ended.value.code == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.cluster
def test_a_pod_with_several_gpus_trains_with_a_process_on_each(monkeypatch, tmp_path, prepared, store):
    """Two processes as for two GPUs; there are none here, so that they compute on the processor, by `gloo`."""
    monkeypatch.setattr(launch, "_gpus", lambda device: 2)
    parts = {"models": {"vae": {"kind": "vae", "hidden": [8.0], "latent": 2.0}}, "train": {"steps": 2.0}}
    given = {"model": "vae", "data": Artifact(str(prepared)), "checkpoints": tmp_path / "c", "out": tmp_path / "vae"}
    launch.train_on_gpus({**parts, "device": "auto"}, **given)
    described = json.loads((tmp_path / "vae" / "model.json").read_text())
    assert described["hardware"].startswith("2 × ")
    assert (described["best_step"] >= 0, described["train"]["steps"]) == (True, 2)
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(SystemExit) as ended:
        launch.train_on_gpus({**parts, "device": "auto"}, **given)
    assert ended.value.code == 3


@pytest.mark.parametrize("root", ["", "memory://bucket"])
def test_a_training_whose_pod_was_evicted_goes_on_in_the_next(monkeypatch, tmp_path, prepared, store, root):
    """The component, called again: another pod, the same parameters, and the volume or object store of the first."""
    import components

    seen: list[int] = []
    stop = {"after": 2}

    def log_validation(run: object, row: dict[str, float]) -> None:
        seen.append(int(row["step"]))
        if row["step"] == stop["after"]:
            os.kill(os.getpid(), signal.SIGTERM)

    def pod(name: str, volume: str) -> str:
        monkeypatch.setenv(launch.CHECKPOINTS, f"{root or tmp_path}/{volume}")
        model, summary = Artifact(str(tmp_path / name)), Artifact(str(tmp_path / f"{name}.md"))
        settings = {"model_params": {"vae": {"kind": "vae", "latent": 2.0}}, "train_params": {"steps": 4.0}}
        data = {"data": Artifact(str(prepared)), "data_digest": "data"}
        components.load_component("train").python_func(**settings, device="cpu", **data, model=model, summary=summary)
        return str(json.loads((tmp_path / name / "vae" / "model.json").read_text())["weights_sha256"])

    monkeypatch.setattr("autoencoders.tracking.ModelRun.log_validation", log_validation)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            pod("evicted", "volume")
        stop["after"] = -1
        resumed = pod("next", "volume")
        assert seen == [0, 1, 2, 3, 4]
        assert pod("undisturbed", "other volume") == resumed
        assert seen[5:] == [0, 1, 2, 3, 4]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_chosen_device_is_one_device():
    assert (launch._gpus("cpu"), launch._gpus("cuda:1")) == (1, 1)


def test_what_a_process_is_set_up_with_comes_from_calls_not_from_imports():
    program = (
        "import os, signal; before = dict(os.environ); from autoencoders import cli\n"
        "from autoencoders.kubeflow import artifacts, inputs, launch, pages, trainjob\n"
        "assert dict(os.environ) == before and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "launch.begin()\n"
        "assert os.environ['GOMP_SPINCOUNT'] == '3000' and signal.getsignal(signal.SIGTERM) != signal.SIG_DFL"
    )
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KFP_RUN_ID": "a-run"}
    run_python(program, env={**environment, **pod})
