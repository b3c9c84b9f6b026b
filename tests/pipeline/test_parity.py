"""DVC, MLflow Projects and Kubeflow call the same stages: each with the parameters, inputs and outputs of its function.

`tests/test_mlproject.py` holds MLproject to the commands of dvc.yaml; here the components are held to dvc.yaml and to
the functions, by calling them.
"""

import importlib
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from artifacts import Artifact

import components
from autoencoders import cli
from autoencoders.kubeflow import artifacts, inputs
from autoencoders.ladder.record import RUNGS
from autoencoders.params import Params, load_params

ROOT = Path(__file__).parents[2]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
LADDER = ("ladder", "ladder-of-models")
"""Stages of the rungs, which are one component together."""
OF_DVC = "check"
"""DVC's stage alone: Kubeflow's parameters are checked before they are sent, and a task deletes nothing."""
STAGES = [stage for stage in DVC if stage not in (*LADDER, OF_DVC)]
"""Stages that are a component each."""
PARAMS = load_params(ROOT / "params.yaml")
FOR_THE_PAGE = {"page", "table", "runs", "summary", "metrics"}
"""Outputs that exist for KFP's page alone."""
OF_THE_POD = {"checkpoints", "cache"}
"""Folders of a command that are no artifacts: they are on a volume, or not there."""
GATHERED = {"models": "results", "evaluation": "results", "comparison": "results", "ladder": "rungs"}
"""Option of a command → the component's input, where that holds several, or has another name."""


def inputs_of(stage: str) -> dict[str, Any]:
    return components.load_component(stage).component_spec.inputs or {}


def options(stage: str) -> dict[str, str]:
    """Option → path, of a stage's command in dvc.yaml."""
    return dict(re.findall(r" --([\w-]+) (\S+)", DVC[stage]["cmd"]))


def outputs_in_dvc(stage: str) -> list[str]:
    return [next(iter(out)) for kind in ("outs", "metrics") for out in DVC[stage].get(kind, [])]


def parts_in_dvc(stage: str) -> set[str]:
    """The sections of params.yaml that a stage depends on, or parts of them."""
    if stage == "ladder":
        return {part.split(".")[0] for rungs in LADDER for part in DVC[rungs]["do"]["params"]}
    return {part.split(".")[0] for part in DVC[stage].get("params", [])}


def argument_of(stage: str, part: str) -> str:
    return "model_params" if stage == "train" and part == "models" else inputs.input_name(part)


def parts_of_component(stage: str) -> set[str]:
    """The parts that a component takes: but for the models' where they come with what `compare` gathered."""
    parts = parts_in_dvc(stage)
    return parts - {"models"} if "results" in inputs_of(stage) else parts


def test_every_stage_is_a_component_and_every_component_a_stage():
    expected = {*STAGES, "ladder"}
    missing, unknown = expected - set(components.component_names()), set(components.component_names()) - expected
    assert not missing, f"write components/<stage>.py for {sorted(missing)}"
    assert not unknown, f"these components have no stage in dvc.yaml; remove them, or add it: {sorted(unknown)}"


@pytest.mark.parametrize("stage", components.component_names())
def test_a_component_has_the_parameters_that_dvc_yaml_lists(stage):
    expected = {argument_of(stage, part) for part in parts_of_component(stage)}
    found = {name for name in inputs_of(stage) if name.endswith("_params") or name == "device"}
    where = f"components/{stage}.py"
    assert not expected - found, f"{where}: take {sorted(expected - found)}, or drop `params:` of {stage} in dvc.yaml"
    assert not found - expected, f"dvc.yaml, {stage}: list in `params:` what {where} takes: {sorted(found - expected)}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_component_has_the_inputs_and_outputs_of_the_command_in_dvc_yaml(stage, tmp_path, monkeypatch):
    spec, where = components.load_component(stage).component_spec, f"components/{stage}.py"
    written = outputs_in_dvc(stage)
    given = {name: path for name, path in options(stage).items() if name not in OF_THE_POD}
    outs = {name for name, path in given.items() if any(out == path or out.startswith(f"{path}/") for out in written)}
    ins = {GATHERED.get(name, name) for name in given.keys() - outs if stage != "train" or name != "model"}
    if stage == "compare":  # it gathers; beside lists it needs an input that is none
        ins = {"measured", "data"}
    artifacts = {name for name, channel in spec.inputs.items() if channel.type.startswith("system.")}
    made = {name for name, channel in spec.outputs.items() if channel.type.startswith("system.")} - FOR_THE_PAGE
    assert artifacts == ins, f"{where}: its inputs must be those of the command in dvc.yaml, {sorted(ins)}"
    replace(stage, recorder(stage), monkeypatch)
    given_paths = call(stage, tmp_path).given
    assert made == {given_paths[out].relative_to(tmp_path).parts[0] for out in outs}, (
        f"{where}: its outputs must be those of the command in dvc.yaml"
    )


@pytest.mark.parametrize("stage", [stage for stage in components.component_names() if stage != "report"])
def test_a_component_that_may_be_cached_takes_the_digest_of_each_input(stage):
    spec = components.load_component(stage).component_spec
    for name, channel in (spec.inputs or {}).items():
        if channel.type.startswith("system.") and (stage, name) != ("compare", "data"):  # which is not read
            expected, kind = ("digests", "List") if channel.is_artifact_list else (f"{name}_digest", "String")
            assert expected in spec.inputs, (
                f"components/{stage}.py: take `{expected}` beside `{name}`: KFP's cache does not look into artifacts"
            )
            assert spec.inputs[expected].type == kind


