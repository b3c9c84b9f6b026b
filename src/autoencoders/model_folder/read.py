"""Reading a trained model's folder; damaged or mismatched files raise `UserError`."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError, printable
from autoencoders.files.reading import DAMAGE, check, open_file, read_bytes, read_checked, read_json, reason
from autoencoders.model_folder.schema import FORMAT, WEIGHTS, Description, Reference
from autoencoders.runtime.memory import memory_for

if TYPE_CHECKING:
    import torch

    from autoencoders.models import Model

FLOAT32_BYTES = 4  # of a number: all are float32
METADATA = "__metadata__"  # entry of the header of a file of weights that is no array
MAX_HEADER = 2**20  # bytes of the JSON that begins a file of weights; a model's has two thousand
RESTORE = "Train the model again, or `dvc pull` it."


@dataclass(frozen=True)
class LoadedModel:
    """A model read from its folder, in evaluation mode, and what its `model.json` says."""

    model: "Model"
    description: dict[str, Any]


def read_description(folder: Path) -> dict[str, Any]:
    """Return what `model.json` says; raise `UserError` where the folder is no trained model."""
    path = folder / "model.json"
    try:
        description = read_json(path)
        if isinstance(description, dict) and description.get("format") == FORMAT:
            check(Description, description)
            return description
    except (FileNotFoundError, NotADirectoryError):
        if folder.is_file():
            raise UserError(f"{folder} is a file. Name the folder that holds a trained model's files.") from None
        raise UserError(f"{folder} is no trained model (model.json is missing). Run the `train` stage first.") from None
    except DAMAGE as error:
        raise _damaged_description(folder, reason(error)) from error
    raise UserError(f"{path} is not of format {FORMAT}. Train the model with this version.")


def _damaged_description(folder: Path, why: str) -> UserError:
    return UserError(f"{folder / 'model.json'} is damaged ({why}). Train the model again.")


def _of_another_training(folder: Path, why: str) -> UserError:
    return UserError(
        f"{folder / WEIGHTS} is damaged, or of another training than {folder / 'model.json'}: {why}. {RESTORE}"
    )


def read_reference(folder: Path) -> dict[str, Any]:
    """Return what `run.json` says; where there is none, the weights name the run. Raises `UserError` for a damaged one.

    A model that was trained elsewhere may have come without it.
    """
    path = folder / "run.json"
    try:
        return read_checked(path, Reference)
    except FileNotFoundError:
        return {"run_id": read_description(folder)["weights_sha256"][:32]}
    except DAMAGE as error:
        raise UserError(
            f"{path} is damaged ({reason(error)}). Delete it, `dvc pull` it, or train the model again."
        ) from error


def load_trained(folder: Path, device: "torch.device | str" = "cpu") -> LoadedModel:
    """Rebuild the model stored in `folder` on `device`; raise `UserError` where a file is missing or damaged.

    The weights must be finite and have the hash in `model.json`. Their shapes are checked before they are read, so that
    loading takes at most three times the file's size in memory.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from autoencoders.models import build, parameter_shapes

    description = read_description(folder)
    entry, (channels, height, width) = Description.model_validate(description).model, description["shape"]
    shape = (channels, height, width)
    try:
        expected = parameter_shapes(entry, shape)
    except (KeyError, TypeError, ValueError, RuntimeError, UserError) as error:
        raise _damaged_description(folder, reason(error)) from error
    whole = _checked_size(folder, expected)
    with memory_for(f"{folder}: the model", 2 * whole, "Use a machine with more of it, or a smaller model."):
        content = read_bytes(folder / WEIGHTS, whole)
        if hashlib.sha256(content).hexdigest() != description["weights_sha256"]:
            raise _of_another_training(folder, "its SHA-256 differs from the one there")
        try:
            weights = load(content)
        except SafetensorError as error:
            raise _no_weights(folder / WEIGHTS, error) from error
        for name, values in weights.items():
            if not values.isfinite().all():
                raise UserError(f"{folder / WEIGHTS}: {name} holds NaN or infinity. Train the model again.")
        model = build(entry, shape)
        model.load_state_dict(weights)
        model.to(device).eval()
    return LoadedModel(model, description)


def _checked_size(folder: Path, expected: Mapping[str, Sequence[int]]) -> int:
    """Return the size of `weights.safetensors` in bytes, after checking its header against the `expected` shapes.

    The file begins with 8 bytes, the length of the JSON that follows: type, shape and offset of each array.
    """
    from autoencoders.models import count_numbers

    path = folder / WEIGHTS
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER:
                raise ValueError(f"its header would have {length:,} bytes")
            header = json.loads(file.read(length).decode("utf-8"))
            _compare(
                folder, {key: f"{of['dtype']} {of['shape']}" for key, of in header.items() if key != METADATA}, expected
            )
            whole = 8 + length + FLOAT32_BYTES * count_numbers(expected)
            if os.fstat(file.fileno()).st_size != whole:
                raise _of_another_training(folder, f"it should have {whole:,} bytes")
            return whole
    except FileNotFoundError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). {RESTORE}") from None
    except (*DAMAGE, TypeError, KeyError, AttributeError) as error:
        raise _no_weights(path, error) from error


def _compare(folder: Path, found: Mapping[str, str], expected: Mapping[str, Sequence[int]]) -> None:
    """Raise `UserError` where the arrays of a file, type and shape by name, are not the `expected` ones."""
    wanted = {name: f"F32 {list(shape)}" for name, shape in expected.items()}
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            raise UserError(
                f"{folder / WEIGHTS} holds the weights of another model than {folder / 'model.json'} describes: "
                f"{printable(name)[:100]} is {printable(found.get(name, 'missing'))[:100]}, expected "
                f"{wanted.get(name, 'none')}. Train the model again, or restore the matching file."
            )


def _no_weights(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged: it is no file of weights ({reason(error)}). {RESTORE}")
