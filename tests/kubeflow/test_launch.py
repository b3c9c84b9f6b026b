"""Between KFP and the stages: parameters survive the way there, folders arrive, mistakes are one line."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2

from autoencoders.errors import UserError
from autoencoders.kubeflow import artifacts, inputs, launch
from autoencoders.params import Params, load_params, parse_params

ROOT = Path(__file__).parents[2]


@dataclass
class Artifact:
    path: str
    metadata: dict[str, Any] = field(default_factory=dict)


def as_delivered(value: Any) -> Any:
    """What becomes of a value on its way through KFP: protobuf's structures, in which each number is a float."""
    return json.loads(json_format.MessageToJson(json_format.ParseDict(value, struct_pb2.Value())), parse_int=float)


def test_every_section_but_tracking_arrives_as_it_was_sent() -> None:
    params = load_params(ROOT / "params.yaml")
    sent = inputs.to_kfp_inputs(params)
    sections = params.model_dump().keys() - {"tracking"}
    assert sent.keys() == {inputs.input_name(section) for section in sections}
    for section in sections:
        arrived = inputs.from_kfp_inputs({section: as_delivered(sent[inputs.input_name(section)])})
        assert getattr(arrived, section) == getattr(params, section), section
    assert list(inputs.from_kfp_inputs({"models": sent["models_params"]}).models) == list(params.models)


def test_a_float_that_is_whole_stays_what_its_section_wants() -> None:
    models = {"vae": {"kind": "vae", "latent": 2, "beta": 2.0}}
    params = parse_params({"prepare": {"validation": 0.25}, "ladder": {"beta": {"betas": [1, 2]}}, "models": models})
    sent = inputs.to_kfp_inputs(params)
    arrived = inputs.from_kfp_inputs(
        {part: as_delivered(sent[inputs.input_name(part)]) for part in ("prepare", "models", "ladder")}
    )
    assert (arrived.prepare.validation, arrived.ladder.beta.betas) == (0.25, [1.0, 2.0])
    assert arrived.models["vae"].beta == 2.0
    assert type(arrived.models["vae"].latent) is int


def test_a_part_alone_is_not_held_against_defaults_of_another() -> None:
    """A warm-up of 30 epochs is longer than the default training, which the component does not get."""
    arrived = inputs.from_kfp_inputs({"models": {"vae": {"kind": "vae", "latent": 2, "kl_warmup": 30}}})
    assert arrived.models["vae"].kl_warmup == 30


def test_a_part_that_is_wrong_ends_in_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        launch.run(lambda params: None, {"train": {"epochs": 2.5}})
    assert ended.value.code == 2
    assert re.fullmatch(r"error: the pipeline's parameters: train\.epochs: .*2\.5\n", capsys.readouterr().err)


def test_artifacts_arrive_as_folders(tmp_path: Path) -> None:
    seen = {}

    def stage(params: Params, *, data: Path, models: Path, out: Path, model: str) -> None:
        seen.update(data=data, models=models, out=out, model=model)

    launch.run(stage, {}, data=Artifact("/data"), models=tmp_path, out=Artifact("/out"), model="ae")
    assert seen == {"data": Path("/data"), "models": tmp_path, "out": Path("/out"), "model": "ae"}
    assert os.environ["KFP_TASK"] == "stage"


def test_an_artifact_without_its_one_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must hold one folder, found 0"):
        artifacts.single_subfolder(Artifact(str(tmp_path)))


