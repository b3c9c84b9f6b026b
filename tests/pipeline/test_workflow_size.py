"""How much Argo keeps of a run: estimated from the compiled pipeline, and held to what a real cluster kept."""

import json
import re
from typing import Any

import pytest
import yaml
from compiled import Compiled
from replay import RecordedWorkflow, recording

from pipeline.workflow_size import LIMIT, WorkflowSize, estimate, models_within_limit

METADATA = {"system.Model": 420, "system.Metrics": 310}
"""Characters that the recorded pipeline's tasks added to artifacts."""


@pytest.fixture(scope="module")
def recorded() -> WorkflowSize:
    """The estimate of the pipeline that the recorded runs were of."""
    spec, platform = recording("pipeline")
    return estimate(spec, platform, defaults(spec), METADATA)


def defaults(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        name: definition["defaultValue"] for name, definition in spec["root"]["inputDefinitions"]["parameters"].items()
    }


def nodes(case: str) -> dict[str, Any]:
    """The nodes of a recorded Workflow, by their names without the workflow's."""
    recorded = RecordedWorkflow(case)
    name = recorded.workflow["metadata"]["name"]
    return {node["name"].removeprefix(name): node for node in recorded.nodes.values()}


def lengths(node: dict[str, Any]) -> dict[str, int]:
    """The length of each of a node's parameters: a long one was recorded as `(4624 characters)`."""
    parameters = [parameter for io in ("inputs", "outputs") for parameter in node.get(io, {}).get("parameters", ())]
    return {parameter["name"]: length(parameter["value"]) for parameter in parameters}


def length(value: str) -> int:
    words = value.split()
    return int(words[0][1:]) if len(words) == 2 and words[1] == "characters)" else len(value)


def documents(pipeline: Compiled) -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platform = yaml.safe_load_all(pipeline.text)
    return spec, platform


def size_of(pipeline: Compiled) -> WorkflowSize:
    spec, platform = documents(pipeline)
    return estimate(spec, platform, defaults(spec))


def test_the_description_of_each_pod_has_the_length_that_a_cluster_gave_it(recorded):
    found: dict[str, int] = {}
    for name, node in nodes("succeeded").items():
        if name.endswith("-driver") and "pod-spec-patch" in lengths(node):
            stage = node["displayName"].removesuffix("-driver")
            found[stage] = max(found.get(stage, 0), lengths(node)["pod-spec-patch"])
    assert found.keys() == recorded.patches.keys()
    assert {stage: found[stage] for stage in ("download", "train", "report")} == {
        "download": 4748, "train": 7088, "report": 29945,
    }  # fmt: skip
    for stage, real in found.items():
        assert recorded.patches[stage] == pytest.approx(real, rel=0.05), stage


def test_the_nodes_of_a_whole_run_have_the_size_that_a_cluster_gave_them(recorded):
    """2.1 MB were counted on the cluster; in the recording, the lengths of long values stand for them."""
    kept = nodes("succeeded")
    assert len(kept) == 173
    without_escapes = sum(unescaped(node) for node in kept.values())
    assert without_escapes == pytest.approx(1.86e6, rel=0.01)
    assert recorded.nodes == pytest.approx(2.1e6, rel=0.03)


def unescaped(node: dict[str, Any]) -> int:
    text = json.dumps(node, separators=(",", ":"))
    replaced = re.findall(r"\((\d+) characters\)", text)
    return len(text) + sum(int(length) - len(f"({length} characters)") for length in replaced) + len(node["id"]) + 4


def test_where_the_limit_lies_agrees_with_the_runs_that_were_packed_and_those_that_were_not(recorded):
    """Argo counts the whole object: nodes, escaped, and specification."""
    escaping = recorded.nodes / sum(unescaped(node) for node in nodes("succeeded").values())
    for case, packed in (("list-artifacts", True), ("out-of-memory", False), ("terminated", False)):
        total = escaping * sum(unescaped(node) for node in nodes(case).values()) + recorded.spec
        assert (total > LIMIT) == packed, case
        assert ("compressedNodes" in recording(f"workflow-{case}")["status"]) == packed


def test_a_run_of_the_default_graph_takes_less_than_half_of_what_it_took(compiled, recorded):
    assert size_of(compiled("cpu")).nodes < recorded.nodes / 2


def test_the_task_list_lives_to_the_end_of_a_run_of_four_models(compiled):
    for profile in ("cpu", "gpu", "multi-gpu"):
        spec, platform = documents(compiled(profile))
        assert models_within_limit(spec, platform) == 4, profile
        arguments = defaults(spec)
        first = {**arguments, "models_params": arguments["models_params"][:4]}
        assert estimate(spec, platform, first).total < LIMIT < estimate(spec, platform, arguments).total


def test_each_model_more_takes_the_same(compiled):
    spec, platform = documents(compiled("cpu"))
    arguments = defaults(spec)
    one, two, three = (
        estimate(spec, platform, {**arguments, "models_params": arguments["models_params"][:1] * count}).nodes
        for count in (1, 2, 3)
    )
    assert three - two == pytest.approx(two - one, abs=20)  # a digit more
    assert 100_000 < two - one < 130_000
