"""A damaged folder of a trained model is refused in one line that names the file."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from trees import replaced, rewritten

from autoencoders.errors import UserError
from autoencoders.model_folder import load_trained, read_reference
from autoencoders.model_folder.history import read_history


def weights(change):
    return lambda folder: rewritten(change)(folder / "weights.safetensors")


def rehashed(folder: Path, **values: torch.Tensor) -> None:
    """Weights of which some are changed, and the hash of which model.json names."""
    content = save({**load((folder / "weights.safetensors").read_bytes()), **values})
    (folder / "weights.safetensors").write_bytes(content)
    edit(folder, weights_sha256=hashlib.sha256(content).hexdigest())


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
        (
            weights(lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]),
            "weights.safetensors is damaged, or of another training",
        ),
        (weights(lambda content: content[:-10]), r"weights.safetensors .*damaged \(.*file not fully covered"),
        (garbage, r"weights.safetensors .*damaged \(.*header"),
        (
            lambda folder: shutil.copy(folder.parent / "ae/weights.safetensors", folder),
            r"vae/weights.safetensors holds the weights of another model.*decoder.0.bias is missing, exp",
        ),
        (
            lambda folder: (folder / "model.json").write_text("[" * 100_000),
            r"model.json .*damaged \(it is nested too deeply\)",
        ),
        (
            weights(lambda content: content + b"x"),
            r"weights.safetensors .*damaged \(.*file not fully covered\)\. Train .*, or `dvc pull` it\.$",
        ),
        (lambda folder: without(folder, "name"), r"model.json .*damaged \(name: Field required\)"),
        (lambda folder: without(folder, "dataset"), r"model.json .*damaged \(dataset: Field required\)"),
        (lambda folder: edit(folder, name="a\x1b[2J"), r"model.json .*damaged \(name: should hold no control"),
        (lambda folder: edit(folder, anomaly={"quantile": 0.99, "mse": "a"}), r"damaged \(anomaly.mse: "),
        (lambda folder: without(folder, "anomaly"), r"model.json .*damaged \(anomaly: Field required\)"),
        (lambda folder: edit(folder, anomaly={"quantile": 0.99, "mse": 1.0}), r"damaged \(anomaly.neg_elbo: missing"),
        (lambda folder: edit(folder, validation={"val/mse": 1.0}), r"damaged \(validation.val/elbo: missing"),
        (lambda folder: edit(folder, validation={"val/mse": float("inf"), "val/elbo": 1}), "model.json .*damaged"),
        (lambda folder: edit_model(folder, hidden=[1] * 10**4), r"model.json .*damaged \(model.vae.hidden: "),
        (lambda folder: edit(folder, more=["x" * 2**20]), r"model.json .*damaged \(it is larger than 1 MiB\)"),
        (lambda folder: replaced(os.mkfifo)(folder / "model.json"), r"model.json .*damaged \(not a regular file\)"),
        (lambda folder: (folder / "weights.safetensors").unlink(), r"weights.safetensors .*damaged \(No such file"),
        (lambda folder: (folder / "model.json").unlink(), "vae is no trained model"),
        (lambda folder: (folder / "model.json").write_text("{"), "model.json .*damaged"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"), "model.json .*damaged"),
        (lambda folder: (folder / "model.json").write_text("[]"), r"model.json .*damaged \(should be a valid dict"),
        (
            lambda folder: edit(folder, format=2),
            r"model.json was made by an earlier version of this package\. ",
        ),
        (lambda folder: edit(folder, format=4), r"model.json .*damaged \(format: should be 3\)\. Train the"),
        (lambda folder: edit(folder, format="2"), r"model.json .*damaged \(format: should be 3\)\. Train the"),
        (lambda folder: without(folder, "format"), r"model.json .*damaged \(format: Field required\)"),
        (lambda folder: without(folder, "shape"), "model.json .*damaged"),
        (lambda folder: without(folder, "weights_sha256"), "model.json .*damaged"),
        (lambda folder: edit(folder, model={"kind": "gan", "latent": 2}), "model.json .*damaged"),
        (lambda folder: edit(folder, shape=[1, -8, 8]), r"model.json .*damaged \(shape.1: should be greater than"),
        (lambda folder: edit(folder, shape=[1, 8]), "model.json .*damaged"),
        (lambda folder: edit(folder, shape=[1, 10**6, 10**6]), "model.json .*damaged"),
        (lambda folder: edit_model(folder, latent=-2), "model.json .*damaged"),
        (lambda folder: edit_model(folder, latent=10**9), r"model.json .*damaged \(.*larger than the data"),
        (lambda folder: edit_model(folder, hidden=[65_536] * 8), "holds the weights of another model"),
        (lambda folder: edit_model(folder, hidden=[10**12]), "model.json .*damaged"),
        (lambda folder: edit_model(folder, arch="conv", hidden=[4] * 8), "model.json .*damaged"),
        (lambda folder: edit(folder, shape=[1, 8, 9]), "holds the weights of another model"),
    ],
)
def test_damage_is_named(trained, damage, message):
    load_trained(trained / "vae")
    damage(trained / "vae")
    with pytest.raises(UserError, match=message) as caught:
        load_trained(trained / "vae")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [4094, "4095", None, 10**9, -1, [4095]])
def test_a_scale_that_is_none_is_damage(trained, value):
    edit(trained / "vae", dataset={"name": "tiny", "content_hash": "c0ffee", "full_scale": value})
    with pytest.raises(UserError, match=r"model\.json .*damaged \(dataset\.full_scale: "):
        load_trained(trained / "vae")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", r"is no trained model \(model.json is missing\)"),
        ("vae/model.json", r"vae/model.json is a file. Name the folder that holds a trained model's files\.$"),
    ],
)
def test_a_place_that_is_no_folder_of_a_model(trained, place, message):
    with pytest.raises(UserError, match=message):
        load_trained(trained / place)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_model_with_a_weight_that_is_not_finite_is_refused(trained, value):
    bias = torch.zeros(64)
    rehashed(trained / "vae", **{"decoder.2.bias": bias})
    load_trained(trained / "vae")
    bias[17] = value
    rehashed(trained / "vae", **{"decoder.2.bias": bias})
    with pytest.raises(UserError, match=r"vae/weights.safetensors: decoder.2.bias holds NaN or infinity\. Train"):
        load_trained(trained / "vae")


def test_weights_of_another_type_are_refused(trained):
    rehashed(trained / "vae", **{"decoder.2.bias": torch.zeros(64, dtype=torch.float64)})
    with pytest.raises(UserError, match=r"decoder.2.bias is F64 \[64\], expected F32 \[64\]\. Train"):
        load_trained(trained / "vae")


def test_a_model_from_a_later_version_may_say_more(trained):
    edit(trained / "vae", scale=[1, 2], dataset={"name": "tiny", "content_hash": "c0ffee", "pages": 3})
    edit(trained / "vae", train={"seed": 0, "steps": 2, "device": "auto"})
    assert load_trained(trained / "vae").description["scale"] == [1, 2]


def test_a_model_larger_than_the_memory_is_refused_before_it_is_read(trained, monkeypatch):
    monkeypatch.setattr("autoencoders.runtime.memory.machine_memory", lambda: 5_000)
    with pytest.raises(UserError, match=r"vae: the model needs 1 MB of memory, there are 1 MB\. Use a machine with"):
        load_trained(trained / "vae")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "Expecting property name"),
        (b"[]", "valid dictionary"),
        (b"{}", "run_id: Field required"),
        (b'{"run_id": 3}', "run_id: should be a valid string"),
        (b'{"run_id": "a", "tags": {"x": 1}}', "tags.x: should be a valid string"),
        (b'{"run_id": "a", "tags": []}', "tags: "),
        (b"\xff", "codec can't decode"),
    ],
)
def test_a_damaged_reference_to_the_run_is_named(trained, content, message):
    (trained / "vae" / "run.json").write_bytes(content)
    with pytest.raises(UserError, match=f"vae/run.json .*damaged .*{message}") as caught:
        read_reference(trained / "vae")
    assert "\n" not in str(caught.value)


COLUMNS = b"step,epoch,seconds,timestamp,val/loss,val/recon,train/recon"
FIRST = COLUMNS + b"\n0,0,1,1,1,1,\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "codec can't decode"),
        (b"", "it has no step"),
        (COLUMNS + b"\n0,0,1,1,x,1,1\n", "could not convert string to float: 'x'"),
        (COLUMNS + b"\n0,0,1,1,1,1,1,1\n", "a line has more cells than the first"),
        (COLUMNS + b"\n1,1,1,1,1,1,1\n", "row 1 is of another step: they begin with 0, and rise"),
        (FIRST + b"5,1,1,1,1,1,1\n5,1,1,1,1,1,1\n", "row 3 is of another step"),
        (FIRST + b"1.5,1,1,1,1,1,1\n", "row 2 is of another step"),
        (COLUMNS + b"\n0,0,1,1\n", "row 1 is incomplete"),
        (FIRST + b"1,1,1,1,1,1,\n", "row 2 is incomplete"),
        (COLUMNS + b"\n0,0,1,1,nan,1,1\n", "row 1 holds an impossible number"),
        (COLUMNS + b"\n0,0,1,1e300,1,1,1\n", "row 1 holds an impossible number"),
        (b"\0", "it has no step"),
    ],
)
def test_a_damaged_history_is_named(trained, content, message):
    assert [row["step"] for row in read_history(trained / "vae")] == [0, 1, 2, 3, 4]
    (trained / "vae" / "history.csv").write_bytes(content)
    with pytest.raises(UserError, match=f"vae/history.csv .*damaged .*{message}") as caught:
        read_history(trained / "vae")
    assert "\n" not in str(caught.value)
