"""A run on a cluster and MLflow's run of it: who ends it, and what it knows that KFP does not."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from cluster_fixtures import replay, replay_workflow

from autoencoders.tracking.store import tagged

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture
def pipeline_run(client, store, monkeypatch) -> Callable[[str], str]:
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
def test_mlflow_s_run_of_the_pipeline_ends_with_it(server, clock, call, client, pipeline_run, case, status, task):
    recorded = replay(server, clock, case)
    run = pipeline_run(recorded.run_id)
    assert call("submit", "--host", server.host)[0] == (status != "FINISHED")
    ended = client.get_run(run)
    assert (ended.info.status, ended.data.tags.get("kfp_failed_task")) == (status, task)


def test_status_ends_mlflow_s_run_too_and_keeps_what_a_task_said(server, clock, call, client, pipeline_run):
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


def test_a_terminated_run_is_killed_in_mlflow(server, clock, call, client, pipeline_run):
    recorded = replay(server, clock, "terminated")
    run = pipeline_run(recorded.run_id)
    assert call("submit", "--host", server.host)[0] == 1
    assert client.get_run(run).info.status == "KILLED"


def test_a_list_that_stands_still_is_replaced_by_what_is_known(server, clock, call, pipeline_run):
    recorded = replay(server, clock, "succeeded")
    pipeline_run(recorded.run_id)
    code, out, _ = call("submit", "--host", server.host)
    assert code == 0
    told = [line[10:] for line in out.splitlines() if "stood still" in line or "tasks have finished" in line]
    assert told[0] == (
        "KFP's list of tasks has stood still since 14:15:10: KFP's server cannot read records of more than 1 MiB. 10 "
        "tasks have finished, not counting reused ones. Argo's Workflow would show all, but there is no kube config "
        "here (which rights show it: docs/kubernetes.md)."
    )
    assert told[1:3] == [
        "10 tasks have finished; MLflow has train pca done, train ae running",
        "11 tasks have finished; MLflow has train pca done, train ae running",
    ]
    assert sum("stood still" in line for line in told) == 1


def test_where_a_log_is_gone_mlflow_may_have_the_reason(server, kube, clock, call, client, pipeline_run):
    recorded = replay_workflow(server, kube, clock, "second-of-two")
    run = pipeline_run(recorded.run_id)
    client.set_tag(run, "kfp_failed_task", "train")
    client.set_tag(run, "kfp_error", "out of disk")
    clock.now = recorded.newest + timedelta(minutes=5)
    _, _, err = call("status", recorded.run_id, "--host", server.host)
    assert err == "error: train pca failed: exit code 1; MLflow has of it: out of disk.\n"
