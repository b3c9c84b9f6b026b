"""The commands: what they send to a server, what they say of a run, and one line for each mistake."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from mlflow import MlflowClient

from autoencoders import kubeflow
from autoencoders.params import Params
from autoencoders.tracking.store import tagged
from pipeline import cluster
from pipeline.__main__ import main

from compiled import PINNED, ROOT, parse  # isort: skip
from kfp_double import Double, serving  # isort: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Double]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (cluster.ENDPOINT, cluster.TOKEN, "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cluster.time, "sleep", lambda seconds: None)
    with serving() as double:
        yield double


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def task(name: str, state: str, message: str = "") -> dict[str, Any]:
    return {
        "task_id": name,
        "display_name": name,
        "state": state,
        **({"error": {"message": message}} if message else {}),
    }


def run(state: str, *tasks: dict[str, Any], message: str = "") -> dict[str, Any]:
    said = {"error": {"message": message}} if message else {}
    return {"state": state, "run_details": {"task_details": list(tasks)}, **said}


def test_a_run_is_sent_as_it_was_compiled_and_followed_to_its_end(server: Double, call: Any) -> None:
    server.states = [
        run("PENDING"),
        run("RUNNING", task("root-driver", "SUCCEEDED"), task("for-loop-1", "RUNNING"), task("download", "RUNNING")),
        run("RUNNING", task("download", "SUCCEEDED"), task("prepare", "RUNNING")),
        run("SUCCEEDED", task("download", "SUCCEEDED"), task("prepare", "SUCCEEDED")),
    ]
    code, out, _ = call(
        "submit", "--host", server.host, "--profile", "gpu", "--image", PINNED, "-S", "train.epochs=3",
        "-S", "models.vae.beta=2.5", "--experiment", "mine", "--run-name", "try it",
    )  # fmt: skip
    assert code == 0
    experiment, sent = server.sent
    assert (experiment["to"], experiment["display_name"]) == ("experiments", "mine")
    assert (sent["display_name"], sent["experiment_id"]) == ("try it", "experiments-1")
    given = sent["runtime_config"]["parameters"]
    assert given["train_params"]["epochs"] == 3
    assert [entry["vae"]["beta"] for entry in given["models_params"] if "vae" in entry] == [2.5]
    pipeline = server.pipeline()
    assert pipeline.containers["train"].image == PINNED
    assert pipeline.containers["train"].resources.accelerator.resource_count == "1"
    changes = [line.split()[1:] for line in out.splitlines() if line[2:3] == ":"]
    assert changes == [
        ["download", "RUNNING"], ["download", "SUCCEEDED"], ["prepare", "RUNNING"], ["prepare", "SUCCEEDED"]
    ]  # fmt: skip
    assert f"{server.host}/#/runs/details/runs-1" in out


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_run_that_does_not_succeed_ends_with_1_and_says_why(server: Double, call: Any, state: str) -> None:
    server.states = [run("RUNNING"), run(state, task("train", "FAILED", "exit code 2\nmore"), message="train failed")]
    code, out, err = call("submit", "--host", server.host)
    assert code == 1
    assert "train          FAILED: exit code 2 more" in out
    assert f"a run: {state}." in out
    assert err == "error: train failed\n"


def test_a_server_that_is_away_for_a_moment_ends_no_following(server: Double, call: Any) -> None:
    answer, times = server.answer, iter([0, 1, 1])

    def sometimes(method: str, path: str, body: Any) -> tuple[int, Any]:
        return (503, {}) if path.endswith("runs-1") and next(times, 0) else answer(method, path, body)

    server.states = [run("RUNNING"), run("SUCCEEDED")]
    server.answer = sometimes  # type: ignore[method-assign]
    assert call("submit", "--host", server.host)[0] == 0


def test_a_server_that_stays_away_ends_the_following_not_the_run(
    server: Double, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", -1.0)
    server.refuses["/runs-1"] = (503, {})
    code, _, err = call("submit", "--host", server.host)
    assert code == 2
    assert "is in trouble (HTTP 503). The run goes on: look at it later with `status runs-1`." in err


def test_status_shows_the_tasks_and_its_code_follows_the_run(server: Double, call: Any) -> None:
    server.states = [run("RUNNING", task("download", "SUCCEEDED"), task("executor", "RUNNING"))]
    code, out, _ = call("status", "runs-1", "--host", server.host)
    assert code == 0
    assert out.splitlines()[:2] == ["a run (runs-1): RUNNING", "  download       SUCCEEDED"]
    assert "executor" not in out
    server.states = [run("FAILED", message="out of memory")]
    assert call("status", "runs-1", "--host", server.host)[::2] == (1, "error: out of memory\n")
    assert call("status", "other", "--host", server.host)[::2] == (
        2, f"error: {server.host}: there is no run 'other'.\n"
    )  # fmt: skip


def test_the_run_s_page_in_mlflow_is_told_where_kubeflow_s_plugin_knows_it(server: Double, call: Any) -> None:
    entry = {"value": "https://mlflow.example/#/experiments/1/runs/2", "render_type": "URL"}
    told = {"mlflow": {"entries": {"run_url": entry}, "state": "PLUGIN_SUCCEEDED"}}
    server.states = [{**run("SUCCEEDED"), "plugins_output": told}]
    for command in (("status", "runs-1"), ("submit",)):
        out = call(*command, "--host", server.host)[1]
        assert out.endswith(f"/#/runs/details/runs-1\nIn MLflow: {entry['value']}\n")
    server.states = [{**run("SUCCEEDED"), "plugins_output": {"mlflow": {"state": "PLUGIN_FAILED"}}}]
    assert "MLflow" not in call("status", "runs-1", "--host", server.host)[1]


def test_a_recurring_run_is_made_and_not_waited_for(server: Double, call: Any) -> None:
    code, out, _ = call("submit", "--host", server.host, "--cron", "0 0 3 * * *", "--run-name", "nightly")
    assert code == 0
    sent = server.sent[-1]
    assert (sent["to"], sent["trigger"]["cron_schedule"]["cron"]) == ("recurringruns", "0 0 3 * * *")
    assert (sent["display_name"], sent["no_catchup"], sent["mode"]) == ("nightly", True, "ENABLE")
    assert "Recurring run recurringruns-1: nightly, 0 0 3 * * *" in out
    code, _, err = call("submit", "--host", server.host, "--cron", "0 3 * * *")
    assert (code, err.startswith("error: --cron '0 3 * * *': write six fields")) == (2, True)


def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(server: Double, call: Any) -> None:
    code, out, _ = call("submit", "--dry-run", "--host", server.host, "-S", "train.epochs=3", "--run-name", "x")
    assert code == 0
    assert server.sent == []
    shown, *documents = yaml.safe_load_all(out)
    assert (shown["name"], shown["experiment"], shown["arguments"]["train_params"]["epochs"]) == (
        "x",
        "autoencoders",
        3,
    )
    pipeline = parse(yaml.safe_dump_all(documents))
    default = pipeline.spec.root.input_definitions.parameters["train_params"].default_value
    assert json_format.MessageToDict(default)["epochs"] == 3


def test_a_token_reaches_the_server_from_file_or_environment(
    server: Double, call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert call("status", "runs-1", "--host", server.host, "--token-file", str(tmp_path / "token"))[0] == 0
    assert server.tokens == {"Bearer from-file"}
    server.tokens.clear()
    monkeypatch.setenv(cluster.TOKEN, "from-environment")
    monkeypatch.setenv(cluster.ENDPOINT, server.host)
    assert call("status", "runs-1")[0] == 0
    assert server.tokens == {"Bearer from-environment"}
    assert call("status", "runs-1", "--token-file", "nowhere")[2].startswith(
        "error: --token-file nowhere cannot be read"
    )


@pytest.mark.parametrize(
    ("refuses", "said"),
    [
        ({"healthz": (401, {})}, "refuses access (HTTP 401). Give a token with --token-file or KFP_TOKEN"),
        ({"healthz": (403, {})}, "refuses access (HTTP 403)."),
        ({"healthz": (404, {})}, "is no Kubeflow Pipelines server of version 2 (HTTP 404 for its health)."),
        ({"/runs": (403, {"message": "no"})}, "refuses access (HTTP 403)."),
        ({"/runs": (400, {"message": "invalid\npipeline"})}, "refuses: invalid pipeline"),
        ({"/experiments": (500, {"error": "database is locked"})}, "refuses: database is locked"),
    ],
)
def test_a_refusal_is_one_line(server: Double, call: Any, refuses: dict[str, Any], said: str) -> None:
    server.refuses = refuses
    code, _, err = call("submit", "--host", server.host)
    assert code == 2
    assert err.startswith(f"error: {server.host} {said}")
    assert err.count("\n") == 1


def test_a_server_that_is_not_there_is_told_at_once_and_without_password(server: Double, call: Any) -> None:
    code, _, err = call("status", "x", "--host", "http://me:secret@127.0.0.1:9")
    assert (code, err) == (
        2,
        "error: http://127.0.0.1:9 does not answer (ConnectionError). Is the address right, and the port forwarded?\n",
    )
    code, _, err = call("status", "x")
    assert code == 2
    assert err.startswith("error: which server? Name it with --host or KF_PIPELINES_ENDPOINT")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.epocs=3", "params.yaml with -S train.epocs=3: train.epocs: unknown key. Did you mean 'epochs'?"),
        ("models.vae.beta=-1", "params.yaml with -S models.vae.beta=-1: models.vae.beta:"),
        ("train.epochs", "-S train.epochs: write key=value"),
        ("device.name=cpu", "-S device.name: device is a value"),
        ("train.epochs=[", "-S train.epochs=[: the value is not valid YAML"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_is_sent(server: Double, call: Any, setting: str, said: str) -> None:
    code, _, err = call("submit", "--host", server.host, "-S", setting)
    assert (code, server.sent, server.tokens) == (2, [], set())
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


def test_compile_writes_the_file_or_prints_it(
    server: Double, call: Any, tmp_path: Path, repository_params: Params
) -> None:
    code, out, _ = call("compile", "--profile", "cpu", "--image", PINNED)
    assert code == 0
    assert call("compile", "--image", PINNED, "--out", str(tmp_path / "new" / "p.yaml"))[0] == 0
    assert (tmp_path / "new" / "p.yaml").read_text() == out
    assert (
        json_format.MessageToDict(parse(out).spec.root.input_definitions.parameters["data_params"].default_value)
        == kubeflow.arguments(repository_params)["data_params"]
    )
    assert call("compile", "--profile", "gpuu")[2].startswith("error: there is no placement profile 'gpuu'.")


def test_a_task_that_fails_on_this_machine_fails_the_command(call: Any, tmp_path: Path, client: MlflowClient) -> None:
    (tmp_path / "pictures").mkdir()
    settings = ["-S", "data.name=folder", "-S", f"data.folder={tmp_path / 'pictures'}"]
    code, out, err = call("local", "--params", str(ROOT / "params.yaml"), "--root", str(tmp_path / "out"), *settings)
    assert code == 2
    assert "error: data.folder:" in out
    said = "error: Pipeline 'autoencoders' finished with status FAILURE. Inner task failed: 'download'."
    assert err.splitlines()[-1] == f"{said} Its output is above."
    assert ended(client, out) == ("FAILED", "download")


def test_an_interruption_between_tasks_ends_the_run_in_mlflow(
    call: Any, tmp_path: Path, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(params: Params, place: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.local.build", build)
    code, out, _ = call("local", "--params", str(ROOT / "params.yaml"), "--root", str(tmp_path / "out"))
    assert code == 130
    assert ended(client, out) == ("KILLED", None)


def ended(client: MlflowClient, out: str) -> tuple[str, str | None]:
    """The status of the run that a local pipeline named first, and which task it says has failed."""
    run_id = tagged(client, "kfp_pipeline", out.split()[1])
    assert run_id
    run = client.get_run(run_id)
    return run.info.status, run.data.tags.get("kfp_failed_task")
