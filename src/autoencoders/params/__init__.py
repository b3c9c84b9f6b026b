"""Typed, validated sections of `params.yaml`; the only reader of that file.

`params.yaml` itself documents each key; this package has types, ranges and checks across keys.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from autoencoders.errors import UserError, shown, suggestion
from autoencoders.params.base import Section
from autoencoders.params.file import YamlError, read_yaml
from autoencoders.params.ladder import Ladder
from autoencoders.params.models import KINDS, AnyModel, Autoencoder, ModelParams, Pca, Vae
from autoencoders.params.problems import format_errors
from autoencoders.params.sections import Data, Device, Evaluate, Features, Plots, Prepare, Tracking, Train

__all__ = [
    "KINDS", "Autoencoder", "Data", "Evaluate", "Features", "Ladder", "ModelParams", "Params", "Pca", "Plots",
    "Prepare", "Tracking", "Train", "Vae", "load_params", "parse_params", "read_params",
]  # fmt: skip


def _model_name(name: object) -> object:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise ValueError(
            "a model's name is made of letters, digits, - and _, begins with a letter or a digit and has at most 64 "
            f"characters, found {shown(name)}"
        )
    return name


ModelName = Annotated[str, BeforeValidator(_model_name)]


class Params(Section):
    """The whole of `params.yaml`."""

    device: Device = "auto"
    data: Data = Data()
    prepare: Prepare = Prepare()
    train: Train = Train()
    models: Annotated[dict[ModelName, AnyModel], Field(min_length=1)]
    features: Features = Features()
    evaluate: Evaluate = Evaluate()
    plots: Plots = Plots()
    ladder: Ladder = Ladder()
    tracking: Tracking = Tracking()

    def model(self, name: str) -> ModelParams:
        """Return the entry `name` of `models`; raise `UserError` where there is none."""
        try:
            return self.models[name]
        except KeyError:
            raise UserError(
                f"params.yaml has no model {name!r}.{suggestion(name, self.models)} Known: {', '.join(self.models)}"
            ) from None

    def training_of(self, name: str) -> Train:
        """Return the training settings of the model `name`, its own overrides applied."""
        return self.model(name).training(self.train)


class _Sections(Params):
    """Some sections of a file."""

    models: dict[ModelName, AnyModel] = {}


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate `path`; raise `UserError` that lists every problem with its key's path."""
    return parse_params(read_params(path), source=str(path))


def read_params(path: Path) -> dict[str, Any]:
    """Return what the file `path` holds, not validated; raise `UserError` where it holds no sections."""
    try:
        raw = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist. Run from the repository root, or name another with --params."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Name a file with --params.") from None
    except (YamlError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold sections such as `data:` and `models:`, found {type(raw).__name__}.")
    return raw


def parse_params(raw: Mapping[str, Any], source: str = "params.yaml", *, complete: bool = True) -> Params:
    """Validate a mapping shaped like `params.yaml`; without `complete`, one that holds only some of its sections."""
    try:
        return (Params if complete else _Sections).model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{source}: {format_errors(error, Params, raw)}") from error