def test_a_digest_changes_with_a_name_or_a_byte_and_not_with_the_run(tmp_path: Path) -> None:
    def written(files: dict[str, str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return artifacts.digest(Artifact(str(folder)))

    files = {"vae/weights": "1", "vae/model.json": "{}"}
    first = written(files)
    assert written({**files, "vae/run.json": "a", "vae/history.csv": "b"}) == first
    assert written({**files, "vae/weights": "2"}) != first
    assert written({"ae/weights": "1", "ae/model.json": "{}"}) != first
    assert written({"vae/weights": "1{}"}) != first


def test_checkpoints_are_found_again_by_the_same_training_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(launch.CHECKPOINTS, str(tmp_path))
    first = launch.checkpoints({"vae": {"latent": 2}}, {"epochs": 3}, "data")
    assert isinstance(first, Path)
    assert first.parent == tmp_path
    assert launch.checkpoints({"vae": {"latent": 2}}, {"epochs": 3}, "data") == first
    assert launch.checkpoints({"vae": {"latent": 2}}, {"epochs": 4}, "data") != first
    assert launch.checkpoints({"vae": {"latent": 2}}, {"epochs": 3}, "other data") != first
    monkeypatch.setenv(launch.CHECKPOINTS, "s3://bucket/prefix")
    assert launch.checkpoints({"vae": {"latent": 2}}, {"epochs": 3}, "data") == f"s3://bucket/prefix/{first.name}"


def test_a_pod_without_a_tracking_server_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KFP_RUN_ID", "a-run")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(SystemExit) as ended:
        launch.run(lambda params: pytest.fail("ran"), {})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: MLFLOW_TRACKING_URI is not set: a database in the pod")


def test_a_pod_that_is_evicted_leaves_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            launch.run(lambda params: os.kill(os.getpid(), signal.SIGTERM), {})
        assert ended.value.code == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.cluster
def test_a_pod_with_several_gpus_trains_with_a_process_on_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepared: Path, store: str
) -> None:
    """Two processes as for two GPUs; there are none here, so that they compute on the processor, by `gloo`."""
    monkeypatch.setattr(launch, "_gpus", lambda device: 2)
    parts = {"models": {"vae": {"kind": "vae", "hidden": [8.0], "latent": 2.0}}, "train": {"epochs": 2.0}}
    given = {"model": "vae", "data": Artifact(str(prepared)), "checkpoints": tmp_path / "c", "out": tmp_path / "vae"}
    launch.train_on_gpus({**parts, "device": "auto"}, **given)
    described = json.loads((tmp_path / "vae" / "model.json").read_text())
    assert described["hardware"].startswith("2 × ")
    assert (described["best_epoch"] >= 1, described["train"]["epochs"]) == (True, 2)
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(SystemExit) as ended:
        launch.train_on_gpus({**parts, "device": "auto"}, **given)
    assert ended.value.code == 3


@pytest.mark.parametrize("root", ["", "memory://bucket"])
def test_a_training_whose_pod_was_evicted_goes_on_in_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepared: Path, store: str, root: str
) -> None:
    """The component, called again: another pod, the same parameters, and the volume or object store of the first."""
    import components

    seen: list[int] = []
    stop = {"after": 2}

    def log_epoch(run: object, row: dict[str, float]) -> None:
        seen.append(int(row["epoch"]))
        if row["epoch"] == stop["after"]:
            os.kill(os.getpid(), signal.SIGTERM)

    def pod(name: str, volume: str) -> str:
        monkeypatch.setenv(launch.CHECKPOINTS, f"{root or tmp_path}/{volume}")
        model, summary = Artifact(str(tmp_path / name)), Artifact(str(tmp_path / f"{name}.md"))
        settings = {"model_params": {"vae": {"kind": "vae", "latent": 2.0}}, "train_params": {"epochs": 4.0}}
        data = {"data": Artifact(str(prepared)), "data_digest": "data"}
        components.load_component("train").python_func(**settings, device="cpu", **data, model=model, summary=summary)
        return str(json.loads((tmp_path / name / "vae" / "model.json").read_text())["weights_sha256"])

    monkeypatch.setattr("autoencoders.tracking.ModelRun.log_epoch", log_epoch)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            pod("evicted", "volume")
        stop["after"] = 0
        resumed = pod("next", "volume")
        assert seen == [1, 2, 3, 4]
        assert pod("undisturbed", "other volume") == resumed
        assert seen[4:] == [1, 2, 3, 4]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_chosen_device_is_one_device() -> None:
    assert (launch._gpus("cpu"), launch._gpus("cuda:1")) == (1, 1)


def test_what_a_process_is_set_up_with_comes_from_calls_not_from_imports() -> None:
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
    subprocess.run([sys.executable, "-c", program], env={**environment, **pod}, check=True)
