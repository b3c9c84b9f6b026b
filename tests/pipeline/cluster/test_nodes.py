"""Argo's nodes, as a Workflow and as KFP's API tell of them: the same nodes, by the same names."""

import re
from typing import Any

import pytest
from replay import FOLDER, RecordedRun, RecordedWorkflow, recording

from pipeline.cluster.kfp_tasks import fnv1a, full_names, read_tasks
from pipeline.cluster.nodes import locate, workflow_nodes
from pipeline.cluster.view import Context, view

CASES = sorted(file.name.removesuffix(".json.gz") for file in FOLDER.glob("*.json.gz"))
WORKFLOWS = [case.removeprefix("workflow-") for case in CASES if case.startswith("workflow-")]
RUNS = [case for case in CASES if not case.startswith("workflow-") and case != "pipeline"]


@pytest.mark.parametrize(
    ("text", "value"),  # of the reference implementation: http://isthe.com/chongo/tech/comp/fnv
    [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)],
)
def test_the_hash_is_32_bit_fnv_1a(text, value):
    assert fnv1a(text) == value
    assert fnv1a(text[3:], fnv1a(text[:3])) == value


@pytest.mark.parametrize("case", WORKFLOWS)
def test_an_id_is_the_hash_of_a_full_name_and_so_is_a_pod_s_name(case):
    recorded = RecordedWorkflow(case)
    name = recorded.workflow["metadata"]["name"]
    for node in recorded.nodes.values():
        assert node["id"] == (name if node["name"] == name else f"{name}-{fnv1a(node['name'])}")
    pods = {node.pod for node in workflow_nodes(recorded.workflow) if node.pod}
    logs = {node.log.split("/")[-2] for node in workflow_nodes(recorded.workflow) if node.log and node.pod}
    assert logs
    assert logs <= pods


@pytest.mark.parametrize("case", RUNS)
def test_all_names_are_found_from_the_ids_of_the_children(case):
    for snapshot in recording(case)["snapshots"]:
        tasks = [task for task in snapshot["run"]["run_details"]["task_details"] if "display_name" in task]
        ids = {child["pod_name"] for task in tasks for child in task.get("child_tasks", ())}
        names = full_names([task["display_name"] for task in tasks], ids)
        assert len(names) == len(tasks)
        assert ids <= names.keys()
        found = read_tasks(snapshot["run"]).nodes
        assert sorted(node.name for node in found) == sorted(names.values())


@pytest.mark.parametrize("case", ["second-of-two", "terminated"])
def test_kfp_s_api_gives_the_nodes_that_argo_has(case):
    """Both were recorded at the end of the same run: which of many an `executor(0)` is, is found by times."""
    of_kfp = read_tasks(RecordedRun(case).snapshots[-1]["run"]).nodes
    of_argo = workflow_nodes(recording(f"workflow-{case}"))

    def facts(nodes: list[Any]) -> set[tuple[Any, ...]]:
        return {(node.name, node.phase, node.started, node.ended) for node in nodes}

    assert facts(of_kfp) == facts(of_argo)
    assert not any(node.maybe for node in of_kfp)


def test_pods_that_began_in_one_moment_may_be_in_each_other_s_state():
    run = RecordedRun("pod-deleted").snapshots[1]["run"]
    pods = [node for node in read_tasks(run).nodes if node.name.endswith("train(0).executor(0)")]
    assert sorted((node.phase, sorted(node.maybe)) for node in pods) == [
        ("Failed", ["Running"]),
        ("Running", ["Failed"]),
    ]


@pytest.mark.parametrize(
    ("name", "path", "role", "attempt"),
    [
        ("wf", (), "task", None),
        ("wf(0).root(0).prepare(0).executor(1)", (("prepare", None),), "executor", 1),
        ("wf.root.prepare.executor", (("prepare", None),), "executor", None),
        ("wf(0).root(0).prepare-driver", (("prepare", None),), "driver", None),
        ("wf(0).root-driver(0)", (), "driver", 0),
        ("wf(0).root(0).for-loop-1(0).iteration-driver(0)", (("for-loop-1", None),), "driver", 0),
        (
            "wf(0).root(0).for-loop-1(0).iteration-iterations(2:2)(0).iteration-item-driver(0)",
            (("for-loop-1", 2),), "driver", 0,
        ),
        (
            "wf(0).root(0).for-loop-1(0).iteration-iterations(2:2)(0).iteration-item(0).train(1)",
            (("for-loop-1", 2), ("train", None)), "task", 1,
        ),
        ("wf(0).root(0).ladder(0).one-image-driver(0)", (("ladder", None), ("one-image", None)), "driver", 0),
    ],
)  # fmt: skip
def test_a_name_says_what_a_node_is_of(name, path, role, attempt):
    assert locate(name) == (path, role, attempt)


def older(recorded: RecordedWorkflow) -> dict[str, Any]:
    """KFP's answer for a run on older manifests, whose templates Argo does not try again: nodes have no twins."""
    workflow = recorded.workflow["metadata"]["name"]

    def plain(name: str) -> str:
        return re.sub(r"\(\d+\)", "", name)

    tasks: dict[str, dict[str, Any]] = {}
    for node in sorted(recorded.nodes.values(), key=lambda node: len(node["name"])):  # the attempt after its twin
        children = [plain(recorded.nodes[child]["name"]) for child in node.get("children", ())]
        states = {"Omitted": None, "Error": "FAILED"}
        tasks[plain(node["name"])] = {
            "display_name": plain(node["name"]).rpartition(".")[2],
            "state": states.get(node["phase"], node["phase"].upper()),
            "start_time": node["startedAt"],
            "end_time": node["finishedAt"] or "0001-01-01T00:00:00Z",
            "child_tasks": [
                {"pod_name": f"{workflow}-{fnv1a(child)}"} for child in children if child != plain(node["name"])
            ],
        }
    return {"run_details": {"task_details": list(tasks.values())}}


@pytest.mark.parametrize("case", ["terminated", "succeeded", "second-of-two"])
def test_older_manifests_give_the_same_view(case):
    recorded = RecordedWorkflow(case)
    nodes = read_tasks(older(recorded)).nodes
    assert "(0)" not in "".join(node.name for node in nodes)
    spec = spec_of(recorded)
    stopped = recorded.ended if case == "terminated" else None
    context = Context(spec, "kubeflow", recorded.newest, has_reasons=False, stopped=stopped)
    now = view(workflow_nodes(recorded.workflow), context)
    assert [(task.name, task.state) for task in view(nodes, context)] == [(task.name, task.state) for task in now]


def spec_of(recorded: RecordedWorkflow) -> Any:
    from pipeline.cluster.spec import read_spec

    run = recorded.run(recorded.newest)
    return read_spec(run, run["pipeline_spec"])
