"""One module for each stage: read, compute, write. DVC, MLflow Projects and Kubeflow call the same functions."""

import importlib
from collections.abc import Callable


def find_stage(name: str) -> Callable[..., None]:
    """Return the function of a stage: `one-hot` is `one_hot` in the module of that name."""
    function = name.replace("-", "_")
    found: Callable[..., None] = getattr(importlib.import_module(f"autoencoders.stages.{function}"), function)
    return found
