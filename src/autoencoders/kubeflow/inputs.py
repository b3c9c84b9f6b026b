"""Parts of `params.yaml` as the inputs of Kubeflow Pipelines, and back."""

from collections.abc import Mapping
from typing import Any

from autoencoders.params import PARAMETERS, Params, parse_params


def input_name(part: str) -> str:
    """Return the name of the input for a part of `params.yaml`: `ladder.beta` is `ladder_beta_params`.

    A single value keeps its name: `device`, `ladder_seed`.
    """
    name = part.replace(".", "_")
    return name if part in ("device", "ladder.seed") else f"{name}_params"


def to_kfp_inputs(params: Params) -> dict[str, Any]:
    """Return the pipeline's inputs: all parts of `params` except `tracking`, which the environment decides.

    Models are a list of mappings with one entry, because KFP's structures keep no order. Keys that are null are left
    out, because KFP's structures hold no null.
    """
    whole = params.model_dump(mode="json", exclude_none=True)
    inputs: dict[str, Any] = {}
    for part in PARAMETERS:
        value: Any = whole
        for key in part.split("."):
            value = value[key]
        inputs[input_name(part)] = [{name: entry} for name, entry in value.items()] if part == "models" else value
    del inputs[input_name("tracking")]
    return inputs


def from_kfp_inputs(parts: Mapping[str, Any]) -> Params:
    """Validate parts of `params.yaml`, named by their paths in it, as KFP delivers them: all numbers are floats."""
    raw: dict[str, Any] = {}
    for part, value in parts.items():
        *outer, last = part.split(".")
        section = raw
        for key in outer:
            section = section.setdefault(key, {})
        if part == "models" and isinstance(value, list):
            value = {name: entry for model in value for name, entry in model.items()}
        section[last] = _with_integers(value)
    return parse_params(raw, "the pipeline's parameters", complete=False)


def _with_integers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_integers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
