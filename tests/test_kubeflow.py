"""Between KFP and the stages: parameters survive the way there, folders arrive, mistakes are one line."""

import json
import os
import re
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2

from autoencoders import kubeflow, kubeflow_pages
from autoencoders.errors import UserError
from autoencoders.ladder.record import FORMAT
from autoencoders.params import PARAMETERS, Params, load_params, parse_params

ROOT = Path(__file__).parents[1]


@dataclass
class Artifact:
    path: str
    metadata: dict[str, Any] = field(default_factory=dict)


def as_delivered(value: Any) -> Any:
    """What becomes of a value on its way through KFP: protobuf's structures, in which each number is a float."""
    return json.loads(json_format.MessageToJson(json_format.ParseDict(value, struct_pb2.Value())), parse_int=float)


def at(params: Params, part: str) -> Any:
    value: Any = params
    for key in part.split("."):
        value = getattr(value, key)
    return value


def leaves(params: Params) -> set[str]:
    sections = set(params.model_dump()) - {"ladder"}
    return sections | {f"ladder.{key}" for key in params.ladder.model_dump()}


def test_the_parts_are_the_whole_of_params_yaml() -> None:
    assert set(PARAMETERS) == leaves(load_params(ROOT / "params.yaml"))
    assert len(set(PARAMETERS)) == len(PARAMETERS)


def test_every_part_arrives_as_it_was_sent() -> None:
    params = load_params(ROOT / "params.yaml")
    sent = kubeflow.arguments(params)
    for part in PARAMETERS[:-1]:
        arrived = kubeflow.parameters({part: as_delivered(sent[kubeflow.argument(part)])})
        assert at(arrived, part) == at(params, part), part
    assert list(kubeflow.parameters({"models": sent["models_params"]}).models) == list(params.models)


def test_a_float_that_is_whole_stays_what_its_section_wants() -> None:
    models = {"vae": {"kind": "vae", "latent": 2, "beta": 2.0}}
    params = parse_params({"prepare": {"validation": 0.25}, "ladder": {"beta": {"betas": [1, 2]}}, "models": models})
    sent = kubeflow.arguments(params)
    arrived = kubeflow.parameters(
        {part: as_delivered(sent[kubeflow.argument(part)]) for part in ("prepare", "models", "ladder.beta")}
    )
    assert (arrived.prepare.validation, arrived.ladder.beta.betas) == (0.25, [1.0, 2.0])
    assert arrived.models["vae"].beta == 2.0
    assert type(arrived.models["vae"].latent) is int


def test_a_part_alone_is_not_held_against_defaults_of_another() -> None:
    """A warm-up of 30 epochs is longer than the default training, which the component does not get."""
    arrived = kubeflow.parameters({"models": {"vae": {"kind": "vae", "latent": 2, "kl_warmup": 30}}})
    assert arrived.models["vae"].kl_warmup == 30


def test_a_part_that_is_wrong_ends_in_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        kubeflow.run(lambda params: None, {"train": {"epochs": 2.5}})
    assert ended.value.code == 2
    assert re.fullmatch(r"error: the pipeline's parameters: train\.epochs: .*2\.5\n", capsys.readouterr().err)


def test_artifacts_arrive_as_folders(tmp_path: Path) -> None:
    for name in ("ae", "vae"):
        (tmp_path / f"of-{name}" / name).mkdir(parents=True)
        (tmp_path / f"of-{name}" / name / "metrics.json").write_text(name)
    seen = {}

    def stage(params: Params, *, data: Path, evaluation: Path, out: Path, model: str) -> None:
        seen.update(data=data, out=out, model=model, folder=evaluation)
        seen["read"] = {path.name: (path / "metrics.json").read_text() for path in evaluation.iterdir()}

    evaluation = [Artifact(str(tmp_path / f"of-{name}")) for name in ("ae", "vae")]
    given = {"data": Artifact("/data"), "evaluation": evaluation, "out": tmp_path / "out", "model": "ae"}
    kubeflow.run(stage, {}, **given)
    assert seen["read"] == {"ae": "ae", "vae": "vae"}
    assert (seen["data"], seen["out"], seen["model"]) == (Path("/data"), tmp_path / "out", "ae")
    assert not seen["folder"].exists()


def test_an_artifact_without_its_one_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must hold one folder, found 0"):
        kubeflow.only(Artifact(str(tmp_path)))


