"""What `features` leaves: the extractor, the test images' statistics, and the floor of as many images as are drawn."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from autoencoders.data.prepared import PreparedData
from autoencoders.evaluation.generation import feature_statistics, frechet_distance
from autoencoders.evaluation.pinned_features import load_features
from autoencoders.params import Params
from autoencoders.stages.features import features


@pytest.fixture
def settings(params) -> Params:
    """A floor of fewer images than there are to train on."""
    return params.model_copy(update={"features": params.features.model_copy(update={"images": 30})})


@pytest.fixture
def unlabelled(prepared, tmp_path) -> Path:
    folder = Path(shutil.copytree(prepared, tmp_path / "unlabelled"))
    described = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**described, "classes": None}))
    for labels in folder.rglob("labels.npy"):
        labels.unlink()
    return folder


@pytest.mark.parametrize("labelled", [True, False])
def test_the_floor_is_the_distance_of_the_first_training_images(settings, prepared, unlabelled, tmp_path, labelled):
    folder = prepared if labelled else unlabelled
    features(settings, data=folder, out=tmp_path / "features")
    data = PreparedData(folder)
    pinned = load_features(tmp_path / "features", torch.device("cpu"), data.info)
    train, test = (np.array(data.split(split).images) for split in ("train", "test"))
    reference, real = (
        feature_statistics(pinned.extractor.features(torch.from_numpy(part))) for part in (test, train[:30])
    )
    np.testing.assert_allclose(pinned.reference.mean, reference.mean)
    np.testing.assert_allclose(pinned.reference.cov, reference.cov)
    assert pinned.images == 30
    assert pinned.floor == pytest.approx(frechet_distance(*real, *reference))
    text = (tmp_path / "features" / "features.json").read_text()
    described = json.loads(text)
    assert text == json.dumps(described, indent=2) + "\n"
    assert described["extractor"]["kind"] == ("classifier" if labelled else "pca")
    assert ("test_accuracy" in described) == labelled


def test_the_classifier_is_trained_from_the_seed_and_for_the_epochs_of_the_parameters(
    settings, prepared, tmp_path, monkeypatch
):
    monkeypatch.setattr("autoencoders.evaluation.features.MIN_STEPS", 1)

    def weights(**changes: int) -> bytes:
        changed = settings.features.model_copy(update=changes)
        features(settings.model_copy(update={"features": changed}), data=prepared, out=tmp_path / "features")
        return (tmp_path / "features" / "weights.safetensors").read_bytes()

    first = weights()
    assert weights() == first
    assert weights(seed=settings.features.seed + 1) != first
    assert weights(epochs=settings.features.epochs + 1) != first


def test_one_class_to_train_on_is_nothing_to_classify(settings, prepared, tmp_path):
    folder = Path(shutil.copytree(prepared, tmp_path / "data"))
    labels = np.load(folder / "train" / "labels.npy")
    np.save(folder / "train" / "labels.npy", np.zeros_like(labels))
    features(settings, data=folder, out=tmp_path / "features")
    described = json.loads((tmp_path / "features" / "features.json").read_text())
    assert described["extractor"]["kind"] == "pca"
    assert "test_accuracy" not in described
