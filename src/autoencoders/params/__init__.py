"""Typed, validated sections of `params.yaml`; the only reader of that file.

Every key's meaning stands in `params.yaml` itself; this package holds types, ranges and contradictions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, StringConstraints, ValidationError, model_validator

from autoencoders.errors import UserError, suggestion
from autoencoders.params.base import Section
from autoencoders.params.ladder import AutoDecoderRung, BetaRung, Ladder, LinearRung, OneHotRung, OneImageRung
from autoencoders.params.sections import (
    Autoencoder,
    Data,
    Device,
    Evaluate,
    Features,
    ModelParams,
    Pca,
    Plots,
    Prepare,
    Tracking,
    Train,
    Vae,
)

__all__ = [
    "PARAMETERS",
    "AutoDecoderRung",
    "Autoencoder",
    "BetaRung",
    "Data",
    "Evaluate",
    "Features",
    "Ladder",
    "LinearRung",
    "OneHotRung",
    "OneImageRung",
    "Params",
    "Pca",
    "Plots",
    "Prepare",
    "Tracking",
    "Train",
    "Vae",
    "load_params",
    "parse_params",
]

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Params(Section):
    """The whole of `params.yaml`."""

    device: Device = "auto"
    data: Data = Data()
    prepare: Prepare = Prepare()
    train: Train = Train()
    models: Annotated[dict[ModelName, ModelParams], Field(min_length=1)]
    features: Features = Features()
    evaluate: Evaluate = Evaluate()
    plots: Plots = Plots()
    ladder: Ladder = Ladder()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        for name, model in self.models.items():
            if isinstance(model, Vae) and model.kl_warmup > self.training_of(name).epochs:
                raise ValueError(f"models.{name}.kl_warmup is longer than its training ({model.kl_warmup} epochs)")
        return self

    def model(self, name: str) -> Pca | Autoencoder | Vae:
        """Return the entry `name` of `models`; raises `UserError` where there is none."""
        try:
            return self.models[name]
        except KeyError:
            raise UserError(
                f"params.yaml has no model {name!r}.{suggestion(name, self.models)} Known: {', '.join(self.models)}"
            ) from None

    def training_of(self, name: str) -> Train:
        """Return the training settings of the model `name`, its own overrides applied."""
        model = self.model(name)
        return self.train if isinstance(model, Pca) else self.train.overridden(model.train)


PARAMETERS = (
    "device", "data", "prepare", "train", "models", "features", "evaluate", "plots", "ladder.seed", "ladder.one_image",
    "ladder.one_hot", "ladder.auto_decoder", "ladder.linear", "ladder.generation", "ladder.beta", "tracking",
)  # fmt: skip
"""The parts of `params.yaml` that stages depend on, one by one: together they are the whole file."""


class _Sections(Params):
    """Some sections of a file that was read whole elsewhere, where what spans sections was checked."""

    models: dict[ModelName, ModelParams] = {}

    @model_validator(mode="after")
    def _consistent(self) -> "_Sections":
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate `path`; raises `UserError` that lists every problem with its key's path."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist. Run from the repository root, or name another with --params."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, Mapping):
        raise UserError(f"{path} must hold sections such as `data:` and `models:`, found {type(raw).__name__}.")
    return parse_params(raw, source=str(path))


def parse_params(raw: Mapping[str, Any], source: str = "params.yaml", *, complete: bool = True) -> Params:
    """Validate a mapping shaped like `params.yaml`; without `complete`, one that holds only some of its sections."""
    try:
        return (Params if complete else _Sections).model_validate(raw)
    except ValidationError as error:
        lines = [_describe(problem, raw) for problem in error.errors()]
        raise UserError(f"{source}: " + "; ".join(dict.fromkeys(lines))) from error


_MODEL_TAGS = {"pca": Pca, "autoencoder": Autoencoder, "vae": Vae}


def _describe(problem: Any, raw: Mapping[str, Any]) -> str:
    """One problem as `key.path: what is wrong (value)`, with the nearest known key for a misspelt one."""
    loc = [part for at, part in enumerate(problem["loc"]) if isinstance(part, int) or _is_key(at, problem["loc"], raw)]
    path = ".".join(str(part) for part in loc) or "file"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(problem["loc"])
        return f"{path}: unknown key.{suggestion(str(loc[-1]), known)} Known here: {', '.join(sorted(known))}"
    if problem["type"] == "missing":
        return f"{path}: missing"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if problem["type"] == "value_error":
        return f"{path}: {message}" if path != "file" else message
    if "tag" in problem["type"]:
        kind = problem["input"].get("kind") if isinstance(problem["input"], Mapping) else None
        hint = suggestion(str(kind), _MODEL_TAGS) if kind else ""
        return f"{path}.kind: must be one of {', '.join(_MODEL_TAGS)}, found {kind!r}.{hint}"
    return f"{path}: {message}, found {problem['input']!r}"


def _is_key(at: int, loc: tuple[Any, ...], raw: Any) -> bool:
    """Tell the file's own keys in a pydantic location from the names of union members."""
    part, node = loc[at], raw
    for step in loc[:at]:
        if isinstance(node, Mapping) and step in node:
            node = node[step]
    in_file = isinstance(node, Mapping) and part in node
    is_last = at == len(loc) - 1 and not any(c in part for c in "[(") and part not in _MODEL_TAGS and part not in _TYPES
    return in_file or is_last


_TYPES = {"int", "float", "constrained-int", "constrained-float", "list"}


def _known_keys(loc: tuple[Any, ...]) -> list[str]:
    section: Any = Params
    for part in loc[:-1]:
        if part in _MODEL_TAGS:
            section = _MODEL_TAGS[part]
        elif part in section.model_fields:
            annotation = section.model_fields[part].annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                section = annotation
    return list(section.model_fields)
