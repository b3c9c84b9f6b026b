import pytest
import torch
from PIL import Image

from autoencoders.errors import UserError
from autoencoders.models.factory import build
from autoencoders.params import parse_params
from autoencoders.stages import duration
from autoencoders.stages.check import check

MODELS = {"a": {"kind": "pca", "latent": 2}}
CONV = {"kind": "autoencoder", "arch": "conv", "hidden": [32, 64], "latent": 4}


def test_it_says_what_will_be_trained_and_about_how_long_it_takes(repository_params, store, monkeypatch, capsys):
    monkeypatch.setattr(duration, "seconds_per_step", lambda model, settings, device: 0.01)
    check(repository_params)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "params.yaml is in order: mnist; models pca, ae, vae, ae-2d, vae-2d",
        "mnist: images of 28×28 (height × width), grey; validation 5,000 of the training part, test as published",
        "  pca: PCA, 16 numbers for an image",
        "  ae: AE, 16 numbers for an image, 1,500 steps of up to 256 images, about 18 seconds",
    ]
    # 1.2 · 0.01 s · (1500 + 1720 + 1500 + 860) steps, and 0.01 s · (8000 + 5 · 1000)
    assert lines[-1].startswith("A run from the start takes about 3 minutes (cpu, ")


def test_the_size_and_the_channels_of_own_images_come_from_their_headers(tmp_path, store, capsys):
    for number, (mode, size) in enumerate([("L", (200, 100)), *[("RGB", (100, 50))] * 3, *[("L", (100, 50))] * 6]):
        Image.new(mode, size).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_text("a")
    for data, expected in (
        ({}, "50×100 (height × width), colour"),
        ({"image_size": [8, 9], "channels": 1}, "8×9 (height × width), grey"),
    ):
        data = {"name": "folder", "folder": str(tmp_path), "max_unreadable": 0.1, **data}
        check(parse_params({"data": data, "models": MODELS}))
        assert f"11 images, brought to {expected}; no classes; train 7, val 1, test 2\n" in capsys.readouterr().out


def test_a_model_that_cannot_fit_the_images_is_refused_before_the_run(tmp_path, store):
    for number in range(5):
        Image.new("L", (8, 6)).save(tmp_path / f"{number}.png")
    data = {"name": "folder", "folder": str(tmp_path)}
    with pytest.raises(UserError, match=r"^models.deep: images of 6×8 pixels cannot be halved 4 times"):
        check(
            parse_params({"data": data, "prepare": {"test": 0.4}, "models": {"deep": {**CONV, "hidden": [4, 4, 4, 4]}}})
        )


def test_folders_whose_images_cannot_be_read_are_refused(tmp_path, store):
    (tmp_path / "a.png").write_text("a")
    with pytest.raises(UserError, match=r"none of the images in .* can be read: a.png \(not an image\)"):
        check(parse_params({"data": {"name": "folder", "folder": str(tmp_path)}, "models": MODELS}))


def test_a_larger_network_takes_longer_and_the_threads_are_left_as_they_were():
    threads = torch.get_num_threads()
    raw = {"small": {"kind": "pca", "latent": 2}, "mlp": {"kind": "vae", "latent": 2, "hidden": [8]}}
    raw |= {"wide": {"kind": "vae", "latent": 2, "hidden": [2048, 2048]}, "conv": CONV}
    params = parse_params({"models": raw})
    seconds = duration.training_seconds(params, (1, 28, 28), torch.device("cpu"))
    assert seconds["small"] == 0 < seconds["mlp"] < seconds["wide"]
    assert seconds["mlp"] < seconds["conv"]
    assert torch.get_num_threads() == threads


def test_the_batch_that_is_timed_is_bounded():
    params = parse_params({"models": {"conv": CONV}})
    settings = params.train.model_copy(update={"batch_size": 10**6})
    model = build(params.models["conv"], (3, 256, 256))
    assert duration.seconds_per_step(model, settings, torch.device("cpu")) > 60


def test_one_is_singular(store, monkeypatch, capsys):
    monkeypatch.setattr(duration, "seconds_per_step", lambda model, settings, device: 0.01)
    model = {"kind": "autoencoder", "hidden": [4], "latent": 1, "train": {"steps": 1, "batch_size": 1}}
    check(parse_params({"models": {"a": model}}))
    assert "  a: AE, 1 number for an image, 1 step of up to 1 image, about 1 second\n" in capsys.readouterr().out
