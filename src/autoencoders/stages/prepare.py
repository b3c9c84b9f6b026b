"""Prepare: original files or a folder of images to train, val and test arrays, and the data card."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoencoders.data.catalog import FOLDER, named_set
from autoencoders.data.decode import decode_all
from autoencoders.data.files import apart, gather, result_folder, scratch_folder
from autoencoders.data.folder import class_names, read_manifest
from autoencoders.data.named_sets import Part, read_part, unpack
from autoencoders.data.prepared import DatasetInfo, PreparedData, Split, write_prepared
from autoencoders.data.splits import shuffled, split_off_test, split_off_validation
from autoencoders.data.statistics import Statistics, sample_rows, statistics_of
from autoencoders.params import Params
from autoencoders.plots.data_card import data_card
from autoencoders.plots.style import save

CONTENTS = (
    "dataset.json",
    *(f"{split}/{name}.npy" for split in ("train", "val", "test") for name in ("images", "labels")),
)
CARD_CONTENTS = ("data_card.png", "data_card.json")


@dataclass(frozen=True)
class _Built:
    splits: dict[str, Split]
    classes: list[str] | None
    unreadable: int = 0
    """Images left out."""


def prepare(params: Params, *, raw: Path, out: Path, card: Path) -> None:
    """Write the prepared data of `raw` to `out`, and `data_card.png` and `data_card.json` to `card`.

    Raises `UserError` where `raw` is not what the download stage leaves, too many images cannot be read, or a
    split would be empty. Both folders appear whole or not at all.
    """
    apart(raw, out, card)
    with (
        result_folder(card, CARD_CONTENTS) as card_draft,
        result_folder(out, CONTENTS) as draft,
        scratch_folder(out) as scratch,
    ):
        own = params.data.name == FOLDER
        built = (_from_folder if own else _from_named_set)(params, raw, scratch)
        folder = Path(params.data.folder).resolve().name if own else ""
        write_prepared(draft, params.data.name, built.splits, built.classes, folder)
        _write_card(PreparedData(draft), card_draft, params.prepare.seed, built.unreadable)
    info = PreparedData(out).info
    print(f"{info.title}: {', '.join(f'{split} {count:,}' for split, count in info.counts.items())}, {info.shape}")


def _from_named_set(params: Params, raw: Path, scratch: Path) -> _Built:
    """The official test part stays the test split, in its own order."""
    entry = named_set(params.data.name)
    unpack(entry, raw, scratch)
    splits = {}
    part = read_part(entry, scratch, "train")
    pool = shuffled(len(part.images), params.prepare.seed)
    train, val = split_off_validation(pool, params.prepare.validation)
    for name, order in (("train", train), ("val", val)):
        splits[name] = Split(gather(scratch / f"{name}.u8", part.images, order), part.labels[order])
    classes = part.classes
    del part  # one part in memory at a time
    splits["test"] = _in_order(read_part(entry, scratch, "test"), scratch)
    return _Built(splits, classes)


def _in_order(part: Part, scratch: Path) -> Split:
    return Split(gather(scratch / "test.u8", part.images, np.arange(len(part.images))), part.labels)


def _from_folder(params: Params, raw: Path, scratch: Path) -> _Built:
    """All splits come from one shuffle of the readable images."""
    data, settings = params.data, params.prepare
    size = (data.image_size, data.image_size) if isinstance(data.image_size, int) else data.image_size
    decoded = decode_all(
        Path(data.folder),
        read_manifest(raw / "manifest.csv"),
        scratch / "all.u8",
        size,
        data.channels,
        data.max_unreadable,
    )
    classes = class_names(decoded.paths)
    labels = None
    if classes is not None:
        number = {name: label for label, name in enumerate(classes)}
        labels = np.array([number[path.partition("/")[0]] for path in decoded.paths], np.int64)
    pool, test = split_off_test(shuffled(len(decoded.images), settings.seed), settings.test)
    train, val = split_off_validation(pool, settings.validation)
    splits = {
        name: Split(gather(scratch / f"{name}.u8", decoded.images, order), None if labels is None else labels[order])
        for name, order in (("train", train), ("val", val), ("test", test))
    }
    return _Built(splits, classes, len(decoded.unreadable))


def _write_card(data: PreparedData, folder: Path, seed: int, unreadable: int) -> None:
    statistics = statistics_of(data)
    figure = data_card(data.info, statistics, sample_rows(data, seed))
    save(figure, folder / "data_card.png")
    numbers = {**_card_numbers(data.info, statistics), "unreadable": unreadable}
    text = json.dumps(numbers, indent=2, ensure_ascii=False)
    (folder / "data_card.json").write_text(text + "\n", encoding="utf-8")


def _card_numbers(info: DatasetInfo, statistics: Statistics) -> dict[str, object]:
    """The numbers of the card; pixels in [0, 1], mean and std per channel over the training split."""
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
