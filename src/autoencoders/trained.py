"""A trained model is a folder: enough to rebuild it, to tell what it learned from, and to find its MLflow run.

weights.safetensors   the weights, no pickles
model.json            parameters, data shape, data set, training settings, results on the validation split
history.csv           one row an epoch (networks only)
run.json              the MLflow run that recorded the training
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError

if TYPE_CHECKING:
    import torch

    from autoencoders.models import Model
    from autoencoders.models.blocks import Shape

FORMAT = 1
CONTENTS = ("weights.safetensors", "model.json", "history.csv", "run.json")


@dataclass(frozen=True)
class Trained:
    """A model read from its folder, in evaluation mode, and what its `model.json` says."""

    model: "Model"
    description: dict[str, Any]


def save_trained(folder: Path, model: "Model", description: dict[str, Any]) -> dict[str, Any]:
    """Write weights and `model.json` into `folder`; returns the description with the weights' SHA-256 added."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()})
    (folder / "weights.safetensors").write_bytes(weights)
    described = {
        "format": FORMAT,
        **description,
        "parameters": sum(value.numel() for value in model.state_dict().values()),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    (folder / "model.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return described


def read_description(folder: Path) -> dict[str, Any]:
    """Return what `model.json` says; raises `UserError` where the folder is no trained model."""
    try:
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if folder.is_file():
            raise UserError(f"{folder} is a file. Name the folder that holds a trained model's files.") from None
        raise UserError(f"{folder} is no trained model (model.json is missing). Run the `train` stage first.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'model.json'} is damaged ({error}). Train the model again.") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise UserError(f"{folder / 'model.json'} is not of format {FORMAT}. Train the model with this version.")
    return description


def load_trained(folder: Path, device: "torch.device | str" = "cpu") -> Trained:
    """Rebuild the model stored in `folder` on `device`; raises `UserError` where a file is missing or damaged.

    The weights must be the very bytes that `model.json` names by their hash.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from autoencoders.models import build

    description = read_description(folder)
    path = folder / "weights.safetensors"
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Train the model again, or `dvc pull` it.") from None
    try:
        if hashlib.sha256(weights).hexdigest() != description["weights_sha256"]:
            raise UserError(
                f"{path} is damaged, or of another training than {folder / 'model.json'}: its SHA-256 is not the one "
                "written there. Train the model again, or `dvc pull` it."
            )
        model = build(description["model"], _shape(description)).to(device)
    except (KeyError, TypeError, ValueError, RuntimeError, UserError) as error:
        raise UserError(f"{folder / 'model.json'} is damaged ({error!r}). Train the model again.") from error
    try:
        model.load_state_dict(load(weights))
    except SafetensorError as error:
        raise UserError(f"{path} is no file of weights ({error}). Train the model again, or `dvc pull` it.") from error
    except RuntimeError as error:
        raise UserError(
            f"{path} holds the weights of another model than {folder / 'model.json'} describes "
            f"({_first_mismatch(error)}). Train the model again, or restore the matching file."
        ) from error
    model.eval()
    return Trained(model, description)


def _shape(description: dict[str, Any]) -> "Shape":
    channels, height, width = description["shape"]
    if not all(isinstance(side, int) and side > 0 for side in (channels, height, width)):
        raise ValueError(f"shape {description['shape']}")
    return channels, height, width


def _first_mismatch(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines()[1:]]
    return lines[0].rstrip(".") if lines else str(error)
