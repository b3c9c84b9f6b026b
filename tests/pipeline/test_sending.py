"""What is sent to a server: runs, recurring ones, versions of the pipeline; and what is looked at before."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cluster import sending
from pipeline.cluster.sending import describe, run_name

from cluster_fixtures import Call, Clock  # isort: skip
from compiled import PINNED, ROOT, parse  # isort: skip
from kfp_double import Double  # isort: skip
from kube_double import KubeDouble  # isort: skip
from replay import RecordedRun  # isort: skip


@pytest.fixture(autouse=True)
def _commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "code_version", lambda: "66edca9b304f-dirty")


def test_a_run_is_sent_as_it_was_compiled_and_says_what_it_was_run_with(server: Double, call: Call) -> None:
    code, out, _ = call(
        "submit", "--host", server.host, "--profile", "gpu", "--image", PINNED, "-S", "train.epochs=3",
        "-S", "models.vae.beta=2.5", "--experiment", "mine", "--no-wait",
    )  # fmt: skip
    assert code == 0
    experiment, sent = server.sent
    assert experiment == {"to": "experiments", "display_name": "mine"}
    assert (sent["to"], sent["experiment_id"]) == ("runs", "experiments-1")
    assert sent["display_name"] == "autoencoders train.epochs=3 models.vae.beta=2.5"
    assert sent["description"] == (
        f"train.epochs=3, models.vae.beta=2.5; profile gpu; image {PINNED}; commit 66edca9b304f-dirty"
    )
    assert sent["plugins_input"] == {"mlflow": {"disabled": True}}
    given = sent["runtime_config"]["parameters"]
    assert given["train_params"]["epochs"] == 3
    assert [entry["vae"]["beta"] for entry in given["models_params"] if "vae" in entry] == [2.5]
    pipeline = server.pipeline()
    assert pipeline.containers["train"].image == PINNED
    assert pipeline.containers["train"].resources.accelerator.resource_count == "1"
    assert out == f"{sent['display_name']}\n{sent['description']}\nKFP:    {server.host}/#/runs/details/runs-1\n"


def test_an_experiment_that_exists_is_used(server: Double, call: Call, quick_compile: None) -> None:
    server.kept["experiments"] = [{"experiment_id": "e-7", "display_name": "autoencoders"}]
    assert call("submit", "--host", server.host, "--no-wait")[0] == 0
    assert [(sent["to"], sent["experiment_id"]) for sent in server.sent] == [("runs", "e-7")]


def test_an_older_server_gets_the_run_without_what_it_does_not_know(
    server: Double, call: Call, quick_compile: None
) -> None:
    server.health = {"tag_name": "2.14.3", "multi_user": False}
    # The body is that of grpc-gateway for an unknown field, which KFP has refuse such.
    unknown = {"code": 3, "message": 'proto: (line 1:2): unknown field "plugins_input"', "details": []}
    ask = server.answer

    def strict(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        return (400, unknown) if body and "plugins_input" in body else ask(method, path, body, token)

    server.answer = strict  # type: ignore[method-assign]
    for options in ([], ["--cron", "0 0 3 * * *"]):
        code, out, err = call("submit", "--host", server.host, "--no-wait", *options)
        assert code == 0
        assert "plugins_input" not in server.sent[-1]
        assert f"{server.host} has no plugins to turn off: sent without that.\n" in out
        assert err == (
            f"warning: {server.host} is KFP 2.14.3. Before 2.17, a pod that is lost while KFP prepares a task is not "
            "tried again, and settings of pods that are newer are refused.\n"
        )


def test_a_run_s_name_and_description_have_room_for_what_fits(clock: Clock) -> None:
    assert run_name([]) == "autoencoders 2026-11-28 14:00:00"
    assert run_name(["models.vae.beta=4"]) == "autoencoders models.vae.beta=4"
    many = [f"models.vae-{number}.learning_rate=0.001" for number in range(20)]
    assert run_name(many) == f"autoencoders {' '.join(many[:2])} and 18 more"
    assert run_name([f"data.folder={'x' * 200}"]) == f"autoencoders data.folder={'x' * 74}…"
    told = describe(many, "gpu", PINNED, cache=False)
    assert len(told) <= 255
    assert told == (
        f"{many[0]}, {many[1]}, and 18 more; profile gpu; image {PINNED}; commit 66edca9b304f-dirty; nothing reused"
    )
    assert describe([], "cpu", "a:1") == "profile cpu; image a:1; commit 66edca9b304f-dirty"


def test_the_commit_is_git_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(
        "autoencoders.tracking.origin.circumstances", lambda: {"git_commit": "a" * 40, "git_dirty": "true"}
    )
    assert sending.code_version() == f"{'a' * 12}-dirty"
    monkeypatch.setattr("autoencoders.tracking.origin.circumstances", lambda: {"python": "3.11"})
    assert sending.code_version() == ""


def test_the_page_in_mlflow_is_that_of_kubeflow_s_plugin_where_it_made_one(
    server: Double, clock: Clock, call: Call
) -> None:
    recorded = RecordedRun("small-cached")
    server.run = recorded.at
    clock.now, _ = recorded.snapshot(0)
    out = call("status", recorded.run_id, "--host", server.host)[1]
    assert out.endswith(
        f"KFP:    {server.host}/#/runs/details/{recorded.run_id}\n"
        "MLflow: http://mlflow.example:5001/#/experiments/1/runs/a8ca5cc50bb34d75aa81513bec8eb52f\n"
    )


def test_mlflow_is_asked_before_anything_is_sent(
    server: Double, call: Call, quick_compile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    code, _, err = call("submit", "--host", server.host)
    assert (code, server.sent) == (2, [])
    assert err == (
        "error: the MLflow server at http://127.0.0.1:9 does not answer (ConnectionError). Start it or correct "
        "MLFLOW_TRACKING_URI; if the pods' address of MLflow is another one, unset MLFLOW_TRACKING_URI to submit "
        "without asking.\n"
    )


def test_what_the_profile_names_is_looked_up_before_anything_is_sent(
    server: Double, kube: KubeDouble, call: Call, quick_compile: None, tmp_path: Path
) -> None:
    profile = yaml.safe_load((ROOT / "pipeline" / "placement" / "cpu.yaml").read_text())
    profile["service_account"] = "runner"
    profile["default"]["volumes"] = [{"claim": "pictures", "path": "/data"}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(profile))
    submit = ["submit", "--host", server.host, "--profile", str(tmp_path / "mine.yaml"), "--no-wait"]
    code, _, err = call(*submit)
    assert (code, server.sent) == (2, [])
    here = "is not in namespace kubeflow: pods could not start. Create it (docs/kubernetes.md, step"
    assert err.splitlines() == [
        f"error: the claim pictures {here} 4), or correct `volumes` in the profile.",
        f"error: the claim autoencoders-checkpoints {here} 4), or correct `checkpoints` in the profile.",
        f"error: the secret mlflow {here} 3), or correct `secret_env` in the profile.",
        "error: the service account runner is not in namespace kubeflow. Correct `service_account` in the profile.",
    ]
    kube.objects |= {
        "persistentvolumeclaims": {"pictures", "autoencoders-checkpoints"}, "secrets": {"mlflow"},
        "serviceaccounts": {"runner"},
    }  # fmt: skip
    assert call(*submit)[0] == 0


@pytest.mark.parametrize("why", ["another cluster", "no rights", "away"])
def test_what_cannot_be_looked_up_holds_up_nothing(
    server: Double, kube: KubeDouble, call: Call, quick_compile: None, why: str
) -> None:
    if why == "another cluster":  # one without KFP: the kube config and --host need not be of the same
        kube.objects["services"] = set()
    elif why == "no rights":
        kube.forbidden = {"services", "persistentvolumeclaims", "secrets", "serviceaccounts"}
    else:
        kube.always = (503, {})
    assert call("submit", "--host", server.host, "--no-wait")[::2] == (0, "")


def test_a_recurring_run_is_made_and_not_waited_for(server: Double, call: Call, quick_compile: None) -> None:
    code, out, _ = call("submit", "--host", server.host, "--cron", "0 0 3 * * *", "--run-name", "nightly")
    assert code == 0
    sent = server.sent[-1]
    assert (sent["to"], sent["trigger"]) == ("recurringruns", {"cron_schedule": {"cron": "0 0 3 * * *"}})
    assert (sent["display_name"], sent["no_catchup"], sent["mode"], sent["max_concurrency"]) == (
        "nightly", True, "ENABLE", 1,
    )  # fmt: skip
    assert sent["plugins_input"] == {"mlflow": {"disabled": True}}
    assert out.splitlines()[-2:] == [
        f"KFP:    {server.host}/#/recurringrun/details/recurringruns-1",
        "Recurring run recurringruns-1: 0 0 3 * * *. Stop it with `python -m pipeline recurring stop recurringruns-1`.",
    ]
    code, _, err = call("submit", "--host", server.host, "--cron", "0 3 * * *")
    assert (code, err.startswith("error: --cron '0 3 * * *': write six fields")) == (2, True)


def test_recurring_runs_are_listed_with_their_last_run(server: Double, call: Call) -> None:
    assert call("recurring", "list", "--host", server.host)[1] == (
        "There are no recurring runs. `python -m pipeline submit --cron …` makes one.\n"
    )
    cron, hourly = {"cron_schedule": {"cron": "0 0 3 * * *"}}, {"periodic_schedule": {"interval_second": "3600"}}
    server.kept["recurringruns"] = [
        {"recurring_run_id": "r-1", "display_name": "nightly", "trigger": cron, "status": "ENABLED"},
        {"recurring_run_id": "r-22", "display_name": "hourly", "trigger": hourly, "status": "DISABLED"},
    ]
    server.kept["runs"] = [
        {"run_id": "3", "recurring_run_id": "r-1", "created_at": "2026-11-28T03:00:01Z", "state": "SUCCEEDED"},
        {"run_id": "2", "recurring_run_id": "r-1", "created_at": "2026-11-27T03:00:01Z", "state": "FAILED"},
        {"run_id": "1", "created_at": "2026-11-26T03:00:01Z", "state": "FAILED"},
    ]
    assert call("recurring", "list", "--host", server.host)[1] == (
        "ID    SCHEDULE      STATE    LAST RUN            NAME\n"
        "r-1   0 0 3 * * *   goes on  03:00:01 succeeded  nightly\n"
        "r-22  every 3600 s  stopped                      hourly\n"
    )


def test_recurring_runs_of_several_pages_are_all_listed(server: Double, call: Call) -> None:
    def paged(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        if "/recurringruns" not in path:
            return Double.answer(server, method, path, body, token)
        second = "page_token=two" in path
        rest = {} if second else {"next_page_token": "two"}
        return 200, {"recurringRuns": [{"recurring_run_id": "r-2" if second else "r-1"}], **rest}

    server.answer = paged  # type: ignore[method-assign]
    out = call("recurring", "list", "--host", server.host)[1]
    assert re.findall("r-.", out) == ["r-1", "r-2"]


def test_a_recurring_run_is_stopped_or_deleted(server: Double, call: Call) -> None:
    server.kept["recurringruns"] = [{"recurring_run_id": "r-1"}]
    assert call("recurring", "stop", "r-1", "--host", server.host)[:2] == (
        0, "Recurring run r-1 is stopped. Runs that it has started go on.\n"
    )  # fmt: skip
    assert server.asked[-1] == "POST /apis/v2beta1/recurringruns/r-1:disable"
    assert call("recurring", "delete", "r-1", "--host", server.host)[:2] == (
        0, "Recurring run r-1 is deleted. Runs that it has started stay.\n"
    )  # fmt: skip
    assert server.asked[-1] == "DELETE /apis/v2beta1/recurringruns/r-1"
    assert call("recurring", "stop", "r-2", "--host", server.host)[::2] == (
        2, f"error: {server.host}: there is no recurring run 'r-2'. `python -m pipeline recurring list` shows them.\n"
    )  # fmt: skip


def test_the_pipeline_is_registered_by_its_commit(server: Double, call: Call) -> None:
    code, out, _ = call("upload", "--host", server.host, "--image", PINNED, "-S", "train.epochs=3")
    assert code == 0
    made, version = server.sent
    assert (made["to"], made["display_name"]) == ("pipelines", "autoencoders")
    assert made["description"].startswith("Train, evaluate and compare autoencoders and VAEs")
    about = f"train.epochs=3; profile cpu; image {PINNED}; commit 66edca9b304f-dirty"
    assert (version["to"], version["pipelineid"], version["name"], version["description"]) == (
        "pipelines/upload_version", "pipelines-1", "66edca9b304f-dirty", about,
    )  # fmt: skip
    file = re.search(rb"\r\n\r\n(# Compiled.*)\r\n--", version["file"], re.S)
    assert file
    assert parse(file[1].decode()).containers["train"].image == PINNED
    assert out == (
        f"Pipeline autoencoders, version 66edca9b304f-dirty\n{about}\n"
        f"KFP:    {server.host}/#/pipelines/details/pipelines-1/version/version-1\n"
    )


def test_a_version_that_exists_is_told_and_not_uploaded_again(server: Double, call: Call, quick_compile: None) -> None:
    server.kept["pipelines"] = [{"pipeline_id": "p-1", "display_name": "mine"}]
    server.kept["versions"] = [{"pipeline_version_id": "v-1", "display_name": "7"}]
    said = (
        "error: the pipeline mine has a version 7 already, and versions do not change. Commit what is new, or name "
        "another with --version.\n"
    )
    upload = ["upload", "--host", server.host, "--name", "mine", "--version"]
    assert call(*upload, "7")[::2] == (2, said)
    assert server.sent == []
    assert call(*upload, "8")[0] == 0
    assert [sent["to"] for sent in server.sent] == ["pipelines/upload_version"]
    # KFP's answer where somebody else was quicker.
    server.refuses = {"upload_version": (409, {"error_message": "Failed to create a pipeline version"})}
    assert call(*upload, "9")[::2] == (2, said.replace("7", "9"))


def test_without_git_a_version_must_be_named(server: Double, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "code_version", lambda: "")
    assert call("upload", "--host", server.host)[::2] == (
        2, "error: there is no git here to name the version by: name it with --version.\n"
    )  # fmt: skip


@pytest.mark.parametrize("command", ["submit --dry-run", "compile", "--help"])
def test_a_pipe_that_is_closed_ends_a_command_quietly(command: str) -> None:
    shell = f"set -o pipefail; {sys.executable} -m pipeline {command} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")


def test_a_pipe_that_is_closed_ends_status_quietly(server: Double) -> None:
    _, answer = RecordedRun("cached").snapshot(-1)
    server.run = lambda now: answer
    status = f"{sys.executable} -m pipeline status {answer['run_id']} --host {server.host}"
    shell = f"set -o pipefail; {status} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout.splitlines()[-1] in ("0", "141")) == ("", True)
    assert done.stdout.startswith("full-2-same: succeeded at ")
    assert "14:30:42, after 2 min 44 s\n" in done.stdout


def test_help_imports_neither_kfp_nor_kubernetes() -> None:
    code = (
        "import sys; from pipeline.__main__ import _parser; _parser(); print({'kfp', 'kubernetes'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
