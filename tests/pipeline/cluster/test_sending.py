"""What is sent to a server, what a run says of itself, and what is looked at before."""

import subprocess
import sys
from typing import Any

import pytest
import yaml
from compiled import PINNED, ROOT
from processes import run_python
from replay import RecordedRun

from pipeline.cluster import sending
from pipeline.cluster.sending import describe, run_name


@pytest.fixture(autouse=True)
def _commit(monkeypatch) -> None:
    monkeypatch.setattr(sending, "code_version", lambda: "66edca9b304f-dirty")


def test_a_run_is_sent_as_it_was_compiled_and_says_what_it_was_run_with(server, call):
    code, out, _ = call(
        "submit", "--host", server.host, "--profile", "gpu", "--image", PINNED, "-S", "train.steps=3",
        "-S", "models.vae.beta=2.5", "--experiment", "mine", "--no-wait",
    )  # fmt: skip
    assert code == 0
    experiment, sent = server.sent
    assert experiment == {"to": "experiments", "display_name": "mine"}
    assert (sent["to"], sent["experiment_id"]) == ("runs", "experiments-1")
    assert sent["display_name"] == "autoencoders train.steps=3 models.vae.beta=2.5"
    assert sent["description"] == (
        f"train.steps=3, models.vae.beta=2.5; profile gpu; image {PINNED}; commit 66edca9b304f-dirty"
    )
    assert sent["plugins_input"] == {"mlflow": {"disabled": True}}
    given = sent["runtime_config"]["parameters"]
    assert given["train_params"]["steps"] == 3
    assert [entry["vae"]["beta"] for entry in given["models_params"] if "vae" in entry] == [2.5]
    pipeline = server.pipeline()
    assert pipeline.containers["train"].image == PINNED
    assert pipeline.containers["train"].resources.accelerator.resource_count == "1"
    assert out == f"{sent['display_name']}\n{sent['description']}\nKFP:    {server.host}/#/runs/details/runs-1\n"


def test_an_experiment_that_exists_is_used(server, call, quick_compile):
    server.kept["experiments"] = [{"experiment_id": "e-7", "display_name": "autoencoders"}]
    assert call("submit", "--host", server.host, "--no-wait")[0] == 0
    assert [(sent["to"], sent["experiment_id"]) for sent in server.sent] == [("runs", "e-7")]


def test_an_older_server_gets_the_run_without_what_it_does_not_know(server, call, quick_compile):
    server.health = {"tag_name": "2.14.3", "multi_user": False}
    # The body is that of grpc-gateway for an unknown field, which KFP has refuse such.
    unknown = {"code": 3, "message": 'proto: (line 1:2): unknown field "plugins_input"', "details": []}
    ask = server.answer

    def strict(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        return (400, unknown) if body and "plugins_input" in body else ask(method, path, body, token)

    server.answer = strict
    for options in ([], ["--cron", "0 0 3 * * *"]):
        code, out, err = call("submit", "--host", server.host, "--no-wait", *options)
        assert code == 0
        assert "plugins_input" not in server.sent[-1]
        assert f"{server.host} has no plugins to switch off: sent without that setting.\n" in out
        assert err == (
            f"warning: {server.host} is KFP 2.14.3. Before 2.17, a pod that is lost while KFP prepares a task is not "
            "tried again, and settings of pods that are newer are refused.\n"
        )


def test_a_run_s_name_and_description_have_room_for_what_fits(clock):
    assert run_name([]) == "autoencoders 2026-11-28 14:00:00"
    assert run_name(["models.vae.beta=4"]) == "autoencoders models.vae.beta=4"
    many = [f"models.vae-{number}.learning_rate=0.001" for number in range(20)]
    assert run_name(many) == f"autoencoders {' '.join(many)[:86]}…"
    assert run_name([f"data.folder={'x' * 200}"]) == f"autoencoders data.folder={'x' * 74}…"
    told, rest = describe(many, "gpu", PINNED, cache=False).split("…")
    assert len(f"{told}…{rest}") == 255
    assert ", ".join(many).startswith(told)
    assert rest == f"; profile gpu; image {PINNED}; commit 66edca9b304f-dirty; nothing reused"
    assert describe([], "cpu", "a:1") == "profile cpu; image a:1; commit 66edca9b304f-dirty"


def test_the_commit_is_git_s(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("autoencoders.tracking.run_context", lambda: {"git_commit": "a" * 40, "git_dirty": "true"})
    assert sending.code_version() == f"{'a' * 12}-dirty"
    monkeypatch.setattr("autoencoders.tracking.run_context", lambda: {"python": "3.11"})
    assert sending.code_version() == ""


def test_the_page_in_mlflow_is_that_of_kubeflow_s_plugin_where_it_made_one(server, clock, call):
    recorded = RecordedRun("small-cached")
    server.run = recorded.at
    clock.now, _ = recorded.snapshot(0)
    out = call("status", recorded.run_id, "--host", server.host)[1]
    assert out.endswith(
        f"KFP:    {server.host}/#/runs/details/{recorded.run_id}\n"
        "MLflow: http://mlflow.example:5001/#/experiments/1/runs/a8ca5cc50bb34d75aa81513bec8eb52f\n"
    )


def test_mlflow_is_asked_before_anything_is_sent(server, call, quick_compile, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    code, _, err = call("submit", "--host", server.host)
    assert (code, server.sent) == (2, [])
    assert err == (
        "error: the MLflow server at http://127.0.0.1:9 does not answer (ConnectionError). Start it or correct "
        "MLFLOW_TRACKING_URI; if the pods' address of MLflow is another one, unset MLFLOW_TRACKING_URI to submit "
        "without asking.\n"
    )


def test_what_the_profile_names_is_looked_up_before_anything_is_sent(server, kube, call, quick_compile, tmp_path):
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
def test_what_cannot_be_looked_up_holds_up_nothing(server, kube, call, quick_compile, why):
    if why == "another cluster":  # one without KFP: the kube config and --host need not be of the same
        kube.objects["services"] = set()
    elif why == "no rights":
        kube.forbidden = {"services", "persistentvolumeclaims", "secrets", "serviceaccounts"}
    else:
        kube.always = (503, {})
    assert call("submit", "--host", server.host, "--no-wait")[::2] == (0, "")


@pytest.mark.parametrize("command", ["submit --dry-run", "compile", "--help"])
def test_a_pipe_that_is_closed_ends_a_command_quietly(command):
    shell = f"set -o pipefail; {sys.executable} -m pipeline {command} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")


def test_a_pipe_that_is_closed_ends_status_quietly(server):
    _, answer = RecordedRun("cached").snapshot(-1)
    server.run = lambda now: answer
    status = f"{sys.executable} -m pipeline status {answer['run_id']} --host {server.host}"
    shell = f"set -o pipefail; {status} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout.splitlines()[-1] in ("0", "141")) == ("", True)
    assert done.stdout.startswith("full-2-same: succeeded at ")
    assert "14:30:42, after 2 min 44 s\n" in done.stdout


def test_help_imports_neither_kfp_nor_kubernetes():
    code = (
        "import sys; import pipeline.__main__; from pipeline.options import make_parser; make_parser(); "
        "print({'kfp', 'kubernetes'} & set(sys.modules))"
    )
    done = run_python(code, cwd=ROOT)
    assert done.stdout == "set()\n"
