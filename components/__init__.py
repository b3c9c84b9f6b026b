"""The stages as components of Kubeflow Pipelines: thin, the work is in `autoencoders.stages`.

One module a stage; all rungs of the ladder are one component.
"""

import importlib
from functools import cache
from pathlib import Path
from typing import Any

DVC_YAML = Path(__file__).parents[1] / "dvc.yaml"


@cache
def component_names() -> tuple[str, ...]:
    """Return the names of the components, which are those of the stages, in the order of dvc.yaml."""
    import yaml

    stages = list(yaml.safe_load(DVC_YAML.read_text())["stages"])
    names = {file.stem for file in Path(__file__).parent.glob("*.py")} - {"__init__", "base"}
    return tuple(sorted(names, key=lambda name: stages.index(name) if name in stages else len(stages)))


def load_component(name: str) -> Any:
    """Return the component of a stage: what its module has under the same name."""
    return getattr(importlib.import_module(f"components.{name}"), name)
