"""DVC, MLflow Projects and Kubeflow call the same stages: each with the parameters, inputs and outputs of its function.

`tests/test_mlproject.py` holds MLproject to the commands of dvc.yaml; here the components are held to dvc.yaml and to
the functions, by calling them.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

import components
from autoencoders import cli, kubeflow
from autoencoders.ladder.record import RUNGS
from autoencoders.params import PARAMETERS, Params, load_params

ROOT = Path(__file__).parents[2]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = load_params(ROOT / "params.yaml")
FOR_THE_PAGE = {"page", "table", "runs"}
"""Outputs that exist for KFP's page alone."""
OF_THE_POD = {"checkpoints", "cache"}
"""Folders of a command that are no artifacts: they are on a volume, or not there."""


@dataclass
class Artifact:
    path: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def log_metric(self, name: str, value: float) -> None:
        self.metadata[name] = value


def inputs_of(stage: str) -> dict[str, Any]:
    return components.COMPONENTS[stage].component_spec.inputs or {}


def options(stage: str) -> dict[str, str]:
    """Option → path, of a stage's command in dvc.yaml."""
    return dict(re.findall(r" --([\w-]+) (\S+)", DVC[stage]["cmd"]))


def outputs_in_dvc(stage: str) -> list[str]:
    return [next(iter(out)) for kind in ("outs", "metrics") for out in DVC[stage].get(kind, [])]


def parts_in_dvc(stage: str) -> set[str]:
    """The parts of params.yaml that a stage depends on, `ladder` as the parts that it has."""
    named = {"models" if part.startswith("models.") else part for part in DVC[stage]["params"]}
    return {part for part in PARAMETERS if part in named or part.split(".")[0] in named}


def argument_of(stage: str, part: str) -> str:
    return "model_params" if stage == "train" and part == "models" else kubeflow.argument(part)


def test_every_stage_is_a_component_and_every_component_a_stage() -> None:
    missing, unknown = DVC.keys() - components.COMPONENTS, components.COMPONENTS.keys() - DVC.keys()
    assert not missing, f"write components/<stage>.py for, and add to COMPONENTS: {sorted(missing)}"
    assert not unknown, f"these components have no stage in dvc.yaml; remove them, or add it: {sorted(unknown)}"


@pytest.mark.parametrize("stage", DVC)
def test_a_component_has_the_parameters_that_dvc_yaml_lists(stage: str) -> None:
    expected = {argument_of(stage, part) for part in parts_in_dvc(stage)}
    found = {name for name in inputs_of(stage) if name.endswith("_params") or name in ("device", "ladder_seed")}
    where = f"components/{stage.replace('-', '_')}.py"
    assert not expected - found, f"{where}: take {sorted(expected - found)}, or drop `params:` of {stage} in dvc.yaml"
    assert not found - expected, f"dvc.yaml, {stage}: list in `params:` what {where} takes: {sorted(found - expected)}"


@pytest.mark.parametrize("stage", DVC)
def test_a_component_has_the_inputs_and_outputs_of_the_command_in_dvc_yaml(stage: str) -> None:
    spec, where = components.COMPONENTS[stage].component_spec, f"components/{stage.replace('-', '_')}.py"
    written = outputs_in_dvc(stage)
    given = {name: path for name, path in options(stage).items() if name not in OF_THE_POD}
    outs = {name for name, path in given.items() if any(out == path or out.startswith(f"{path}/") for out in written)}
    ins = {name for name in given.keys() - outs if stage != "train" or name != "model"}
    if stage == "report":
        ins = ins - {"ladder"} | {rung.replace("-", "_") for rung in RUNGS}
    artifacts = {name for name, one in spec.inputs.items() if one.type.startswith("system.")}
    made = {name for name, one in spec.outputs.items() if one.type.startswith("system.")} - FOR_THE_PAGE
    assert artifacts == ins, f"{where}: its inputs must be those of the command in dvc.yaml, {sorted(ins)}"
    assert made == outs, f"{where}: its outputs must be those of the command in dvc.yaml, {sorted(outs)}"