class Called(Exception):
    def __init__(self, params: Params, given: dict[str, Any]) -> None:
        super().__init__("the stage was called")
        self.params, self.given = params, given


def recorder(stage: str, calls: list[Called] | None = None) -> Callable[..., None]:
    """A stage's function that notes its call, and ends it where `calls` does not keep it."""
    signature = inspect.signature(cli.find_command(stage))

    def record(params: Params, **given: Any) -> None:
        try:
            signature.bind(params, **given)
        except TypeError as error:
            pytest.fail(f"the component of {stage} calls its stage with what it does not take: {error}")
        if calls is None:
            raise Called(params, given)
        calls.append(Called(params, given))

    record.__signature__ = signature
    return record


def replace(stage: str, by: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    function = stage.replace("-", "_")
    monkeypatch.setattr(importlib.import_module(f"autoencoders.stages.{function}"), function, by)


def arguments_of(component: str, folder: Path) -> dict[str, Any]:
    """A component's arguments: its own defaults, and made-up artifacts in `folder`."""
    spec, sent = components.load_component(component).component_spec, inputs.to_kfp_inputs(PARAMS)
    sent["model_params"] = next(entry for entry in sent["models_params"] if "vae" in entry)
    given: dict[str, Any] = {}
    for name, channel in {**(spec.inputs or {}), **spec.outputs}.items():
        if not channel.type.startswith("system."):
            given[name] = sent.get(name, ["digest"] if channel.type == "List" else "digest")
            continue
        (folder / name / (name if name in spec.inputs else "")).mkdir(parents=True)
        artifact = Artifact(str(folder / name))
        given[name] = [artifact] if channel.is_artifact_list else artifact
    if "results" in (spec.inputs or {}):
        (folder / "results" / artifacts.MODELS_FILE).write_text(json.dumps(sent["models_params"]))
    return {name: value for name, value in given.items() if name in spec.inputs or spec.outputs[name].type != "String"}


def call(stage: str, folder: Path) -> Called:
    """Call a component's function up to the stage's function."""
    with pytest.raises(Called) as caught:
        components.load_component(stage).python_func(**arguments_of(stage, folder))
    return caught.value


@pytest.mark.parametrize("stage", STAGES)
def test_a_component_calls_its_stage_with_what_dvc_gives_it(stage, tmp_path, monkeypatch):
    replace(stage, recorder(stage), monkeypatch)
    called = call(stage, tmp_path)
    expected = {name for name in options(stage) if name != "cache"}
    assert called.given.keys() == expected, f"components/{stage}.py: call the stage with {sorted(expected)}"
    check_parameters(stage, called)


def check_parameters(stage: str, called: Called) -> None:
    for part in parts_in_dvc(stage) - {"models"}:
        found, wanted = getattr(called.params, part), getattr(PARAMS, part)
        assert found == wanted, f"the component of {stage}: hand the stage {part} of its parameters"
    if "models" in parts_in_dvc(stage):
        entries = {name: entry for name, entry in PARAMS.models.items() if stage != "train" or name == "vae"}
        assert list(called.params.models.items()) == list(entries.items()), f"hand {stage} its models, in their order"


def test_the_ladder_calls_its_stage_for_each_rung_with_what_dvc_gives_it(tmp_path, monkeypatch):
    calls: list[Called] = []
    replace("ladder", recorder("ladder", calls), monkeypatch)
    monkeypatch.setattr("autoencoders.kubeflow.pages.show_ladder", lambda page, rungs: None)
    components.load_component("ladder").python_func(**arguments_of("ladder", tmp_path))
    assert [called.given.pop("rung") for called in calls] == list(RUNGS)
    for rung, called in zip(RUNGS, calls, strict=True):
        folders = {name: tmp_path / "results" / name for name in ("models", "evaluation")}
        assert called.given == {"data": tmp_path / "data", **folders, "out": tmp_path / "rungs" / rung}
        assert called.given.keys() == set(re.findall(r" --([\w-]+)", DVC["ladder"]["do"]["cmd"]))
        check_parameters("ladder", called)


def test_a_model_s_folders_have_the_names_that_they_have_under_dvc(tmp_path, monkeypatch):
    for stage, expected in (("train", "model/vae"), ("evaluate", "result/evaluation/model")):
        replace(stage, recorder(stage), monkeypatch)
        assert call(stage, tmp_path / stage).given["out"] == tmp_path / stage / expected


@pytest.mark.parametrize("stage", components.component_names())
def test_a_component_says_what_it_and_each_of_its_inputs_and_outputs_is(stage):
    spec = components.load_component(stage).component_spec
    if stage != "ladder":
        assert spec.description.partition("\n")[0].removesuffix(" Never cached.") == DVC[stage]["desc"] + ".", (
            f"components/{stage}.py: begin the docstring with dvc.yaml's `desc`"
        )
    undescribed = [name for name, channel in {**(spec.inputs or {}), **spec.outputs}.items() if not channel.description]
    assert not undescribed, f"components/{stage}.py: describe {undescribed} in the docstring"
