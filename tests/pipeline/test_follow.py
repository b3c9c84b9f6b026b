"""Following a run: outages, tokens that expire, pods that cannot start, lists that stand still, and the exit codes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from autoencoders.tracking.store import tagged

from cluster_fixtures import Call, Clock  # isort: skip
from kfp_double import Double, missing  # isort: skip
from kube_double import KubeDouble  # isort: skip
from replay import RecordedRun, RecordedWorkflow  # isort: skip

pytestmark = pytest.mark.usefixtures("quick_compile")


def replay(server: Double, clock: Clock, case: str) -> RecordedRun:
    recorded = RecordedRun(case)
    server.run, clock.now = recorded.at, recorded.began
    return recorded


def replay_workflow(server: Double, kube: KubeDouble, clock: Clock, case: str) -> RecordedWorkflow:
    recorded = RecordedWorkflow(case)
    server.run, clock.now = recorded.run, recorded.began
    kube.workflow = lambda now: recorded.stopped(now, server.stopped) if server.stopped else recorded.at(now)
    kube.run_id = recorded.run_id
    kube.objects |= {"persistentvolumeclaims": {"autoencoders-checkpoints"}, "secrets": {"mlflow"}}
    return recorded


def seconds_of(line: str, began: datetime) -> float:
    told = datetime.strptime(line[:8], "%H:%M:%S").time()
    return (datetime.combine(began.date(), told, began.tzinfo) - began).total_seconds()


def between(server: Double, clock: Clock, start: float, end: float, answer: tuple[int, Any]) -> None:
    """Have the server answer so between these seconds of the run."""
    began, ask = clock.now, server.answer

    def sometimes(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        is_then = start <= (clock.now - began).total_seconds() < end
        return answer if is_then and "/runs/" in path else ask(method, path, body, token)

    server.answer = sometimes  # type: ignore[method-assign]


# KFP's answer while its database is away, as far as it was seen.
AWAY = 500, {"error": "Failed to get a run: connection refused", "code": 13}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (AWAY, "is in trouble (HTTP 500: Failed to get a run: connection refused)"),
        ((502, "bad gateway"), "is in trouble (HTTP 502: Bad Gateway)"),
        ((503, "no healthy upstream"), "is in trouble (HTTP 503: Service Unavailable)"),
    ],
)
def test_a_server_that_is_away_is_waited_for_and_that_is_said_once(
    server: Double, clock: Clock, call: Call, answer: Any, what: str
) -> None:
    replay(server, clock, "cached")
    between(server, clock, 60, 105, answer)
    code, out, _ = call("submit", "--host", server.host)
    assert code == 0
    told = [line[10:] for line in out.splitlines() if server.host in line and "KFP:" not in line]
    assert told == [
        f"{server.host} {what}; the run goes on; asking again for up to 5 min",
        f"{server.host} answers again",
    ]
    assert "full-2-same: succeeded" in out


def test_a_server_that_stays_away_ends_the_following_not_the_run(server: Double, clock: Clock, call: Call) -> None:
    recorded = replay(server, clock, "cached")
    between(server, clock, 60, 1e9, AWAY)
    began = clock.now
    code, _, err = call("submit", "--host", server.host)
    assert (code, err) == (
        2,
        f"error: {server.host} is in trouble (HTTP 500: Failed to get a run: connection refused). The run goes on: "
        f"look at it later with `python -m pipeline status {recorded.run_id}`.\n",
    )
    assert 360 < (clock.now - began).total_seconds() < 372
    assert not server.stopped


def test_a_token_that_expires_is_read_anew_once_and_then_told(
    server: Double, clock: Clock, call: Call, tmp_path: Path
) -> None:
    recorded = replay(server, clock, "cached")
    file, ask = tmp_path / "token", server.answer
    file.write_text("first")
    valid = {"Bearer first"}

    def checks(method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        if "/runs/" in path and clock.now - recorded.began > timedelta(seconds=60):
            valid.discard("Bearer first")
            file.write_text("second")
            valid.add("Bearer second")
        if "/runs/" in path and clock.now - recorded.began > timedelta(seconds=120):
            valid.clear()
        return ask(method, path, body, token) if token in valid else (401, {})

    server.answer = checks  # type: ignore[method-assign]
    code, out, err = call("submit", "--host", server.host, "--token-file", str(file))
    assert (code, err) == (
        2,
        f"error: {server.host} no longer accepts the token: it has expired, or was taken back. The run goes on: look "
        f"at it later with `python -m pipeline status {recorded.run_id}`.\n",
    )
    assert timedelta(seconds=120) < clock.now - recorded.began <= timedelta(seconds=130)
    assert "evaluate pca" in out  # which was reused in the second minute, with the second token
    assert set(server.tokens) == {"Bearer first", "Bearer second"}


def test_a_page_for_a_login_in_mid_run_is_a_token_that_has_expired(server: Double, clock: Clock, call: Call) -> None:
    recorded = replay(server, clock, "cached")
    between(server, clock, 60, 1e9, (200, "<!doctype html><title>Log in"))
    code, _, err = call("submit", "--host", server.host)
    assert code == 2
    assert err.startswith(f"error: {server.host} no longer accepts the token: it has expired, or was taken back.")
    assert recorded.run_id in err


def test_a_run_that_vanishes_is_told(server: Double, clock: Clock, call: Call) -> None:
    recorded = replay(server, clock, "cached")
    between(server, clock, 60, 1e9, missing(recorded.run_id))
    code, _, err = call("submit", "--host", server.host)
    assert (code, err) == (2, f"error: {server.host}: there is no run {recorded.run_id!r}.\n")


@pytest.mark.parametrize("case", ["wrong-image", "wrong-secret"])
def test_a_pod_that_cannot_start_is_told_within_a_minute_with_its_cure_and_given_up(
    server: Double, kube: KubeDouble, clock: Clock, call: Call, case: str
) -> None:
    recorded = replay_workflow(server, kube, clock, case)
    began = min(node["startedAt"] for node in recorded.nodes.values() if node["phase"] == "Pending")
    code, out, err = call("submit", "--host", server.host, "--give-up", "3m")
    assert code == 1
    [told] = [line for line in out.splitlines() if "  download " in line and "waiting: the " in line]
    assert seconds_of(told, datetime.fromisoformat(began)) <= 20
    cure = out.splitlines()[out.splitlines().index(told) + 1].strip()
    reason = told.partition("waiting: ")[2]
    assert err == f"error: given up: nothing could run for 3 min (download: {reason}). {cure}\n"
    assert [sent["to"] for sent in server.sent] == ["experiments", "runs", f"runs/{recorded.run_id}:terminate"]
    assert server.stopped - datetime.fromisoformat(began) < timedelta(seconds=190) + timedelta(seconds=5)
    assert "terminated after" in out


@pytest.mark.parametrize("case", ["wrong-image", "missing-claim"])
def test_without_argo_s_workflow_it_is_given_up_too_and_the_reason_is_said_to_be_unseen(
    server: Double, clock: Clock, call: Call, case: str
) -> None:
    replay(server, clock, case)
    code, out, err = call("submit", "--host", server.host, "--give-up", "90s")
    assert code == 1
    assert server.stopped
    names = {"wrong-image": "download", "missing-claim": "train pca and train ae"}[case]
    why = "there is no kube config here (which rights show it: docs/kubernetes.md)"
    assert err == (
        f"error: given up: nothing could run for 1 min 30 s ({names}: its pod is not reported as running). Why a pod "
        f"waits or failed cannot be seen: {why}.\n"
    )
    assert out.count("Why a pod waits") == 1


@pytest.mark.parametrize("case", ["succeeded", "pod-force-deleted", "recurring", "terminated"])
def test_a_run_whose_list_may_have_stopped_is_never_given_up(
    server: Double, clock: Clock, call: Call, case: str
) -> None:
    """KFP's lists of these runs show pods that wait to the end; in truth they ran."""
    replay(server, clock, case)
    call("submit", "--host", server.host, "--give-up", "60s")
    assert not server.stopped


