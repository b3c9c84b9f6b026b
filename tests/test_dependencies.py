"""A stage of `dvc.yaml` depends on the modules that it uses: on all of them, and on no others."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "autoencoders"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
WITHOUT_EFFECT = (
    "errors",
    "files/reading",
    "model_folder/history",
    "model_folder/schema",
    "params",
    "runtime",
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


def used(stage: str) -> set[str]:
    """Everything that the function of a stage imports, directly and through others."""
    open_, seen = [f"stages/{stage.replace('-', '_')}.py"], set()
    while open_:
        file = open_.pop()
        if file not in seen:
            seen.add(file)
            open_ += imported(file)
    return {file for file in seen if (PACKAGE / file).read_text(encoding="utf-8").strip()}


def covers(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(f"{dependency}/")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_modules_that_it_uses(stage: str) -> None:
    prefix = "src/autoencoders/"
    dependencies = [dep.removeprefix(prefix) for dep in STAGES[stage]["deps"] if dep.startswith(prefix)]
    files = used(stage)
    missing = sorted(file for file in files if not any(covers(dep, file) for dep in dependencies))
    idle = sorted(dep for dep in dependencies if not any(covers(dep, file) for file in files))
    assert not missing, f"dvc.yaml, {stage}: add to deps {[prefix + file for file in missing]}"
    assert not idle, f"dvc.yaml, {stage}: remove from deps {[prefix + dep for dep in idle]}"


def test_no_stage_depends_on_the_whole_package() -> None:
    for name, stage in STAGES.items():
        assert "src/autoencoders" not in stage["deps"], f"dvc.yaml, {name}: list the modules"
