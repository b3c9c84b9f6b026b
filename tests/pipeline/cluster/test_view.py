"""A line a task and model: which state belongs to which nodes, in which order, in which words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from replay import pipeline_spec

from pipeline.cluster.nodes import Node
from pipeline.cluster.spec import Limits, Spec, Task, read_spec
from pipeline.cluster.states import State, TaskView
from pipeline.cluster.view import Context, view

START = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
ROOT = "wf(0).root(0)"
ITEM = f"{ROOT}.for-loop-1(0).iteration-iterations({{0}}:{{0}})(0).iteration-item(0)"
DEADLINE = "Pod was active on the node longer than the specified deadline"


def node(name: str, phase: str, message: str = "", start: float = 0, end: float | None = None, **more: Any) -> Node:
    over = START + timedelta(seconds=end) if end is not None else None
    return Node(name, phase, message, START + timedelta(seconds=start), over, **more)


def pods(name: str, *attempts: tuple[str, str], end: float | None = None) -> list[Node]:
    """A task with the attempts of its executor, each of which lasted 60 s; without `end`, it goes on."""
    found = [node(name, "Running", end=end), node(f"{name}(0).executor", "Running", end=end)]
    for number, (phase, message) in enumerate(attempts):
        over = phase in ("Succeeded", "Failed", "Error")
        found.append(
            node(f"{name}(0).executor({number})", phase, message, 60 * number, 60 * number + 60 if over else None)
        )
    return found


def see(nodes: list[Node], at: float = 100, spec: Spec | None = None, **context: Any) -> list[TaskView]:
    now = START + timedelta(seconds=at)
    return view(nodes, Context(spec or Spec(), "kubeflow", now, **{"has_reasons": True, **context}))


def described(nodes: list[Node], at: float = 100, **context: Any) -> str:
    [task] = see(nodes, at, **context)
    return task.describe(START + timedelta(seconds=at))


@pytest.mark.parametrize(
    ("attempts", "end", "line"),
    [
        ([("Running", "")], None, "running, 1 min 40 s"),
        ([("Succeeded", "")], 65, "done, 1 min"),
        ([("Error", "pod deleted"), ("Running", "")], None, "running (attempt 2: the first pod was lost), 40 s"),
        ([("Failed", "main: Error (exit code 1)"), ("Running", "")], None,
         "running (attempt 2: the first pod failed, exit code 1), 40 s"),
        ([("Error", "pod deleted"), ("Error", "pod deleted"), ("Succeeded", "")], 185, "done (3 attempts), 3 min"),
        ([("Failed", "main: OOMKilled (exit code 1)")], 65, "failed: out of memory, after 1 min"),
        ([("Failed", DEADLINE)], None, "failed (may be tried again): over its time limit, after 1 min"),
        ([("Error", "pod deleted"), ("Failed", DEADLINE)], 125,
         "failed (2 attempts): over its time limit, after 2 min"),
        ([("Pending", "ContainerCreating")], None, "starting, 1 min 40 s"),
        ([("Pending", 'secret "x" not found')], None, "waiting: the secret x is missing, 1 min 40 s"),
    ],
)  # fmt: skip
def test_attempts_are_folded_into_their_task(attempts, end, line):
    assert described(pods(f"{ROOT}.train", *attempts, end=end)) == line


def test_a_pod_that_cannot_start_is_no_fault_for_some_seconds():
    nodes = pods(f"{ROOT}.train", ("Pending", "ErrImagePull: rpc error"))
    assert described(nodes, at=14) == "starting, 14 s"
    assert described(nodes, at=15).startswith("waiting: the image")


def test_a_pod_that_kfp_does_not_report_as_running_waits_after_45_s_where_the_list_is_live():
    nodes = pods(f"{ROOT}.train", ("Pending", ""))
    assert described(nodes, at=44, has_reasons=False) == "starting, 44 s"
    assert described(nodes, at=45, has_reasons=False) == "waiting: its pod is not reported as running, 45 s"
    assert described(nodes, at=45, has_reasons=False, is_live=False) == "starting, 45 s"


def test_states_that_pods_of_one_moment_may_have_are_not_shown_as_certain():
    train = pods(f"{ROOT}.train")
    either = node(f"{ROOT}.train(0).executor(0)", "Running", maybe=frozenset({"Pending"}))
    failed = node(f"{ROOT}.train(0).executor(0)", "Failed", maybe=frozenset({"Running"}), end=60)
    [task] = see([*train, either], has_reasons=False)
    assert task.describe() == "starting (or running: KFP does not say which of the pods run)"
    assert task.is_active
    assert described([*train, failed], has_reasons=False) == "running, 1 min 40 s"


def test_a_task_from_kfp_s_cache_is_reused_and_one_that_never_ran_is_not_run():
    reused = [node(f"{ROOT}.a", "Succeeded", end=0), node(f"{ROOT}.a(0).executor", "Skipped", end=0)]
    omitted = [node(f"{ROOT}.b", "Omitted", end=0), node(f"{ROOT}.b-driver", "Omitted", end=0)]
    assert [task.describe() for task in see(reused + omitted)] == ["reused from an earlier run", "not run"]


def test_what_was_running_when_the_run_was_stopped_is_stopped_and_what_failed_before_has_failed():
    stopped = START + timedelta(seconds=58)
    by_argo = pods(f"{ROOT}.a", ("Failed", "Step exceeded its deadline"), end=61)
    by_kfp = pods(f"{ROOT}.b", ("Failed", ""), end=61)
    before = pods(f"{ROOT}.c", ("Failed", "main: Error (exit code 1)"), end=61)
    assert [task.state for task in see(by_argo + by_kfp + before, stopped=stopped)] == ["stopped", "stopped", "failed"]
    assert described(by_kfp, has_reasons=False, stopped=START + timedelta(seconds=90)) == "failed, after 1 min"


def test_drivers_are_shown_only_where_they_fail_or_cannot_start():
    def driver(phase: str, message: str = "", end: float | None = None) -> list[Node]:
        name = f"{ROOT}.train-driver"
        return [node(name, "Running", end=end), node(f"{name}(0)", phase, message, end=end)]

    assert described(driver("Running")) == "starting, 1 min 40 s"
    waits = "waiting: no node has room (1 Insufficient cpu), 1 min 40 s"
    assert described(driver("Pending", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.")) == waits
    omitted = [node(f"{ROOT}.train", "Omitted", end=6)]
    [task] = see([*driver("Failed", "main: Error (exit code 1)", end=6), *omitted])
    assert task.describe() == "failed: KFP could not prepare it, after 6 s"
    assert (task.is_driver, task.state) == (True, State.FAILED)


def test_the_driver_of_a_loop_or_of_the_pipeline_is_reported_where_it_fails():
    failed = [
        node("wf(0).root-driver(0)", "Failed", "main: Error (exit code 1)", end=5),
        node(f"{ROOT}.for-loop-1(0).iteration-driver(0)", "Failed", "main: Error (exit code 1)", end=5),
        node(f"{ITEM.format(1).rpartition('.')[0]}.iteration-item-driver(0)", "Error", "pod deleted", end=5),
    ]
    spec = read_spec({}, pipeline_spec(""))
    lines = {task.name: task.describe() for task in see(failed, spec=spec)}
    could_not = "failed: KFP could not prepare it, after 5 s"
    assert [lines[name] for name in ("the pipeline", "models", "models ae")] == [could_not] * 3
    assert len(lines) == 22 + 3
    for phase, message in (("Succeeded", ""), ("Running", ""), ("Pending", "ContainerCreating")):
        assert "the pipeline" not in [
            task.name for task in see([node("wf(0).root-driver(0)", phase, message)], spec=spec)
        ]
    quota = 'pods "wf-1" is forbidden: exceeded quota: cpu'
    [pipeline, *_] = see([node("wf(0).root-driver(0)", "Pending", quota)], spec=spec)
    assert (pipeline.name, pipeline.describe()) == ("the pipeline", "waiting: the namespace's quota is used up (cpu)")


def test_the_order_is_that_of_the_pipeline_spec_model_by_model():
    given = {"runtime_config": {"parameters": {"models_params": [{"pca": {}}, {"vae": {}}]}}}
    names = [task.name for task in see([], spec=read_spec(given, pipeline_spec("")))]
    assert names == [
        "download", "prepare", "features", "train pca", "evaluate pca", "train vae", "evaluate vae", "plots",
        "compare", "auto-decoder", "beta", "generation", "linear", "one-hot", "one-image", "report",
    ]  # fmt: skip


def test_without_a_spec_the_order_is_that_of_the_stages_and_models_have_numbers():
    nodes = [
        *pods(f"{ROOT}.report", ("Running", "")),
        *pods(f"{ITEM.format(1)}.evaluate", ("Running", "")),
        *pods(f"{ITEM.format(0)}.train", ("Running", "")),
        *pods(f"{ITEM.format(1)}.train", ("Running", "")),
        *pods(f"{ROOT}.prepare", ("Running", "")),
    ]
    names = ["prepare", "train #1", "train #2", "evaluate #2", "report"]
    assert [task.name for task in see(nodes)] == names
    known = [task.name for task in see(nodes, spec=Spec(models=("pca", "ae")))]
    assert known == ["prepare", "train pca", "train ae", "evaluate ae", "report"]


def test_tasks_in_a_nested_pipeline_have_their_own_names():
    inner = (Task("one-image", "one-image"), Task("linear", "linear", after=("one-image",)))
    spec = Spec((Task("prepare", "prepare"), Task("ladder", "ladder", after=("prepare",), tasks=inner)))
    nodes = [
        node(f"{ROOT}.ladder-driver(0)", "Succeeded", end=5),
        node(f"{ROOT}.ladder", "Running"),
        *pods(f"{ROOT}.ladder(0).one-image", ("Running", "")),
    ]
    lines = [(task.name, task.describe()) for task in see(nodes, spec=spec)]
    assert lines == [
        ("prepare", "not started"),
        ("one-image", "running"),
        ("linear", "not started (after one-image)"),
    ]
    assert [task.name for task in see(nodes)] == ["one-image"]


def test_what_a_task_waits_for_is_shown_until_that_is_done():
    spec = read_spec({}, pipeline_spec(""))
    lines = {task.name: task.describe() for task in see(pods(f"{ROOT}.prepare", ("Succeeded", ""), end=60), spec=spec)}
    assert lines["train vae"] == "not started (after features)"
    assert lines["evaluate vae"] == "not started (after train)"
    assert lines["report"] == "not started (after auto-decoder, beta, compare and 6 more)"
    assert lines["beta"] == "not started"


def test_limits_are_those_of_the_run_s_own_pipeline():
    limits = read_spec({}, pipeline_spec("")).limits
    assert limits["train"] == Limits(f"autoencoders@sha256:{'a' * 64}", "8Gi", 6 * 3600.0)
    nodes = pods(f"{ROOT}.train", ("Failed", "main: OOMKilled (exit code 137)"), end=61)
    assert described(nodes, spec=Spec(limits=limits)) == "failed: out of memory (limit 8Gi), after 1 min"


def test_what_the_events_say_of_a_volume_is_why_a_container_is_not_made():
    train = pods(f"{ROOT}.train")
    pod = node(f"{ROOT}.train(0).executor(0)", "Pending", "ContainerCreating", pod="wf-impl-1")
    mounts = {"wf-impl-1": 'FailedMount: MountVolume.SetUp failed for volume "x":\n timed out'}
    assert described([*train, pod], mounts=mounts) == (
        'waiting: a volume cannot be mounted (MountVolume.SetUp failed for volume "x": timed out), 1 min 40 s'
    )
