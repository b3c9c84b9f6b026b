"""In a pod: mounted secrets complete the environment, and a process that must stop waits to be killed."""

import os
import signal
import time
from pathlib import Path

import pytest
from pods import WAITING, of_pipeline, runs
from processes import run_python

from autoencoders.model_folder import read_description
from autoencoders.runtime import pod

# The environment


@pytest.fixture
def environment(monkeypatch, tmp_path) -> dict[str, str]:
    """A process's environment that changes only here; its secrets are mounted below `tmp_path`."""
    environment = {"SET": "before", "EMPTY": ""}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(pod, "filled", set())
    monkeypatch.setattr(pod, "SECRETS", tmp_path)
    return environment


def test_the_files_of_mounted_secrets_are_variables(environment, tmp_path):
    """A mounted secret: files that are links into a hidden folder, which is one, too."""
    secret, other = tmp_path / "a secret", tmp_path / "another"
    (secret / "..2026").mkdir(parents=True)
    other.mkdir()
    values = {"KEY": "a value\n", "SET": "after", "EMPTY": "after", "TWO": "lines\n\n", "not-a-name": "x", "1ST": "x"}
    for name, value in values.items():
        (secret / "..2026" / name).write_text(value)
    (secret / "..data").symlink_to(secret / "..2026")
    for name in values:
        (secret / name).symlink_to(secret / "..data" / name)
    (secret / ".HIDDEN").write_text("x")
    (secret / "FOLDER").mkdir()
    (other / "BINARY").write_bytes(b"\0\xff")
    (other / "BYTES").write_bytes(b"\xff")
    (other / "KEY").write_text("of the second secret")
    before = dict(environment)
    pod.complete_environment()
    assert environment == {**before, "KEY": "a value", "TWO": "lines\n", "BYTES": "\udcff"}
    assert pod.filled == {"KEY", "TWO", "BYTES"}


def test_without_secrets_nothing_is_set(environment):
    before = dict(environment)
    pod.complete_environment()
    assert environment == before


@pytest.mark.parametrize("own", [None, "", "http://of-the-plugin"])
def test_mlflow_is_at_the_pods_address_unless_another_is_set(environment, own):
    if own is not None:
        environment["MLFLOW_TRACKING_URI"] = own
    environment[pod.TRACKING_URI] = "http://mlflow"
    pod.complete_environment()
    assert environment["MLFLOW_TRACKING_URI"] == (own or "http://mlflow")
    assert pod.filled == (set() if own else {"MLFLOW_TRACKING_URI"})


def test_a_mounted_secret_says_where_mlflow_is(environment, tmp_path):
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / pod.TRACKING_URI).write_text("http://mlflow\n")
    pod.complete_environment()
    assert environment["MLFLOW_TRACKING_URI"] == "http://mlflow"


