"""Reading a trained model's folder; damaged or mismatched files raise `UserError`."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError, printable
from autoencoders.files.reading import damage_named, open_file, read_bytes, read_checked
from autoencoders.model_folder.schema import WEIGHTS, Description, Reference, no_model
from autoencoders.runtime.memory import memory_for

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from autoencoders.models import Model

RETRAIN = "Train the model again."
RESTORE = "Train the model again, or `dvc pull` it."


@dataclass(frozen=True)
class LoadedModel:
    """A model read from its folder, in evaluation mode, and what its `model.json` says."""

    model: "Model"
    description: dict[str, Any]


def read_description(folder: Path) -> dict[str, Any]:
    """Return what `model.json` says; raise `UserError` where the folder is no trained model."""
    path = folder / "model.json"
    with damage_named(path, RETRAIN):
        if folder.is_file():
            raise UserError(f"{folder} is a file. Name the folder that holds a trained model's files.")
        if not path.exists():
            raise no_model(folder)
        return read_checked(path, Description)


def read_reference(folder: Path) -> dict[str, Any]:
    """Return what `run.json` says; where there is none, the weights name the run. Raise `UserError` for a damaged one.

    A model that was trained elsewhere may have come without it.
    """
    path = folder / "run.json"
    if not path.exists():
        return {"run_id": read_description(folder)["weights_sha256"][:32]}
    with damage_named(path, "Delete it, `dvc pull` it, or train the model again."):
        return read_checked(path, Reference)


def load_trained(folder: Path, device: "torch.device | str" = "cpu") -> LoadedModel:
    """Rebuild the model stored in `folder` on `device`; raise `UserError` where a file is missing or damaged.

    The weights must be finite and have the hash in `model.json`. Their shapes are checked before they are read, so that
    loading takes at most three times the file's size in memory.
    """
    from autoencoders.models import build, parameter_shapes

    description = read_description(folder)
    entry, (channels, height, width) = Description.model_validate(description).model, description["shape"]
    shape = (channels, height, width)
    with damage_named(folder / "model.json", RETRAIN, KeyError, TypeError, RuntimeError, UserError):
        expected = parameter_shapes(entry, shape)
    _check_shapes(folder, expected)
    size = (folder / WEIGHTS).stat().st_size
    with memory_for(f"{folder}: the model", 2 * size, "Use a machine with more of it, or a smaller model."):
        weights = _read_weights(folder, size, description["weights_sha256"])
        model = build(entry, shape)
        model.load_state_dict(weights)
        model.to(device).eval()
    return LoadedModel(model, description)


def _check_shapes(folder: Path, expected: Mapping[str, Sequence[int]]) -> None:
    """Raise `UserError` where the header of `weights.safetensors` does not describe arrays of the `expected` shapes."""
    from safetensors import SafetensorError, safe_open

    path = folder / WEIGHTS
    with damage_named(path, RESTORE, SafetensorError):
        open_file(path).close()  # never a pipe
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: f"{part.get_dtype()} {part.get_shape()}" for name, part in slices.items()}
    wanted = {name: f"F32 {list(shape)}" for name, shape in expected.items()}
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            raise UserError(
                f"{path} holds the weights of another model than {folder / 'model.json'} describes: "
                f"{printable(name)[:100]} is {found.get(name, 'missing')[:100]}, expected {wanted.get(name, 'none')}. "
                "Train the model again, or restore the matching file."
            )


def _read_weights(folder: Path, size: int, sha256: str) -> "dict[str, Tensor]":
    """Return the arrays in `weights.safetensors`, which has `size` bytes; raise `UserError` for any but finite ones."""
    from safetensors.torch import load

    path = folder / WEIGHTS
    content = read_bytes(path, size)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(
            f"{path} is damaged, or of another training than {folder / 'model.json'}: its SHA-256 differs from the one "
            f"there. {RESTORE}"
        )
    weights = load(content)
    for name, values in weights.items():
        if not values.isfinite().all():
            raise UserError(f"{path}: {name} holds NaN or infinity. {RETRAIN}")
    return weights
