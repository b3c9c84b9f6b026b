"""The data card: numbers of a prepared set, and images that show what is in it.

data_card.json   `CardNumbers`
data_card.npz    `mean_image` (C, H, W) of the training split, pixels in [0, 1]; `samples` (rows, `N_COLUMNS`),
                 indices of training images, -1 where a row has fewer: a row a class, any images without labels
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from autoencoders.data.arrays import images_per_block
from autoencoders.data.prepared import SPLITS, DatasetInfo, PreparedData
from autoencoders.errors import UserError
from autoencoders.files.reading import damage_named, open_file, read_npz

CARD_CONTENTS = ("data_card.json", "data_card.npz", "data_card.png")  # the last in earlier versions
N_COLUMNS = 12
MAX_ROWS = 62
"""The most classes of which images are shown."""
N_ROWS_WITHOUT_LABELS = 10


@dataclass(frozen=True)
class CardNumbers:
    """The contents of `data_card.json`; mean and standard deviation are of each channel over the training split."""

    name: str
    shape: tuple[int, int, int]
    counts: dict[str, int]
    class_counts: dict[str, dict[str, int]] | None
    """Images of each class, in label order, by split; None where the set has no labels."""
    pixel_mean: list[float]
    pixel_std: list[float]
    content_hash: str
    unreadable: int = 0
    """Files left out."""
    several_pictures: int | None = None
    """Files of which only the first picture is taken."""
    full_scale: int | None = None
    """The value that is white in files of 16 bits."""
    fit: str | None = None
    """How files of another aspect ratio were brought to the shape: pad, crop or stretch; None in named sets."""
    padded: int | None = None
    """Files of another aspect ratio that got a border."""
    cropped: int | None = None
    """Files of another aspect ratio of which the middle is left."""
    stretched: int | None = None
    """Files of another aspect ratio whose sides were scaled differently."""
    in_no_subfolder: str | None = None
    """Examples of images because of which there are no classes."""
    exact_copies: int = 0
    """Images with the pixels of an earlier one."""
    near_copies: int = 0
    """Images that are near copies of an earlier one (`duplicates.py`)."""
    copies_across_splits: int | None = None
    """Images of val and test with a copy in an earlier split, where there are copies."""
    copies_across_by_chance: int | None = None
    """The same if copies were shuffled like other images, where splits were made with regard to them."""


@dataclass(frozen=True)
class DataCard:
    """What the figure shows."""

    info: DatasetInfo
    numbers: CardNumbers
    mean_image: NDArray[np.float64]
    """(C, H, W)."""
    samples: list[NDArray[np.uint8]]
    """Rows of images (n, C, H, W)."""


def write_card(folder: Path, data: PreparedData, seed: int, remarks: Mapping[str, Any]) -> None:
    """Write the card of `data` to `folder`; `seed` chooses its images, `remarks` are numbers about odd files."""
    mean_image, mean, std = pixel_statistics(data)
    info = data.info
    numbers = CardNumbers(
        name=info.title,
        shape=info.shape,
        counts=info.counts,
        class_counts=_class_counts(data),
        pixel_mean=mean,
        pixel_std=std,
        content_hash=info.content_hash,
        **remarks,
    )
    found = {key: value for key, value in asdict(numbers).items() if value is not None or key == "class_counts"}
    text = json.dumps(found, indent=2, ensure_ascii=False)
    (folder / "data_card.json").write_text(f"{text}\n", encoding="utf-8")
    np.savez(folder / "data_card.npz", mean_image=mean_image, samples=choose_samples(data, seed))


def read_card(folder: Path, data: PreparedData) -> DataCard:
    """Return the card in `folder`; raise `UserError` where it is missing, damaged, or not that of `data`."""
    path, info, train = folder / "data_card.json", data.info, data.split("train")
    cure = "Run the `prepare` stage."
    with damage_named(path, cure), open_file(path) as file:
        numbers = TypeAdapter(CardNumbers).validate_json(file.read(), strict=True)
    path = folder / "data_card.npz"
    with damage_named(path, cure, Exception):
        stored = read_npz(path)
        mean_image, samples = stored["mean_image"], stored["samples"]
        fits = numbers.content_hash == info.content_hash and mean_image.shape == info.shape
        images = [train.images[row[row >= 0]] for row in samples] if fits else []
    if not fits:
        raise UserError(f"{folder} is of other data than {data.root} holds. {cure}")
    return DataCard(info, numbers, mean_image, images)


def pixel_statistics(data: PreparedData) -> tuple[NDArray[np.float64], list[float], list[float]]:
    """Return the mean training image (C, H, W), and mean and (population) standard deviation of each channel.

    Pixels are in [0, 1]. The images are read once, a block at a time.
    """
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
    return mean_image, mean.tolist(), std.tolist()


def _class_counts(data: PreparedData) -> dict[str, dict[str, int]] | None:
    classes = data.info.classes
    if classes is None:
        return None
    labels = {split: data.split(split).labels for split in SPLITS}
    counts = {split: np.bincount(found, minlength=len(classes)) for split, found in labels.items() if found is not None}
    return {split: dict(zip(classes, counted.tolist(), strict=True)) for split, counted in counts.items()}


def choose_samples(data: PreparedData, seed: int) -> NDArray[np.int64]:
    """Choose training images to show; return their indices as `data_card.npz` has them."""
    split = data.split("train")
    rng = np.random.default_rng(seed)
    if split.labels is None:
        order = rng.permutation(len(split.images))[: N_ROWS_WITHOUT_LABELS * N_COLUMNS]
        chosen = [order[start : start + N_COLUMNS] for start in range(0, len(order), N_COLUMNS)]
    else:
        classes = range(min(MAX_ROWS, len(data.info.classes or ())))
        chosen = [rng.permutation(np.flatnonzero(split.labels == label))[:N_COLUMNS] for label in classes]
    samples = np.full((len(chosen), N_COLUMNS), -1)
    for row, indices in zip(samples, chosen, strict=True):
        row[: len(indices)] = indices
    return samples
