"""Runs of MLflow that a killed training has left running, and who ends them."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from processes import training_command, wait_for_checkpoint

from autoencoders.training.checkpoint import Checkpoint, open_store
from autoencoders.training.handover import RunMarks

KILLED_PROCESS = "2147483646"


def test_in_a_locked_folder_every_other_mark_is_of_a_dead_training(where):
    if isinstance(where, Path):
        where.mkdir()
    RunMarks(open_store(where), "same", alone=True).mark("a")
    following = RunMarks(open_store(where), "same", alone=True)
    following.mark("b")
    assert sorted(following.abandoned()) == ["a", "b"]
    following.unmark("a")
    following.forget()
    assert open_store(where).names() == []


def test_in_a_store_without_locks_a_mark_of_a_dead_process_is_of_a_dead_training(memory):
    store = open_store(f"{memory}/vae")
    runs = RunMarks(store, "same", alone=False)
    runs.mark("mine")
    marked = store.open("same.mine.run")
    content = marked.read().decode()
    killed = content.replace(str(os.getpid()), KILLED_PROCESS)
    store.write(killed.encode(), "other.killed.run")
    for name, host in (("elsewhere", " another-"), ("far", "~")):  # hosts that sort before this one and after it
        store.write(killed.replace('"host": "', f'"host": "{host}').encode(), f"other.{name}.run")
    store.write(b"damaged", "same.damaged.run")
    assert runs.abandoned() == ["killed"]
    runs.unmark("killed")
    runs.forget()
    assert sorted(store.names()) == ["other.elsewhere.run", "other.far.run"]


def test_a_folder_is_locked_and_so_is_a_store_for_a_kubeflow_run(tmp_path, memory):
    """There, a mark of another machine is of a dead training, too."""
    for where, owner, marked in ((tmp_path, None, ["x"]), (f"{memory}/a", "a-run", ["x"]), (f"{memory}/b", None, [])):
        checkpoint = Checkpoint(where, "same", owner)
        checkpoint.store.write(b'{"host": "elsewhere", "process": 1}', "other.x.run")
        assert checkpoint.runs.abandoned() == marked


def test_a_store_that_is_away_costs_no_training(flaky):
    runs = RunMarks(open_store("flaky://bucket/vae"), "same", alone=False)
    flaky.update({"pipe_file", "rm_file", "cat_file"})
    runs.mark("a")
    runs.unmark("a")
    assert runs.abandoned() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name)
def test_a_training_that_is_killed_before_its_first_step_is_not_left_running(prepared, store, client, tmp_path, number):
    """Each with other parameters, so that none goes on with the one before."""

    def start(seed: int, batch: int, steps: int) -> "subprocess.Popen[bytes]":
        slow = "from autoencoders.training import fitting; from time import sleep\n"
        slow += "def pause(on_batch, **_):\n"
        slow += f"    for _ in range({12_000 if steps > 9 else 0}): sleep(0.05); on_batch()\n"
        slow += "fit = fitting.fit; fitting.fit = lambda *a, **k: (pause(**k), fit(*a, **k))[1]\n"
        command = training_command(tmp_path, prepared, slow, steps=steps, batch_size=batch, seed=seed)
        return subprocess.Popen(command, cwd=tmp_path)

    def statuses() -> list[str]:
        experiment = client.get_experiment_by_name("autoencoders")
        found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])
        return [run.info.status for run in found]

    killed = start(0, 20, 3000)
    wait_for_checkpoint(tmp_path, lambda: killed.poll() is None, ending="run")
    killed.send_signal(number)
    assert killed.wait() == {signal.SIGKILL: -9, signal.SIGHUP: 129}[number]
    assert statuses() == (["RUNNING"] if number == signal.SIGKILL else ["KILLED"])
    assert start(1, 20, 3).wait() == 0
    assert statuses() == ["KILLED", "FINISHED"]
    assert not (tmp_path / "checkpoints" / "ae").exists()
