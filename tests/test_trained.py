"""What a damaged folder of a trained model is told as: one line that names the file."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from autoencoders.errors import UserError
from autoencoders.trained import load_trained


def flip_a_byte(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def cut_short(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def swap_weights(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes((folder.parent / "ae" / "weights.safetensors").read_bytes())


def garbage(folder: Path) -> None:
    """Of the hash that model.json names."""
    (folder / "weights.safetensors").write_bytes(b"no weights")
    edit(folder, weights_sha256=hashlib.sha256(b"no weights").hexdigest())


def edit(folder: Path, **changes: object) -> None:
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**description, **changes}))


def edit_model(folder: Path, **changes: object) -> None:
    edit(folder, model={**json.loads((folder / "model.json").read_text())["model"], **changes})


def without(folder: Path, key: str) -> None:
    description = json.loads((folder / "model.json").read_text())
    del description[key]
    (folder / "model.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "weights.safetensors is damaged, or of another training"),
        (cut_short, "weights.safetensors is damaged, or of another training"),
        (garbage, "weights.safetensors is no file of weights"),
        (swap_weights, "weights.safetensors is damaged, or of another training"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors cannot be read"),
        (lambda folder: (folder / "model.json").unlink(), "vae is no trained model"),
        (lambda folder: (folder / "model.json").write_text("{"), "model.json is damaged"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"), "model.json is damaged"),
        (lambda folder: (folder / "model.json").write_text("[]"), "model.json is not of format 1"),
        (lambda folder: without(folder, "shape"), "model.json is damaged"),
        (lambda folder: without(folder, "weights_sha256"), "model.json is damaged"),
        (lambda folder: edit(folder, model={"kind": "gan", "latent": 2}), "model.json is damaged"),
        (lambda folder: edit(folder, shape=[1, -8, 8]), r"model.json is damaged \(ValueError\('shape \[1, -8, 8\]'"),
        (lambda folder: edit(folder, shape=[1, 8]), "model.json is damaged"),
        (lambda folder: edit(folder, shape=[1, 10**6, 10**6]), "model.json is damaged"),
        (lambda folder: edit_model(folder, latent=-2), "model.json is damaged"),
        (lambda folder: edit_model(folder, latent=10**9), r"model.json is damaged \(.*larger than the data"),
        (lambda folder: edit_model(folder, hidden=[10**12]), "model.json is damaged"),
        (lambda folder: edit_model(folder, arch="conv", hidden=[4] * 8), "model.json is damaged"),
        (lambda folder: edit(folder, shape=[1, 8, 9]), "holds the weights of another model"),
    ],
)
def test_damage_is_named(trained: Path, damage: Callable[[Path], object], message: str) -> None:
    load_trained(trained / "vae")
    damage(trained / "vae")
    with pytest.raises(UserError, match=message) as caught:
        load_trained(trained / "vae")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", r"is no trained model \(model.json is missing\)"),
        ("vae/model.json", r"vae/model.json is a file. Name the folder that holds a trained model's files\.$"),
    ],
)
def test_a_place_that_is_no_folder_of_a_model(trained: Path, place: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_trained(trained / place)