def test_a_digest_changes_with_a_name_or_a_byte_and_not_with_the_run(tmp_path: Path) -> None:
    def written(files: dict[str, str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return kubeflow.digest(Artifact(str(folder)))

    files = {"vae/weights": "1", "vae/model.json": "{}"}
    first = written(files)
    assert written({**files, "vae/run.json": "a", "vae/history.csv": "b"}) == first
    assert written({**files, "vae/weights": "2"}) != first
    assert written({"ae/weights": "1", "ae/model.json": "{}"}) != first
    assert written({"vae/weights": "1{}"}) != first


def test_checkpoints_are_found_again_by_the_same_training_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(kubeflow.CHECKPOINTS, str(tmp_path))
    first = kubeflow.checkpoints({"vae": {"latent": 2}}, {"epochs": 3}, "data")
    assert isinstance(first, Path)
    assert first.parent == tmp_path
    assert kubeflow.checkpoints({"vae": {"latent": 2}}, {"epochs": 3}, "data") == first
    assert kubeflow.checkpoints({"vae": {"latent": 2}}, {"epochs": 4}, "data") != first
    assert kubeflow.checkpoints({"vae": {"latent": 2}}, {"epochs": 3}, "other data") != first
    monkeypatch.setenv(kubeflow.CHECKPOINTS, "s3://bucket/prefix")
    assert kubeflow.checkpoints({"vae": {"latent": 2}}, {"epochs": 3}, "data") == f"s3://bucket/prefix/{first.name}"


def test_a_pod_without_a_tracking_server_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KFP_RUN_ID", "a-run")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(SystemExit) as ended:
        kubeflow.run(lambda params: pytest.fail("ran"), {})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: MLFLOW_TRACKING_URI is not set: a database in the pod")


def test_a_pod_that_is_evicted_leaves_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            kubeflow.run(lambda params: os.kill(os.getpid(), signal.SIGTERM), {})
        assert ended.value.code == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.cluster
def test_a_pod_with_several_gpus_trains_with_a_process_on_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepared: Path, store: str
) -> None:
    """Two processes as for two GPUs; there are none here, so that they compute on the processor, by `gloo`."""
    monkeypatch.setattr(kubeflow, "_gpus", lambda device: 2)
    parts = {"models": {"vae": {"kind": "vae", "hidden": [8.0], "latent": 2.0}}, "train": {"epochs": 2.0}}
    given = {"model": "vae", "data": Artifact(str(prepared)), "checkpoints": tmp_path / "c", "out": tmp_path / "vae"}
    kubeflow.train_on_gpus({**parts, "device": "auto"}, **given)
    described = json.loads((tmp_path / "vae" / "model.json").read_text())
    assert described["hardware"].startswith("2 × ")
    assert (described["best_epoch"] >= 1, described["train"]["epochs"]) == (True, 2)
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(SystemExit) as ended:
        kubeflow.train_on_gpus({**parts, "device": "auto"}, **given)
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
        monkeypatch.setenv(kubeflow.CHECKPOINTS, f"{root or tmp_path}/{volume}")
        out = Artifact(str(tmp_path / name))
        settings = {"model_params": {"vae": {"kind": "vae", "latent": 2.0}}, "train_params": {"epochs": 4.0}}
        data = {"data": Artifact(str(prepared)), "data_digest": "data"}
        components.train.python_func(**settings, device="cpu", **data, out=out)
        return str(out.metadata["weights_sha256"])

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
    assert (kubeflow._gpus("cpu"), kubeflow._gpus("cuda:1")) == (1, 1)


def test_the_page_of_a_rung_tells_its_story_and_shows_its_figure(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "beta"
    folder.mkdir(parents=True)
    (folder / "figure.png").write_bytes(b"\x89PNG")
    rung = {"format": FORMAT, "title": "T", "claim": "a < b", "alt": "what it shows", "story": ["one", "two"]}
    (folder / "rung.json").write_text(json.dumps(rung))
    page = Artifact(str(tmp_path / "page" / "page.html"))
    kubeflow_pages.show_rung(page, Artifact(str(tmp_path / "out")))
    text = Path(page.path).read_text()
    assert "<h1>T</h1>" in text
    assert "a &lt; b" in text
    assert 'src="data:image/png;base64,iVBORw==" alt="what it shows"' in text
    assert text.index("<img") < text.index("<p>one</p>") < text.index("<p>two</p>")


@pytest.mark.parametrize("uri", ["sqlite:///runs.db", "http://me:secret@127.0.0.1:9"])
def test_without_pages_in_mlflow_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    """A database that nobody serves, a server that does not answer: nothing fails, and nothing leads nowhere."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("AUTOENCODERS_MLFLOW_PAGES", "https://mlflow.example" if uri.startswith("sqlite") else "")
    model, rung, out = (Artifact(str(tmp_path / name)) for name in ("model", "rung", "out"))
    for folder, file, content in (
        (Path(model.path) / "vae", "run.json", {"run_id": "a" * 32}),
        (Path(model.path) / "vae", "model.json", {"name": "vae", "weights_sha256": "b", "validation": {}}),
        (Path(rung.path) / "beta", "rung.json", {}),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(json.dumps(content))
    Path(out.path).mkdir()
    (Path(out.path) / "comparison.md").write_text("| a table |\n")

    kubeflow_pages.show_model(model)
    assert model.metadata["mlflow_run"] == "a" * 32
    assert not [name for name in model.metadata if "page" in name]
    table, runs = Artifact(str(tmp_path / "table.md")), Artifact(str(tmp_path / "runs.md"))
    kubeflow_pages.show_comparison(table, out, [model])
    assert Path(table.path).read_text() == "| a table |\n"
    kubeflow_pages.show_runs(runs, [model], [rung])
    where = "http://127.0.0.1:9" if uri.startswith("http") else f"sqlite:///{Path.cwd() / 'runs.db'}"
    assert Path(runs.path).read_text() == f"The runs are in {where}.\n"
