"""A stage of `dvc.yaml` depends on the modules that it uses: on all of them, and on no others."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

from autoencoders.ladder.record import RUNGS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "autoencoders"
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: {**stage, **stage.get("do", {})} for name, stage in DVC.items()}
WITHOUT_EFFECT = (
    "errors",
    "files/reading",
    "model_folder/history",
    "model_folder/schema",
    "params",
    "runtime",
    "stages/recording",
    "tracking",
)
"""What may change without an output changing: at most it refuses. Values of parameters are their own dependencies."""


def module(name: str) -> str | None:
    """The file of a module of this package, relative to the package; None for a name that is no module."""
    path = PACKAGE / Path(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return str(file.relative_to(PACKAGE)) if file.exists() else None


@cache
def imported(file: str) -> frozenset[str]:
    """The files of this package that `file` imports, at its top or in a function; not for its types alone."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    only_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in set(ast.walk(tree)) - only_types:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autoencoders"):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("autoencoders")}
    inside = {name.partition(".")[2] for name in names} - {""}
    return frozenset(found for name in inside if (found := module(name)) and not found.startswith(WITHOUT_EFFECT))


def begin(stage: str) -> list[str]:
    """The files that a stage begins with: its function's, and of the ladder's rungs those that it asks for by name."""
    rungs = [name.replace("-", "_") for name in RUNGS]
    loaded = {
        "ladder": [f"ladder/{rung}/measure.py" for rung in DVC["ladder"]["foreach"].values()],
        "ladder-of-models": [f"ladder/{rung}/measure.py" for rung in DVC["ladder-of-models"]["foreach"].values()],
        "plots": [f"ladder/{rung}/figure.py" for rung in rungs],
        "report": [f"ladder/{rung}/story.md" for rung in rungs],
    }
    module = "ladder" if stage == "ladder-of-models" else stage
    return [f"stages/{module}.py", *loaded.get(stage, [])]


def used(stage: str) -> set[str]:
    """Everything that the function of a stage imports, directly and through others."""
    open_, seen = begin(stage), set()
    while open_:
        file = open_.pop()
        if file not in seen:
            seen.add(file)
            open_ += imported(file) if file.endswith(".py") else []
    return {file for file in seen if (PACKAGE / file).read_text(encoding="utf-8").strip()}


def dependencies_of(stage: str) -> list[str]:
    """A stage's own modules and folders; what it depends on for each rung, for all of them."""
    prefix, rungs = "src/autoencoders/", STAGES[stage].get("foreach", {"": ""}).values()
    found = [dep.replace("${item}", rung) for dep in STAGES[stage]["deps"] for rung in rungs]
    return list(dict.fromkeys(dep.removeprefix(prefix) for dep in found if dep.startswith(prefix)))


def covers(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(f"{dependency}/")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_modules_that_it_uses(stage):
    prefix, dependencies, files = "src/autoencoders/", dependencies_of(stage), used(stage)
    missing = sorted(file for file in files if not any(covers(dep, file) for dep in dependencies))
    idle = sorted(dep for dep in dependencies if not any(covers(dep, file) for file in files))
    assert not missing, f"dvc.yaml, {stage}: add to deps {[prefix + file for file in missing]}"
    assert not idle, f"dvc.yaml, {stage}: remove from deps {[prefix + dep for dep in idle]}"


def test_no_stage_depends_on_the_whole_package():
    for name, stage in STAGES.items():
        assert "src/autoencoders" not in stage["deps"], f"dvc.yaml, {name}: list the modules"


def stages_that_depend_on(file: str) -> set[str]:
    """What runs again where a file changes, but for what depends on the stages themselves."""
    return {stage for stage in STAGES if any(covers(dep, file) for dep in dependencies_of(stage))}


@pytest.mark.parametrize("rung", [name.replace("-", "_") for name in RUNGS])
def test_another_story_or_figure_of_a_rung_measures_nothing_again(rung):
    assert stages_that_depend_on(f"ladder/{rung}/story.md") == {"report"}
    assert stages_that_depend_on(f"ladder/{rung}/figure.py") == {"plots"}
    [stage] = stages_that_depend_on(f"ladder/{rung}/measure.py")
    assert stage in ("ladder", "ladder-of-models")
    assert "src/autoencoders/ladder/${item}/measure.py" in STAGES[stage]["deps"]  # that rung alone


@pytest.mark.parametrize("file", sorted(path.name for path in (PACKAGE / "plots").glob("[!_]*.py")))
def test_another_look_of_figures_measures_nothing_again(file):
    assert {"plots"} <= stages_that_depend_on(f"plots/{file}") <= {"plots", "report"}
