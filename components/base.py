"""What all components share.

A component's body runs in the image, which has this folder beside the package: KFP's executor loads the file there.
It imports what it needs itself. (A lightweight component would carry its source in every pod's description, which Argo
keeps six times for each task; KFP's task list stops working above 1 MiB of that.)
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

IMAGE = "autoencoders:latest"
"""Stands in the components until `pipeline` puts a profile's image in its place."""
COMMAND = ["python3", "-u", "-m", "kfp.dsl.executor_main"]
"""KFP's executor."""
FOLDER = "/opt/autoencoders/components"
"""Where the image has this folder."""
RUNTIME = "_KFP_RUNTIME"
"""KFP's own environment variable: set to `true` in a task, where what builds pipelines is not imported."""


class Digest(NamedTuple):
    """What a component returns beside its artifacts."""

    digest: str


def component(function: Callable[..., Any]) -> Any:
    """Make `function`, of a file of its name in this folder, a component whose image has everything.

    In a task it stays the function that KFP's executor calls.
    """
    if os.environ.get(RUNTIME) == "true":
        return function
    from kfp import dsl

    made = dsl.component(function, base_image=IMAGE, install_kfp_package=False)
    name = function.__name__
    container = made.component_spec.implementation.container
    container.command = COMMAND
    container.args = [
        "--component_module_path", f"{FOLDER}/{name}.py", "--function_to_execute", name, "--executor_input", "{{$}}",
    ]  # fmt: skip
    return made
