"""Sections of `params.yaml` as the inputs of Kubeflow Pipelines, and back."""

from collections.abc import Mapping
from typing import Any

from autoencoders.params import Params, parse_params


def input_name(section: str) -> str:
    """Return the name of the input for a section: `ladder_params` for `ladder`; `device`, a single value, keeps its."""
    return section if section == "device" else f"{section}_params"


def to_kfp_inputs(params: Params) -> dict[str, Any]:
    """Return the pipeline's inputs: all sections of `params` except `tracking`, which the environment decides.

    Models are a list of mappings with one entry, because KFP's structures keep no order. Keys that are null are left
    out, because KFP's structures hold no null.
    """
    sections = params.model_dump(mode="json", exclude_none=True, exclude={"tracking"})
    sections["models"] = [{name: entry} for name, entry in sections["models"].items()]
    return {input_name(section): value for section, value in sections.items()}


def from_kfp_inputs(sections: Mapping[str, Any]) -> Params:
    """Validate sections of `params.yaml`, by name, as KFP delivers them: all numbers are floats."""
    raw = {section: _with_integers(value) for section, value in sections.items()}
    if isinstance(raw.get("models"), list):
        raw["models"] = {name: entry for model in raw["models"] for name, entry in model.items()}
    return parse_params(raw, "the pipeline's parameters", complete=False)


def _with_integers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_integers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