def test_a_command_takes_its_variables_from_secrets(tmp_path, monkeypatch):
    """The nodes of a TrainJob run the command itself."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "MLFLOW_TRACKING_URI").write_text("http://127.0.0.1:9")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    script = (
        "import sys; from pathlib import Path; from autoencoders import cli; from autoencoders.runtime import pod; "
        "pod.SECRETS = Path(sys.argv[1])"
    )
    done = run_python(f"{script}; cli.main(['lineage', 'x'])", tmp_path, code=2, cwd=tmp_path)
    assert done.stderr.startswith("error: the MLflow server at http://127.0.0.1:9 does not answer (ConnectionError).")


def test_a_process_is_in_a_pod_where_kubernetes_and_kubeflow_say_so(monkeypatch):
    for kubernetes, pipeline, expected in (
        (None, "a-run", None),  # `python -m pipeline local`
        ("10.0.0.1", None, None),  # a notebook
        ("10.0.0.1", "", None),
        ("10.0.0.1", "a-run", "a-run"),
    ):
        for name, value in (("KUBERNETES_SERVICE_HOST", kubernetes), ("KFP_RUN_ID", pipeline)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        assert pod.kfp_run() == expected


# The end


@pytest.mark.cluster
def test_a_training_that_must_stop_waits_to_be_killed_and_its_next_attempt_goes_on(cluster, client):
    first = cluster.train("a")
    first.wait_for(cluster.has_checkpoint)
    first.stop()
    first.wait_until_stopped()
    [run] = runs(client)
    assert run.info.status == "KILLED"
    assert of_pipeline(client, "a") == ("KILLED", "train vae", "exit code 143")
    first.stop()  # nor does it leave when it is told again
    first.wait_until_stopped()
    first.kill()

    second = cluster.train("a")
    model = second.end()
    assert [run.info.status for run in runs(client)] == ["FINISHED"]
    assert runs(client)[0].info.run_id == run.info.run_id
    assert of_pipeline(client, "a") == ("RUNNING", None, None)
    cluster.claim += "-of-another"
    assert read_description(model)["weights_sha256"] == sha256(cluster.train("b").end())
    assert [line for line in second.said() if "step 0/" in line] == []


def sha256(model: Path) -> str:
    return str(read_description(model)["weights_sha256"])


@pytest.mark.cluster
def test_of_several_processes_the_children_stop_first(cluster, client):
    import psutil

    first = cluster.train("a", gpus=2, steps=1_200_000)
    first.wait_for(cluster.has_checkpoint)
    first.stop()
    first.wait_until_stopped()
    assert psutil.Process(first.process.pid).children(recursive=True) == []
    assert [run.info.status for run in runs(client)] == ["KILLED"]
    assert of_pipeline(client, "a") == ("KILLED", "train vae", "exit code 143")
    assert cluster.has_checkpoint()


@pytest.mark.cluster
@pytest.mark.parametrize("gpus", [1, 2])
def test_a_training_whose_output_loses_its_reader_was_stopped(cluster, client, gpus):
    """Kubeflow's launcher, which reads it, is the first to go when a run is terminated."""
    reader, writer = os.pipe()
    training = cluster.train("a", gpus=gpus, steps=1_200_000, output=writer)
    os.close(writer)
    while "step 1" not in os.read(reader, 1000).decode():
        assert training.process.poll() is None
    os.close(reader)
    while "KILLED" not in [run.info.status for run in runs(client, "a")]:
        assert training.process.poll() is None
        time.sleep(0.05)
    assert of_pipeline(client, "a") == ("KILLED", "train vae", "nobody reads its output")
    assert [run.info.status for run in runs(client)] == ["KILLED"]
    assert training.process.poll() is None


@pytest.mark.cluster
@pytest.mark.parametrize("moment", ["before", "while", "after"])
def test_a_task_without_a_training_waits_to_be_killed_too(cluster, client, moment):
    """Also while it imports what it needs, and while what it made is written down."""
    program = (
        "import sys, time; from pathlib import Path; from autoencoders.kubeflow import launch\n"
        "def pause(moment):\n"
        "    if moment == sys.argv[1]: Path('ready').touch(); time.sleep(1000)\n"
        "def prepare(params): pause('while')\n"
        "launch.stages.find_stage = lambda name: pause('before') or prepare\n"
        "launch.run('prepare', {}); pause('after')"
    )
    task = cluster.start("a", program, moment)
    task.wait_for((task.folder / "ready").exists)
    task.stop()
    task.wait_until_stopped()
    assert task.said() == [WAITING]
    if moment == "while":
        assert of_pipeline(client, "a") == ("KILLED", "prepare", "exit code 143")


@pytest.mark.cluster
def test_where_nobody_kills_it_a_task_ends_by_itself(cluster):
    program = (
        "import os, signal; from autoencoders.kubeflow import launch; from autoencoders.runtime import pod\n"
        "pod.UNTIL_KILLED = .1\n"
        "def prepare(params): os.kill(os.getpid(), signal.SIGTERM)\n"
        "launch.run(prepare, {})"
    )
    task = cluster.start("a", program)
    assert task.process.wait(60) == 143
    assert task.said() == [WAITING]


@pytest.mark.cluster
def test_outside_of_a_pod_a_task_leaves_at_once(cluster, client):
    """`python -m pipeline local`, where a plain kill ends all of it."""
    program = (
        "import os, signal; os.environ.pop('KUBERNETES_SERVICE_HOST'); from autoencoders.kubeflow import launch\n"
        "def prepare(params): os.kill(os.getpid(), signal.SIGTERM)\n"
        "launch.run(prepare, {})"
    )
    task = cluster.start("a", program)
    assert task.process.wait(60) == 128 + signal.SIGTERM
    assert task.said() == []
    assert of_pipeline(client, "a") == ("KILLED", "prepare", "exit code 143")