def test_a_run_that_may_not_be_stopped_is_told(server: Double, kube: KubeDouble, clock: Clock, call: Call) -> None:
    recorded = replay_workflow(server, kube, clock, "wrong-image")
    server.refuses = {":terminate": (403, {})}
    code, out, err = call("submit", "--host", server.host, "--give-up", "1m")
    assert code == 2
    assert "Given up: nothing could run for 1 min" in out
    assert err.startswith(f"error: {server.host} refuses access (HTTP 403).")
    assert recorded.run_id in out


def test_a_run_in_which_nothing_can_run_is_remembered_rarely(
    server: Double, kube: KubeDouble, clock: Clock, call: Call
) -> None:
    recorded = replay_workflow(server, kube, clock, "wrong-image")
    clock.interrupt_at = recorded.began + timedelta(minutes=50)
    code, out, err = call("submit", "--host", server.host)
    assert (code, err) == (
        130, f"\nThe run goes on: look at it with `python -m pipeline status {recorded.run_id}`.\n"
    )  # fmt: skip
    assert not server.stopped
    told = [line for line in out.splitlines() if line[2:3] == ":"]
    assert [line[10:28] for line in told] == ["download         w", "Nothing else can r", *["Nothing has run fo"] * 3]
    times = [line.partition("for ")[2].partition(" (")[0] for line in told[2:]]
    assert times == ["10 min", "20 min", "40 min"]


