"""What a user sees: `submit` and `status` against each recording of a real cluster, line by line.

`REWRITE_GOLDEN=1 python -m pytest tests/pipeline/test_golden.py` writes the files in golden/ anew. Then read them.
"""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path

import pytest
from kfp_double import Double
from kube_double import KubeDouble
from replay import FOLDER, RecordedRun, RecordedWorkflow, pipeline_spec

from pipeline.__main__ import main

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(file.name.removesuffix(".json.gz") for file in FOLDER.glob("*.json.gz"))
RUNS = [name for name in NAMES if not name.startswith("workflow-") and name != "pipeline"]
WORKFLOWS = [name.removeprefix("workflow-") for name in NAMES if name.startswith("workflow-")]
BOTH = ("second-of-two", "terminated")
"""Cases of which the answers of KFP and the Workflow are of the same run."""


@pytest.fixture(autouse=True)
def _same_everywhere(quick_compile, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.cluster.sending.code_version", lambda: "66edca9b304f")


class Session:
    """Commands and what they print, as in a terminal."""

    def __init__(self, server: Double, kube: KubeDouble | None = None) -> None:
        self.server, self.kube = server, kube
        self.text = ""

    def run(self, command: str, *arguments: str) -> None:
        out = io.StringIO()
        with pytest.raises(SystemExit) as ended, redirect_stdout(out), redirect_stderr(out):
            main([command, *arguments, "--host", self.server.host])
        shown = " ".join(["python -m pipeline", command, *arguments])
        text = out.getvalue().replace(self.server.host, "http://kfp.example")
        text = text.replace(self.kube.host, "https://kube.example") if self.kube else text
        self.text += f"$ {shown}\n{text}[{ended.value.code or 0}]\n\n"

    def compare(self, name: str) -> None:
        file = GOLDEN / f"{name}.txt"
        if os.environ.get("REWRITE_GOLDEN"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(self.text)
        assert self.text == file.read_text()


@pytest.mark.parametrize("case", RUNS)
def test_with_kfp_s_api_alone(case, server, clock):
    recorded, session = RecordedRun(case), Session(server)
    version = recorded.snapshots[-1]["run"].get("pipeline_version_reference")
    if case == "terminated":  # the others' pipelines were deleted, as far as anyone can tell
        server.kept["versions"] = [{**version, "pipeline_spec": pipeline_spec(case)}]
    server.run = recorded.at
    clock.now = recorded.began
    session.run("submit")
    for number in range(len(recorded.snapshots)):
        clock.now, answer = recorded.snapshot(number)
        server.run = lambda moment, answer=answer: answer
        session.run("status", recorded.run_id)
    session.compare(f"{case}-api")


@pytest.mark.parametrize("case", WORKFLOWS)
def test_with_argo_s_workflow(case, server, kube, clock):
    recorded, session = RecordedWorkflow(case), Session(server, kube)
    server.run = RecordedRun(case).at if case in BOTH else recorded.run
    kube.workflow = lambda now: recorded.stopped(now, server.stopped) if server.stopped else recorded.at(now)
    kube.run_id, kube.logs = recorded.run_id, LOGS.get(case, {})
    kube.objects |= {"persistentvolumeclaims": {"autoencoders-checkpoints"}, "secrets": {"mlflow"}}
    clock.now = recorded.began
    clock.interrupt_at = recorded.newest + timedelta(minutes=13)
    session.run("submit", *(("--give-up", "10m") if case in ("wrong-image", "wrong-secret") else ()))
    clock.now, server.stopped = recorded.newest + timedelta(seconds=30), None
    session.run("status", recorded.run_id)
    session.compare(f"{case}-workflow")


# No logs were recorded. The messages are those that the tasks of these runs were seen to end with; KFP's launcher and
# Argo write the lines around them in this form.
LOGS = {
    "second-of-two": {
        "-1934848030": """\
I1128 14:43:55.104981      20 launcher_v2.go:201] publish success.
I1128 14:43:56.221107      20 launcher_v2.go:645] ExecutorInput: {}
pca: 16 components of 55,000 images
error: process 19 is already training pca. Wait for it to end, or stop it, then run again: training resumes.
F1128 14:44:29.870402      20 main.go:62] failed to execute component: exit status 2
time="2026-11-28T14:44:30Z" level=info msg="sub-process exited" argo=true error="<nil>"
Error: exit status 1
""",
    },
    "list-artifacts": {
        "-389379922": """\
I1128 15:05:28.114981      18 launcher_v2.go:201] publish success.
F1128 15:05:30.903311      18 main.go:62] failed to get bucket when downloading input artifact evaluation
time="2026-11-28T15:05:31Z" level=info msg="sub-process exited" argo=true error="<nil>"
Error: exit status 1
""",
    },
}  # fmt: skip
