"""The commands that need no cluster: what they print and write, and one line for each mistake."""

import os
from typing import Any

import pytest
import yaml
from compiled import PINNED, ROOT, parse
from google.protobuf import json_format
from mlflow import MlflowClient

from autoencoders.kubeflow import inputs
from autoencoders.params import Params
from autoencoders.tracking.pipeline_run import kubeflow_run
from autoencoders.tracking.store import create_run, tagged
from components import component_names
from pipeline.graph import build


def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(server, call):
    code, out, _ = call("submit", "--dry-run", "--host", server.host, "-S", "train.steps=3", "--run-name", "x")
    assert code == 0
    assert server.sent == []
    shown, *documents = yaml.safe_load_all(out)
    assert (shown["name"], shown["experiment"], shown["arguments"]["train_params"]["steps"]) == (
        "x",
        "autoencoders",
        3,
    )
    pipeline = parse(yaml.safe_dump_all(documents))
    default = pipeline.spec.root.input_definitions.parameters["train_params"].default_value
    assert json_format.MessageToDict(default)["steps"] == 3


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.stpes=3", "params.yaml with -S train.stpes=3: train.stpes: unknown key. Did you mean 'steps'?"),
        ("models.vae.beta=-1", "params.yaml with -S models.vae.beta=-1: models.vae.beta:"),
        ("train.steps", "-S train.steps: write key=value"),
        ("device.name=cpu", "-S device.name: device is a value"),
        ("train.steps=[", "-S train.steps=[: the value is not valid YAML"),
    ],
)
def test_a_wrong_setting_is_reported_before_anything_is_sent(server, call, setting, said):
    code, _, err = call("submit", "--host", server.host, "-S", setting)
    assert (code, server.sent, server.tokens) == (2, [], [])
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("lokal", "there is no command 'lokal'. Did you mean 'local'? See `python -m pipeline --help`."),
        (
            "status --hots x",
            "there is no option '--hots'. Did you mean '--host'? See `python -m pipeline status --help`.",
        ),
        ("recurring stop", "the following arguments are required: ID. See `python -m pipeline recurring stop --help`."),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(call, given, said):
    assert call(*given.split()) == (2, "", f"error: {said}\n")


def test_compile_writes_the_file_or_prints_it(server, call, tmp_path, repository_params):
    code, out, _ = call("compile", "--profile", "cpu", "--image", PINNED)
    assert code == 0
    assert call("compile", "--image", PINNED, "--out", str(tmp_path / "new" / "p.yaml"))[0] == 0
    assert (tmp_path / "new" / "p.yaml").read_text() == out
    assert call("compile", "--image", PINNED, "--out", str(tmp_path / "new" / "p.yaml"))[0] == 0  # in its own place
    mine = tmp_path / "params.yaml"
    mine.write_text("models: {}")
    code, _, err = call("compile", "--image", PINNED, "--out", str(mine))
    assert (code, err) == (2, f"error: {mine} is no earlier result of this command. Name another file with --out.\n")
    (tmp_path / "index.html").write_text("<title>My pages</title>")
    code, _, err = call("local", "--params", str(ROOT / "params.yaml"), "--root", str(tmp_path))
    assert (code, mine.read_text()) == (2, "models: {}")
    assert err.startswith(f"error: {tmp_path / 'index.html'} is no earlier result of this command. ")
    assert (
        json_format.MessageToDict(parse(out).spec.root.input_definitions.parameters["data_params"].default_value)
        == inputs.to_kfp_inputs(repository_params)["data_params"]
    )
    assert call("compile", "--profile", "gpuu")[2].startswith("error: there is no placement profile 'gpuu'.")


def test_a_task_that_fails_on_this_machine_fails_the_command(call, tmp_path, client):
    (tmp_path / "pictures").mkdir()
    settings = ["-S", "data.name=folder", "-S", f"data.folder={tmp_path / 'pictures'}"]
    code, out, err = call("local", "--params", str(ROOT / "params.yaml"), "--root", str(tmp_path / "out"), *settings)
    assert code == 2
    assert "error: data.folder:" in out
    said = "error: Pipeline 'autoencoders' finished with status FAILURE. Inner task failed: 'download'."
    assert err.splitlines()[-1] == f"{said} Its output is above."
    assert ended(client, out) == ("FAILED", "download")


@pytest.mark.parametrize(
    ("said", "task"),
    [
        (
            "Pipeline 'autoencoders' finished with status FAILURE. Inner task failed: 'train' inside 'for-loop-1'.",
            "train vae",
        ),
        ("Pipeline 'autoencoders' finished with status FAILURE. Inner task failed: 'compare'.", "compare"),
    ],
)
def test_a_task_that_is_killed_ends_the_run_in_mlflow_as_failed(call, tmp_path, client, monkeypatch, said, task):
    """It has said nothing itself, and neither has its own run."""
    begun = []

    def building(params: Params, place: Any) -> Any:
        def noted(stage: str, task: Any) -> None:
            place(stage, task)
            monkeypatch.setenv("KFP_RUN_ID", task.container_spec.env["KFP_RUN_ID"])

        def killed() -> None:
            above = kubeflow_run(client, "autoencoders")
            tags = {"kfp_run": os.environ["KFP_RUN_ID"], "kfp_task": "train", "model": "vae"}
            begun.append(create_run(client, "autoencoders", "vae", tags, parent=above))
            monkeypatch.delenv("KFP_RUN_ID")
            raise RuntimeError(said)

        build(params, noted)
        return killed

    monkeypatch.setattr("pipeline.local.build", building)
    code, out, err = call("local", "--params", str(ROOT / "params.yaml"), "--root", str(tmp_path / "out"))
    assert (code, err.splitlines()[-1]) == (2, f"error: {said} Its output is above.")
    assert ended(client, out) == ("FAILED", task)
    assert [client.get_run(run).info.status for run in begun] == ["FAILED"]


@pytest.mark.parametrize("end", [SystemExit(143), KeyboardInterrupt()], ids=["killed", "Ctrl-C"])
def test_a_local_pipeline_that_is_stopped_is_killed_in_mlflow(call, tmp_path, client, monkeypatch, end):
    def building(params: Params, place: Any) -> Any:
        raise end

    monkeypatch.setattr("pipeline.local.build", building)
    code, out, _ = call("local", "--params", str(ROOT / "params.yaml"), "--root", str(tmp_path / "out"))
    assert code in (130, 143)
    assert ended(client, out) == ("KILLED", None)


def test_in_a_notebook_of_a_cluster_a_local_task_is_no_pod(call, tmp_path, monkeypatch):
    """One would wait for Kubernetes to kill it, and ask KFP for a run that it does not know."""
    hosts = {}

    def traced(params: Params, place: Any) -> Any:
        def noted(stage: str, task: Any) -> None:
            place(stage, task)
            hosts[stage] = task.container_spec.env["KUBERNETES_SERVICE_HOST"]

        build(params, noted)
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.local.build", traced)
    call("local", "--params", str(ROOT / "params.yaml"), "--root", str(tmp_path / "out"))
    assert hosts == dict.fromkeys(component_names(), "")


def ended(client: MlflowClient, out: str) -> tuple[str, str | None]:
    """The status of the run that a local pipeline named first, and which task it says has failed."""
    run_id = tagged(client, "kfp_pipeline", out.split()[1])
    run = client.get_run(run_id)
    return run.info.status, run.data.tags.get("kfp_failed_task")