def test_rights_that_are_missing_are_named_where_a_task_waits_and_where_one_failed(
    server: Double, kube: KubeDouble, clock: Clock, call: Call
) -> None:
    kube.forbidden = {"workflows"}
    kube.objects |= {"persistentvolumeclaims": {"autoencoders-checkpoints"}, "secrets": {"mlflow"}}
    line = (
        "Why a pod waits or failed cannot be seen: the kube config may not list workflows.argoproj.io in namespace "
        "kubeflow (a Role with get and list on workflows, and get on pods/log, shows it: docs/kubernetes.md)."
    )
    replay(server, clock, "wrong-image")
    _, out, _ = call("submit", "--host", server.host)
    assert [told[10:] for told in out.splitlines() if "Why a pod" in told] == [line]
    replay(server, clock, "out-of-memory")
    _, out, err = call("submit", "--host", server.host)
    assert "Why a pod" not in out
    assert err == f"error: train pca and train ae failed.\n{line}\n"


def test_why_kfp_could_not_prepare_a_task_is_in_the_driver_s_log(
    server: Double, kube: KubeDouble, clock: Clock, call: Call
) -> None:
    recorded = replay_workflow(server, kube, clock, "plugin-conflict")
    clock.now = recorded.newest + timedelta(minutes=2)
    driver = f"{recorded.workflow['metadata']['name']}-system-container-driver-"
    # The message is one that a real driver ended with; the line around it is that of KFP's programs.
    said = 'input parameter "model_params" type mismatch: expect STRUCT, got string'
    where = "F1128 14:55:12.512345      15 main.go:79] KFP driver: driver.Container(pipelineName=autoencoders) failed: "
    log = f"{where}{said}\n"
    nodes = {node["name"].rpartition(".")[2]: node["id"].rpartition("-")[2] for node in recorded.nodes.values()}
    kube.logs = {f"{driver}{nodes[name]}": log for name in ("one-hot-driver(0)", "one-image-driver(0)")}
    _, _, err = call("status", recorded.run_id, "--host", server.host)
    told = err[err.index("error: one-image") :].splitlines()
    assert told == [
        f"error: one-image and one-hot failed: KFP could not prepare it: {said}.",
        "The log of one-image ends:",
        f"    {log.strip()}",
    ]


def test_a_volume_that_cannot_be_mounted_is_told_from_the_pod_s_events(
    server: Double, kube: KubeDouble, clock: Clock, call: Call
) -> None:
    recorded = replay_workflow(server, kube, clock, "wrong-image")
    [pod] = [node for node in recorded.nodes.values() if node["phase"] == "Pending"]
    nodes = {**recorded.nodes, pod["id"]: {**pod, "message": "ContainerCreating"}}
    kube.workflow = lambda now: {**recorded.workflow, "status": {"nodes": nodes}}
    name = f"{recorded.workflow['metadata']['name']}-{pod['templateName']}-{pod['id'].rpartition('-')[2]}"
    clock.now = recorded.newest + timedelta(minutes=2)
    assert "download         starting, 2 min\n" in call("status", recorded.run_id, "--host", server.host)[1]
    # In the form of the kubelet's events.
    kube.events = {name: [("FailedMount", "MountVolume.SetUp failed: mount.nfs: Connection timed out")]}
    out = call("status", recorded.run_id, "--host", server.host)[1]
    why = "waiting: a volume cannot be mounted (MountVolume.SetUp failed: mount.nfs: Connection timed out), 2 min"
    assert f"download         {why}\n" in out
    assert "download: See the volume's driver and its claim.\n" in out


def test_a_run_that_argo_cannot_begin_is_told_with_what_argo_says(
    server: Double, kube: KubeDouble, clock: Clock, call: Call
) -> None:
    recorded = replay_workflow(server, kube, clock, "second-of-two")
    clock.now = recorded.newest + timedelta(minutes=2)
    status = {"phase": "Error", "message": "invalid spec: templates.root has no tasks"}
    kube.workflow = lambda now: {**recorded.workflow, "status": status}
    code, out, err = call("status", recorded.run_id, "--host", server.host)
    assert (code, err) == (1, "error: the run failed: invalid spec: templates.root has no tasks.\n")
    assert "train pca     not run\n" in out


def test_one_pod_that_waits_beside_others_that_run_blocks_nothing(
    server: Double, kube: KubeDouble, clock: Clock, call: Call
) -> None:
    recorded = replay_workflow(server, kube, clock, "out-of-memory")  # a rung has no room while another runs
    clock.interrupt_at = recorded.newest + timedelta(minutes=30)
    code, out, _ = call("submit", "--host", server.host, "--give-up", "2m")
    assert code == 130
    assert "auto-decoder     waiting: no node has room (1 Insufficient cpu)" in out
    assert "Nothing" not in out
    assert not server.stopped


