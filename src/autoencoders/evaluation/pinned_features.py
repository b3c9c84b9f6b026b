"""The features of a data set's Fréchet distances, as the stage `features` wrote them: the same for all models."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from autoencoders.data.prepared import DatasetInfo
from autoencoders.errors import UserError
from autoencoders.evaluation.features import FeatureNet, PcaFeatures, extractor_from_config
from autoencoders.evaluation.generation import FeatureStatistics, feature_statistics, frechet_distance

WEIGHTS, STATISTICS, DESCRIPTION = "weights.safetensors", "test_statistics.npz", "features.json"


@dataclass(frozen=True)
class PinnedFeatures:
    """A feature extractor, and the reference values for distances in its features."""

    extractor: FeatureNet | PcaFeatures
    reference: FeatureStatistics  # of the test images
    images: int  # how many images a distance compares with them
    floor: float  # the distance of as many training images

    def frechet(self, batches: Iterable[Tensor]) -> float:
        """Return the Fréchet distance of the images in batches (B, C, H, W), clipped to [0, 1], to the test images.

        One batch is in memory at a time: ten thousand colour images of 128×128 pixels take 2 GB.
        """
        features = np.concatenate([self.extractor.features(images.clamp(0, 1)) for images in batches])
        return frechet_distance(*feature_statistics(features), *self.reference)


def load_features(folder: Path, device: torch.device, data: DatasetInfo) -> PinnedFeatures:
    """Read what the stage wrote to `folder`.

    Raise `UserError` where something in it is missing or damaged, or where it was made from other data than `data`.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        extractor = extractor_from_config(description["extractor"])
        extractor.load_state_dict(load_file(folder / WEIGHTS))
        stored = np.load(folder / STATISTICS)
        reference = FeatureStatistics(stored["mean"], stored["cov"])
    except Exception as error:  # a missing or damaged file, each with an exception of its own
        raise UserError(f"{folder} is missing or damaged ({error}). Run the `features` stage.") from error
    if description.get("content_hash") != data.content_hash:
        by = "other data than is prepared now" if "content_hash" in description else "unknown data"
        raise UserError(f"{folder} was made from {by}. Run the `features` stage again.")
    return PinnedFeatures(extractor.to(device), reference, description["images"], description["frechet_floor"])
