"""Pods that cannot start, and why: what is reported, when, and when a run is given up."""

from datetime import datetime, timedelta

import pytest
from cluster_fixtures import replay, replay_workflow

pytestmark = pytest.mark.usefixtures("quick_compile")


def seconds_of(line: str, began: datetime) -> float:
    told = datetime.strptime(line[:8], "%H:%M:%S").time()
    return (datetime.combine(began.date(), told, began.tzinfo) - began).total_seconds()


@pytest.mark.parametrize("case", ["wrong-image", "wrong-secret"])
def test_a_pod_that_cannot_start_is_reported_within_a_minute_with_its_cure_and_given_up(
    server, kube, clock, call, case
):
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
def test_without_argo_s_workflow_it_is_given_up_too_and_the_reason_is_said_to_be_unseen(server, clock, call, case):
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
def test_a_run_whose_list_may_have_stopped_is_never_given_up(server, clock, call, case):
    """KFP's lists of these runs show pods that wait to the end; in truth they ran."""
    replay(server, clock, case)
    call("submit", "--host", server.host, "--give-up", "60s")
    assert not server.stopped


def test_a_run_that_may_not_be_stopped_is_reported(server, kube, clock, call):
    recorded = replay_workflow(server, kube, clock, "wrong-image")
    server.refuses = {":terminate": (403, {})}
    code, out, err = call("submit", "--host", server.host, "--give-up", "1m")
    assert code == 2
    assert "Given up: nothing could run for 1 min" in out
    assert err.startswith(f"error: {server.host} refuses access (HTTP 403).")
    assert recorded.run_id in out


def test_a_run_in_which_nothing_can_run_is_remembered_rarely(server, kube, clock, call):
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


def test_rights_that_are_missing_are_named_where_a_task_waits_and_where_one_failed(server, kube, clock, call):
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


def test_why_kfp_could_not_prepare_a_task_is_in_the_driver_s_log(server, kube, clock, call):
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
    told = err[err.index("error: one-hot") :].splitlines()
    assert told == [
        f"error: one-hot and one-image failed: KFP could not prepare it: {said}.",
        "The log of one-hot ends:",
        f"    {log.strip()}",
    ]


def test_a_volume_that_cannot_be_mounted_is_reported_from_the_pod_s_events(server, kube, clock, call):
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


def test_a_run_that_argo_cannot_begin_is_reported_with_what_argo_says(server, kube, clock, call):
    recorded = replay_workflow(server, kube, clock, "second-of-two")
    clock.now = recorded.newest + timedelta(minutes=2)
    status = {"phase": "Error", "message": "invalid spec: templates.root has no tasks"}
    kube.workflow = lambda now: {**recorded.workflow, "status": status}
    code, out, err = call("status", recorded.run_id, "--host", server.host)
    assert (code, err) == (1, "error: the run failed: invalid spec: templates.root has no tasks.\n")
    assert "train pca     not run\n" in out


def test_one_pod_that_waits_beside_others_that_run_blocks_nothing(server, kube, clock, call):
    recorded = replay_workflow(server, kube, clock, "out-of-memory")  # a rung has no room while another runs
    clock.interrupt_at = recorded.newest + timedelta(minutes=30)
    code, out, _ = call("submit", "--host", server.host, "--give-up", "2m")
    assert code == 130
    assert "auto-decoder     waiting: no node has room (1 Insufficient cpu)" in out
    assert "Nothing" not in out
    assert not server.stopped


def test_give_up_wants_a_duration(server, call):
    fault = "argument --give-up: 'soon' is no duration: write 90s, 10m or 2h."
    assert call("submit", "--give-up", "soon")[2] == f"error: {fault} See `python -m pipeline submit --help`.\n"
