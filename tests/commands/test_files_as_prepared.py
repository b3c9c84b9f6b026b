"""What a trained model makes of image files of all shapes is what `prepare` made of them: pixel for pixel."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_sets import prepare_set

from autoencoders import TrainedModel, load_model
from autoencoders.commands.codes import read_codes
from autoencoders.data.prepared import SPLITS
from autoencoders.pyfunc import Reconstructor
from autoencoders.stages.train import train

FITS = ("pad", "crop", "stretch")
SHAPES = [(30, 20), (20, 30), (5, 90), (90, 5), (3, 2), (24, 24), (200, 333), (1, 40)]
RANDOM = np.random.default_rng(0)


def write_files(folder: Path) -> list[Path]:
    """Small and large, flat and tall, grey, coloured, of 16 bits and turned: two of each."""
    folder.mkdir()
    files = []
    for i, (height, width) in enumerate(2 * SHAPES):
        # smooth, as a photograph is
        small = Image.fromarray(RANDOM.integers(0, 256, (6, 6, 3), np.uint8))
        image = small.resize((width, height), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        exif[0x0112] = 1 + i % 8
        path = folder / f"{i:02}.{'jpg' if i % 2 else 'png'}"
        image.save(path, exif=exif)
        files.append(path)
        if i % 4 == 0:
            deep = np.asarray(image.convert("L"), np.uint16) * 16
            Image.fromarray(deep).save(folder / f"{i:02}-deep.tif")
            files.append(folder / f"{i:02}-deep.tif")
    return files


@pytest.fixture(params=FITS)
def fit(request) -> str:
    return request.param


@pytest.fixture
def own(fit, tmp_path, params) -> tuple[list[Path], np.ndarray, TrainedModel]:
    """Files, the pixels that `prepare` made of them in any order, and a model trained on those."""
    files = write_files(tmp_path / "own")
    data = {"name": "folder", "folder": str(tmp_path / "own"), "image_size": [10, 14], "fit": fit}
    prepared = prepare_set(tmp_path, data, validation=3, test=0.2)
    pixels = np.concatenate([prepared.split(name).images for name in SPLITS])
    out = tmp_path / "models/pca"
    train(params, model="pca", data=tmp_path / "prepared", checkpoints=tmp_path / "checkpoints", out=out)
    described = json.loads((tmp_path / "prepared/dataset.json").read_text())
    assert described["fit"] == json.loads((out / "model.json").read_text())["dataset"]["fit"] == fit
    return sorted(files), pixels, load_model(out, "cpu")


def test_a_loaded_model_reads_files_as_prepared(own):
    files, pixels, model = own
    found = (model.read_images(files) * 255).round().byte().numpy()
    assert found.shape == (len(files), 3, 10, 14)
    assert sorted(image.tobytes() for image in found) == sorted(image.tobytes() for image in pixels)
    for folder in (files[0].parent, str(files[0].parent), [str(files[0].parent)]):
        assert torch.equal(model.read_images(folder), model.read_images(files))


def test_codes_of_files_are_those_of_the_prepared_images(own, run, tmp_path):
    files, pixels, model = own
    assert run("encode", *files, "--model", tmp_path / "models/pca", "--out", "codes.npz").code == 0
    codes = read_codes(tmp_path / "codes.npz", model.name, model.weights_sha256).z
    read = (model.read_images(files) * 255).round().byte().numpy()
    for image, code in zip(read, codes, strict=True):
        [same, *_] = [i for i, other in enumerate(pixels) if (other == image).all()]
        expected = model.encode(torch.from_numpy(pixels[same : same + 1]).float() / 255)[0]
        torch.testing.assert_close(torch.from_numpy(code), expected, atol=1e-5, rtol=1e-4)


def test_anomaly_scores_of_files_are_those_of_the_prepared_images(own, run, tmp_path):
    files, pixels, model = own
    assert run("anomalies", *files, "--model", tmp_path / "models/pca", "--out", "scores").code == 0
    found = pd.read_csv(tmp_path / "scores" / "anomalies.csv")["mse"]
    expected = model.anomaly_scores(torch.from_numpy(pixels).float() / 255).mse
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-4)


def test_the_served_model_answers_files_as_prepared_images(own, tmp_path):
    files, pixels, model = own
    served = Reconstructor(tmp_path / "models/pca")
    found = served.predict(model.read_images(files).numpy(), {"output": "codes"})
    expected = served.predict(pixels.astype(np.float32) / 255, {"output": "codes"})
    np.testing.assert_allclose(np.sort(found, 0), np.sort(expected, 0), rtol=1e-4, atol=1e-5)


def test_a_model_that_says_nothing_was_trained_on_cropped_images(tmp_path, params):
    """As an earlier version trained it, on data that it prepared."""
    files = write_files(tmp_path / "own")
    data = {"name": "folder", "folder": str(tmp_path / "own"), "image_size": [10, 14], "fit": "crop"}
    pixels = prepare_set(tmp_path, data, validation=3, test=0.2).split("train").images
    described = json.loads((tmp_path / "prepared/dataset.json").read_text())
    del described["fit"]
    (tmp_path / "prepared/dataset.json").write_text(json.dumps(described))
    out = tmp_path / "models/pca"
    train(params, model="pca", data=tmp_path / "prepared", checkpoints=tmp_path / "checkpoints", out=out)
    assert "fit" not in json.loads((out / "model.json").read_text())["dataset"]
    found = {image.tobytes() for image in (load_model(out).read_images(files) * 255).round().byte().numpy()}
    assert {image.tobytes() for image in pixels} <= found
