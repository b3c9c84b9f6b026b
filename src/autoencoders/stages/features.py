"""Train the classifier whose features the Fréchet distance compares, once, and pin it with the test statistics."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor

from autoencoders.data.prepared import DatasetInfo, PreparedData
from autoencoders.errors import UserError
from autoencoders.evaluation.features import (
    FeatureNet,
    PcaFeatures,
    extractor_from_config,
    fit_pca_features,
    train_feature_net,
)
from autoencoders.evaluation.generation import FeatureStatistics, feature_statistics, frechet_distance
from autoencoders.files.results import replaceable, result_folder
from autoencoders.params import Params
from autoencoders.training.device import make_deterministic, resolve_device


def features(params: Params, *, data: Path, out: Path) -> None:
    """Write the extractor, the test images' statistics and the floor of the distance to `out`.

    The floor is the distance of `params.features.images` training images to the test images.
    """
    replaceable(out, CONTENTS)
    prepared = PreparedData(data)
    device = resolve_device(params.device)
    make_deterministic(device)
    train, test = prepared.split("train"), prepared.split("test")
    extractor: FeatureNet | PcaFeatures
    if prepared.info.classes is not None and train.labels is not None and test.labels is not None:
        generator = torch.Generator().manual_seed(params.features.seed)
        classes = len(prepared.info.classes)
        extractor = train_feature_net(train.images, train.labels, classes, params.features.epochs, generator, device)
        facts = {"test_accuracy": extractor.accuracy(np.array(test.images), test.labels)}
    else:
        extractor, facts = fit_pca_features(train.images).to(device), {}
    reference = feature_statistics(extractor.features(torch.from_numpy(np.array(test.images))))
    real = feature_statistics(extractor.features(torch.from_numpy(np.array(train.images[: params.features.images]))))
    facts["frechet_floor"] = frechet_distance(*real, *reference)

    described = {
        "content_hash": prepared.info.content_hash,
        "extractor": extractor.config(),
        "images": params.features.images,
    }
    weights = serialised({name: value.cpu().contiguous() for name, value in extractor.state_dict().items()})
    with result_folder(out, CONTENTS) as draft:
        (draft / WEIGHTS).write_bytes(weights)
        np.savez(draft / STATISTICS, mean=reference.mean, cov=reference.cov)
        (draft / DESCRIPTION).write_text(json.dumps(described | facts, indent=2) + "\n")
    print(f"features: {extractor.kind}, " + ", ".join(f"{key} {value:.4g}" for key, value in facts.items()))


WEIGHTS, STATISTICS, DESCRIPTION = "weights.safetensors", "test_statistics.npz", "features.json"
CONTENTS = (WEIGHTS, STATISTICS, DESCRIPTION)


@dataclass(frozen=True)
class PinnedFeatures:
    """What the stage wrote: an extractor, the test images' statistics in its features, how many images a
    distance compares with them, and its floor."""

    extractor: FeatureNet | PcaFeatures
    reference: FeatureStatistics
    images: int
    floor: float

    def frechet(self, images: Tensor) -> float:
        """Return the Fréchet distance of images (N, C, H, W), clipped to [0, 1], to the test images."""
        return frechet_distance(*feature_statistics(self.extractor.features(images.clamp(0, 1))), *self.reference)


def load_features(folder: Path, device: torch.device, data: DatasetInfo) -> PinnedFeatures:
    """Read the stage's `folder`.

    Raises `UserError` where something in it is missing or damaged, or where it was made from other data than `data`.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text())
        extractor = extractor_from_config(described["extractor"])
        extractor.load_state_dict(load_file(folder / WEIGHTS))
        stored = np.load(folder / STATISTICS)
        reference = FeatureStatistics(stored["mean"], stored["cov"])
    except Exception as error:  # a missing or damaged file, each with an exception of its own
        raise UserError(f"{folder} is missing or damaged ({error}). Run the `features` stage.") from error
    if described.get("content_hash") != data.content_hash:
        by = "other data than is prepared now" if "content_hash" in described else "data that it does not name"
        raise UserError(f"{folder} was made from {by}. Run the `features` stage again.")
    return PinnedFeatures(extractor.to(device), reference, described["images"], described["frechet_floor"])
