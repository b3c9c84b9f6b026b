"""Two equal trainings at once, of two Kubeflow runs: the second waits for the first, and nothing is trained twice."""

import json
import shutil
from pathlib import Path

import pytest
from pods import Cluster, Pod, of_pipeline, runs
from servers import BUCKET, SECRET

from autoencoders.model_folder import read_description
from autoencoders.tracking import RunPublisher

pytestmark = pytest.mark.cluster


BOTH = pytest.mark.parametrize("claim", ["volume", "store"], indirect=True)


@pytest.fixture
def claim(request, cluster, monkeypatch, tmp_path) -> Cluster:
    """Pods whose checkpoints go to a volume, or to an object store, which has no locks."""
    if request.param == "store":
        for name, value in {**SECRET, "MLFLOW_S3_ENDPOINT_URL": request.getfixturevalue("s3")}.items():
            monkeypatch.setenv(name, value)
        cluster.claim = f"s3://{BUCKET}/{tmp_path.name}"
    return cluster


@pytest.fixture(scope="module")
def whole(prepared, migrated, tmp_path_factory) -> str:
    """The SHA-256 of the weights of a training that is alone."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copy(migrated, root / "mlflow.db")
    alone = Cluster(root, prepared, f"sqlite:///{root / 'mlflow.db'}", str(root / "claim"))
    return sha256(alone.train("alone").end())


def sha256(model: Path) -> str:
    return str(read_description(model)["weights_sha256"])


def run_id(model: Path) -> str:
    return str(json.loads((model / "run.json").read_text())["run_id"])


def waits(pod: Pod) -> bool:
    return any("is training the same model: waiting for it" in line for line in pod.said())


def start_two(cluster: Cluster, gpus: int = 1) -> tuple[Pod, Pod]:
    """Start a training that is held up after its first validation, and an equal one, which waits."""
    first = cluster.train("a", gpus=gpus)
    first.wait_for(cluster.has_checkpoint)
    first.pause()
    second = cluster.train("b", gpus=gpus)
    second.wait_for(lambda: waits(second))
    return first, second


@BOTH
def test_the_second_has_the_model_of_the_first(claim, whole, client):
    first, second = start_two(claim)
    third = claim.train("c")
    third.wait_for(lambda: waits(third))
    first.go_on()
    models = [pod.end() for pod in (first, second, third)]
    assert {sha256(model) for model in models} == {whole}
    for model in models:
        files = {path.name: path.read_bytes() for path in model.iterdir()}
        assert files == {path.name: path.read_bytes() for path in models[0].iterdir()}
    assert claim.kept() == []

    [run] = runs(client)
    assert (run.info.run_id, run.info.status, run.data.tags["kfp_run"]) == (run_id(models[0]), "FINISHED", "a")
    for pipeline in ("b", "c"):
        [above] = runs(client, pipeline)
        assert above.data.tags["kfp_model.vae"] == run.info.run_id
        assert of_pipeline(client, pipeline) == ("RUNNING", None, None)
    for pod in (second, third):
        [told] = [line for line in pod.said() if "is training the same model" in line]
        assert [line for line in pod.said() if " step " in line] == []
        assert pod.said()[-1] == f"vae: trained by another process meanwhile, stored in {Path('out/vae')}"
    assert told.endswith(f" is training the same model: waiting for it ({claim.claim}/{identity()}/vae)")


def identity() -> str:
    from autoencoders.kubeflow import launch

    return str(launch.checkpoints("identity")).rpartition("/")[2]


@BOTH
def test_the_second_goes_on_where_the_first_was_killed(claim, whole, client):
    claim.expired = 1
    first, second = start_two(claim)
    first.kill()
    model = second.end()
    assert sha256(model) == whole
    assert [line for line in second.said() if "step 0/" in line] == []
    assert claim.kept() == []
    assert [(run.info.run_id, run.info.status) for run in runs(client)] == [(run_id(model), "FINISHED")]


def test_the_second_goes_on_where_the_first_s_pod_was_deleted_and_the_first_then_waits(cluster, whole, client):
    first, second = start_two(cluster)
    first.stop()
    first.go_on()
    first.wait_until_stopped()
    first.kill()
    again = cluster.train("a")
    assert sha256(second.end()) == sha256(again.end()) == whole
    assert cluster.kept() == []
    assert of_pipeline(client, "a") == ("RUNNING", None, None)
    [run] = runs(client)
    assert {run_id(pod.folder / "out" / "vae") for pod in (second, again)} == {run.info.run_id}
    assert run.data.tags["kfp_run"] == "b"


@pytest.mark.parametrize("claim", ["volume"], indirect=True)
def test_a_waiting_training_that_was_killed_gets_the_model_in_its_next_attempt(claim, whole, client):
    first, second = start_two(claim)
    second.kill()
    first.go_on()
    assert sha256(first.end()) == whole
    assert not claim.has_checkpoint()
    assert claim.kept() != []
    again = claim.train("b")
    assert (sha256(again.end()), run_id(again.folder / "out" / "vae")) == (whole, run_id(first.folder / "out" / "vae"))
    assert claim.kept() == []


@pytest.mark.parametrize("claim", ["store"], indirect=True)
def test_a_further_attempt_of_the_same_run_waits_for_no_lease(claim, whole, client):
    first = claim.train("a")
    first.wait_for(claim.has_checkpoint)
    first.kill()
    second = claim.train("a")
    assert sha256(second.end()) == whole
    assert not waits(second)
    assert claim.kept() == []


def test_of_two_trainings_with_several_processes_each_all_wait(cluster, client):
    first, second = start_two(cluster, gpus=2)
    first.go_on()
    models = first.end(), second.end()
    assert sha256(models[0]) == sha256(models[1])
    assert len(runs(client)) == 1
    assert cluster.kept() == []


def test_a_model_taken_over_is_named_by_the_pipeline_s_report_as_well(trained, client, monkeypatch):
    monkeypatch.setenv("KFP_RUN_ID", "b")
    with RunPublisher("autoencoders") as named:
        named.name_models([trained / "vae"], of_task="vae")
    [above] = runs(client, "b")
    [run] = runs(client)
    assert above.data.tags["kfp_model.vae"] == run.info.run_id