def test_give_up_wants_a_duration(server: Double, call: Call) -> None:
    assert call("submit", "--give-up", "soon")[2].endswith(
        "error: argument --give-up: 'soon' is no duration: write 90s, 10m or 2h\n"
    )


@pytest.fixture
def pipeline_run(client: MlflowClient, store: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """MLflow, to which MLFLOW_TRACKING_URI points, with the run of a pipeline, and those of two of its trainings."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)

    def make(run_id: str) -> str:
        experiment = client.create_experiment("autoencoders")
        for model, status in {"pca": "FINISHED", "ae": "RUNNING"}.items():
            tags = {"kfp_run": run_id, "kfp_task": "train", "model": model}
            client.update_run(client.create_run(experiment, tags=tags).info.run_id, status)
        return str(client.create_run(experiment, tags={"kfp_pipeline": run_id}).info.run_id)

    return make


@pytest.mark.parametrize(
    ("case", "status", "task"), [("cached", "FINISHED", None), ("out-of-memory", "FAILED", "train pca")]
)
def test_mlflow_s_run_of_the_pipeline_ends_with_it(
    server: Double, clock: Clock, call: Call, client: MlflowClient, pipeline_run: Callable[[str], str],
    case: str, status: str, task: str | None,
) -> None:  # fmt: skip
    recorded = replay(server, clock, case)
    run = pipeline_run(recorded.run_id)
    assert call("submit", "--host", server.host)[0] == (status != "FINISHED")
    ended = client.get_run(run)
    assert (ended.info.status, ended.data.tags.get("kfp_failed_task")) == (status, task)


def test_status_ends_mlflow_s_run_too_and_keeps_what_a_task_said(
    server: Double, clock: Clock, call: Call, client: MlflowClient, pipeline_run: Callable[[str], str]
) -> None:
    recorded = replay(server, clock, "second-of-two")
    run = pipeline_run(recorded.run_id)
    client.set_tag(run, "kfp_failed_task", "train")
    client.set_tag(run, "kfp_error", "process 19 is already training pca")
    clock.now += timedelta(minutes=10)
    code, _, err = call("status", recorded.run_id, "--host", server.host)
    assert code == 1
    assert err == "error: train pca failed.\nMLflow has of train: process 19 is already training pca\n"
    assert client.get_run(run).info.status == "FAILED"
    assert tagged(client, "kfp_pipeline", recorded.run_id) == run


def test_a_terminated_run_is_killed_in_mlflow(
    server: Double, clock: Clock, call: Call, client: MlflowClient, pipeline_run: Callable[[str], str]
) -> None:
    recorded = replay(server, clock, "terminated")
    run = pipeline_run(recorded.run_id)
    assert call("submit", "--host", server.host)[0] == 1
    assert client.get_run(run).info.status == "KILLED"


def test_a_list_that_stands_still_is_replaced_by_what_is_known(
    server: Double, clock: Clock, call: Call, pipeline_run: Callable[[str], str]
) -> None:
    recorded = replay(server, clock, "succeeded")
    pipeline_run(recorded.run_id)
    code, out, _ = call("submit", "--host", server.host)
    assert code == 0
    told = [line[10:] for line in out.splitlines() if "stood still" in line or "tasks have finished" in line]
    assert told[0] == (
        "KFP's list of tasks has stood still since 14:15:10: its server cannot read records of more than 1 MiB. 10 "
        "tasks have finished, not counting reused ones. Argo's Workflow would show all, but there is no kube config "
        "here (which rights show it: docs/kubernetes.md)."
    )
    assert told[1:3] == [
        "10 tasks have finished; MLflow has train pca done, train ae running",
        "11 tasks have finished; MLflow has train pca done, train ae running",
    ]
    assert sum("stood still" in line for line in told) == 1


def test_where_a_log_is_gone_mlflow_may_have_the_reason(
    server: Double, kube: KubeDouble, clock: Clock, call: Call, client: MlflowClient,
    pipeline_run: Callable[[str], str],
) -> None:  # fmt: skip
    recorded = replay_workflow(server, kube, clock, "second-of-two")
    run = pipeline_run(recorded.run_id)
    client.set_tag(run, "kfp_failed_task", "train")
    client.set_tag(run, "kfp_error", "out of disk")
    clock.now = recorded.newest + timedelta(minutes=5)
    _, _, err = call("status", recorded.run_id, "--host", server.host)
    assert err == "error: train pca failed: exit code 1; it told MLflow: out of disk.\n"
