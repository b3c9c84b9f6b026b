"""A run on this machine prints a line for each task, and what a failed one has printed."""

import builtins
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from kfp.local import subprocess_task_handler
from kfp.local.status import Status

from pipeline.task_lines import line_for_each_task, task_name

HANDLER = subprocess_task_handler.SubprocessTaskHandler


def command(stage: str, **inputs: object) -> list[str]:
    executor_input = json.dumps({"inputs": inputs, "outputs": {}})
    return ["python3", "-m", "main", "--function_to_execute", stage, "--executor_input", executor_input]


def handler(stage: str, **inputs: object) -> SimpleNamespace:
    return SimpleNamespace(full_command=command(stage, **inputs))


@pytest.fixture
def kfp(monkeypatch, clock):
    """KFP's handler, with a task that prints as much as one does and takes 75 s; `download` fails."""

    def run(task: SimpleNamespace) -> Status:
        stage = task.full_command[task.full_command.index("--function_to_execute") + 1]
        print("    [KFP Executor 2026-01-01 10:00:00,000 INFO]: Looking for component")
        print("    [KFP Executor 2026-01-01 10:00:00,000 INFO]: Got executor_input:")
        for line in json.dumps({"inputs": {"a": 1}}, indent=4).splitlines():
            print("   ", line)
        print(f"    {stage}: the stage's own\n        words")
        clock.sleep(75)
        return Status.FAILURE if stage == "download" else Status.SUCCESS

    monkeypatch.setattr(HANDLER, "run", run)
    return HANDLER


def test_a_task_has_a_line_and_a_failed_one_its_own_output(kfp, capsys):
    with line_for_each_task():
        print("Running pipeline")
        kfp.run(handler("prepare"))
        kfp.run(handler("train", parameterValues={"model_params": {"vae": {"kind": "vae"}}}))
        kfp.run(handler("download"))
        print("-" * 80)
    assert capsys.readouterr().out.splitlines() == [
        "prepare: done, 1 min 15 s",
        "train vae: done, 1 min 15 s",
        "download: failed, after 1 min 15 s",
        "    download: the stage's own",
        "        words",
    ]


def test_all_is_as_before_afterwards(kfp, capsys):
    before = kfp.run
    with pytest.raises(RuntimeError), line_for_each_task():
        builtins.print = lambda *values: None  # as KFP leaves it
        raise RuntimeError
    assert kfp.run == before
    print("again")
    assert capsys.readouterr().out == "again\n"


def test_tasks_that_run_at_once_keep_their_own_output(monkeypatch, capsys):
    def run(task: SimpleNamespace) -> Status:
        name = task_name(task.full_command)
        for _ in range(200):
            sys.stdout.write(f"{name}\n")
        return Status.FAILURE

    monkeypatch.setattr(HANDLER, "run", run)
    with line_for_each_task(), ThreadPoolExecutor(2) as pool:
        list(pool.map(HANDLER.run, [handler("a"), handler("b")]))
    lines = capsys.readouterr().out.splitlines()
    for name, block in zip((lines[0][0], lines[201][0]), (lines[1:201], lines[202:]), strict=True):
        assert [line.strip() for line in block] == [name] * 200


def test_a_task_of_a_model_is_named_after_it(tmp_path):
    (tmp_path / "model" / "ae-2d").mkdir(parents=True)
    artifacts = {"model": {"artifacts": [{"uri": str(tmp_path / "model")}]}}
    assert task_name(command("evaluate", artifacts=artifacts)) == "evaluate ae-2d"
    assert task_name(command("ladder", parameterValues={"device": "cpu"})) == "ladder"