@pytest.mark.parametrize("stage", [stage for stage in DVC if stage != "report"])
def test_a_component_that_may_be_cached_takes_the_digest_of_each_input(stage: str) -> None:
    spec = components.COMPONENTS[stage].component_spec
    for name, one in (spec.inputs or {}).items():
        if one.type.startswith("system."):
            expected, kind = (f"{name}_digests", "List") if one.is_artifact_list else (f"{name}_digest", "String")
            assert expected in spec.inputs, (
                f"components/{stage.replace('-', '_')}.py: take `{expected}` beside `{name}`: KFP's cache does not "
                "look into artifacts"
            )
            assert spec.inputs[expected].type == kind


class Called(Exception):
    def __init__(self, params: Params, given: dict[str, Any]) -> None:
        super().__init__("the stage was called")
        self.params, self.given = params, given


def recorder(stage: str) -> Callable[..., None]:
    signature = inspect.signature(cli.stage(stage))

    def record(params: Params, **given: Any) -> None:
        try:
            signature.bind(params, **given)
        except TypeError as error:
            pytest.fail(f"components/{stage.replace('-', '_')}.py calls its stage with what it does not take: {error}")
        raise Called(params, given)

    return record


def call(stage: str, folder: Path) -> Called:
    """Call a component's function with its own defaults and made-up artifacts, up to the stage's function."""
    spec, sent = components.COMPONENTS[stage].component_spec, kubeflow.arguments(PARAMS)
    sent["model_params"] = next(entry for entry in sent["models_params"] if "vae" in entry)
    given: dict[str, Any] = {}
    for name, one in {**(spec.inputs or {}), **spec.outputs}.items():
        if not one.type.startswith("system."):
            given[name] = sent.get(name, ["digest"] if one.type == "List" else "digest")
            continue
        (folder / name / (name if name in spec.inputs else "")).mkdir(parents=True)
        artifact = Artifact(str(folder / name))
        given[name] = [artifact] if one.is_artifact_list else artifact
    given.pop("Output", None)
    with pytest.raises(Called) as caught:
        components.COMPONENTS[stage].python_func(**given)
    return caught.value


@pytest.mark.parametrize("stage", DVC)
def test_a_component_calls_its_stage_with_what_dvc_gives_it(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = stage.replace("-", "_")
    monkeypatch.setattr(importlib.import_module(f"autoencoders.stages.{function}"), function, recorder(stage))
    called = call(stage, tmp_path)
    expected = {name for name in options(stage) if name != "cache"}
    where = f"components/{function}.py"
    assert called.given.keys() == expected, f"{where}: call the stage with {sorted(expected)}, as dvc.yaml does"
    for part in parts_in_dvc(stage) - {"models"}:
        found: Any = called.params
        wanted: Any = PARAMS
        for key in part.split("."):
            found, wanted = getattr(found, key), getattr(wanted, key)
        assert found == wanted, f"{where}: hand the stage {part} of its parameters"
    if "models" in parts_in_dvc(stage):
        entries = {name: entry for name, entry in PARAMS.models.items() if stage != "train" or name == "vae"}
        assert list(called.params.models.items()) == list(entries.items()), f"{where}: hand the stage its models"


def test_a_named_folder_has_the_name_that_it_has_under_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("train", "evaluate", *RUNGS):
        function = stage.replace("-", "_")
        monkeypatch.setattr(importlib.import_module(f"autoencoders.stages.{function}"), function, recorder(stage))
        out = call(stage, tmp_path / stage).given["out"]
        name = {"train": "vae", "evaluate": "model"}.get(stage, stage)
        assert out == tmp_path / stage / "out" / name


@pytest.mark.parametrize("stage", DVC)
def test_kfp_shows_what_a_component_and_each_of_its_inputs_and_outputs_is(stage: str) -> None:
    spec = components.COMPONENTS[stage].component_spec
    assert spec.description.partition("\n")[0].removesuffix(" Never cached.") == DVC[stage]["desc"] + ".", (
        f"components/{stage.replace('-', '_')}.py: begin the docstring with dvc.yaml's `desc`"
    )
    undescribed = [name for name, one in {**(spec.inputs or {}), **spec.outputs}.items() if not one.description]
    assert not undescribed, f"components/{stage.replace('-', '_')}.py: describe {undescribed} in the docstring"
