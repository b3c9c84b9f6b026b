"""The numbers and images of the data card, read a block at a time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.arrays import images_per_block
from autoencoders.data.prepared import SPLITS, DatasetInfo, PreparedData


@dataclass(frozen=True)
class Statistics:
    """Numbers of the training split, and the classes of all splits."""

    mean_image: NDArray[np.float64]
    """(C, H, W), pixels in [0, 1]."""
    mean: list[float]
    """Per channel, pixels in [0, 1]."""
    std: list[float]
    """Per channel, over all images and positions (population)."""
    class_counts: dict[str, list[int]] | None
    """Images of each class, in label order, by split; None where the set has no labels."""


def statistics_of(data: PreparedData) -> Statistics:
    """Read the training images once and count the labels of all splits."""
    images = data.split("train").images
    total = np.zeros(data.info.shape)
    squares = np.zeros(data.info.shape[0])
    step = images_per_block(data.info.shape)
    for start in range(0, len(images), step):
        block = images[start : start + step].astype(np.float32) / 255
        total += block.sum(axis=0, dtype=np.float64)
        squares += np.square(block).sum(axis=(0, 2, 3), dtype=np.float64)
    mean_image = total / len(images)
    mean = mean_image.mean(axis=(1, 2))
    pixels = len(images) * mean_image[0].size
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return Statistics(mean_image, mean.tolist(), std.tolist(), _class_counts(data))


def _class_counts(data: PreparedData) -> dict[str, list[int]] | None:
    if data.info.classes is None:
        return None
    counts = {}
    for split in SPLITS:
        labels = data.split(split).labels
        assert labels is not None
        counts[split] = np.bincount(labels, minlength=len(data.info.classes)).tolist()
    return counts


def card_numbers(info: DatasetInfo, statistics: Statistics) -> dict[str, object]:
    """Return the numbers of the card; pixels in [0, 1], mean and std per channel over the training split."""
    per_class = None
    if info.classes is not None and statistics.class_counts is not None:
        names, counted = info.classes, statistics.class_counts
        per_class = {split: dict(zip(names, counts, strict=True)) for split, counts in counted.items()}
    return {
        "name": info.title,
        "shape": list(info.shape),
        "counts": info.counts,
        "class_counts": per_class,
        "pixel_mean": statistics.mean,
        "pixel_std": statistics.std,
        "content_hash": info.content_hash,
    }


def sample_rows(data: PreparedData, seed: int, columns: int = 12, rows: int = 62) -> list[NDArray[np.uint8]]:
    """Choose training images to show, each row an array (n, C, H, W) with n at most `columns`.

    One row per class in label order, for the first `rows` classes; ten rows of any images where there are no labels.
    """
    split = data.split("train")
    rng = np.random.default_rng(seed)
    if split.labels is None:
        order = rng.permutation(len(split.images))[: 10 * columns]
        chosen = [order[start : start + columns] for start in range(0, len(order), columns)]
    else:
        classes = range(min(rows, len(data.info.classes or ())))
        chosen = [rng.permutation(np.flatnonzero(split.labels == label))[:columns] for label in classes]
    return [np.array(split.images[numbers]) for numbers in chosen]
