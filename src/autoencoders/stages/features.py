"""Train the classifier whose features the Fréchet distance compares, and store them for the test images."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as serialised

from autoencoders.data.prepared import PreparedData
from autoencoders.evaluation.features import FeatureNet, PcaFeatures, fit_pca_features, train_feature_net
from autoencoders.evaluation.generation import feature_statistics, frechet_distance
from autoencoders.evaluation.pinned_features import DESCRIPTION, STATISTICS, WEIGHTS
from autoencoders.files.results import replaceable, result_folder
from autoencoders.params import Params
from autoencoders.training.device import make_deterministic, resolve_device

CONTENTS = (WEIGHTS, STATISTICS, DESCRIPTION)


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
    if train.has_classes and prepared.info.classes and train.labels is not None and test.labels is not None:
        generator = torch.Generator().manual_seed(params.features.seed)
        classes = len(prepared.info.classes)
        extractor = train_feature_net(train.images, train.labels, classes, params.features.epochs, generator, device)
        facts = {"test_accuracy": extractor.accuracy(test.images, test.labels)}
    else:
        extractor, facts = fit_pca_features(train.images).to(device), {}
    reference = feature_statistics(extractor.features(torch.from_numpy(np.array(test.images))))
    real = feature_statistics(extractor.features(torch.from_numpy(np.array(train.images[: params.features.images]))))
    facts["frechet_floor"] = frechet_distance(*real, *reference)

    description = {
        "content_hash": prepared.info.content_hash,
        "extractor": extractor.config(),
        "images": params.features.images,
    }
    weights = serialised({name: value.cpu().contiguous() for name, value in extractor.state_dict().items()})
    with result_folder(out, CONTENTS) as draft:
        (draft / WEIGHTS).write_bytes(weights)
        np.savez(draft / STATISTICS, mean=reference.mean, cov=reference.cov)
        (draft / DESCRIPTION).write_text(json.dumps(description | facts, indent=2) + "\n")
    print(f"features: {extractor.kind}, " + ", ".join(f"{key} {value:.4g}" for key, value in facts.items()))
