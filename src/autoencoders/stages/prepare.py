"""Prepare: original files or a folder of images to train, val and test arrays, and the data card."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autoencoders.data.catalog import FOLDER, named_set
from autoencoders.data.decode_folder import Decoded, decode_all
from autoencoders.data.folder import class_names, read_manifest, strays
from autoencoders.data.named_sets import Part, read_part, unpack
from autoencoders.data.prepared import DatasetInfo, PreparedData, Split, write_prepared
from autoencoders.data.splits import shuffled, split_off_test, split_off_validation
from autoencoders.data.statistics import Statistics, sample_rows, statistics_of
from autoencoders.errors import printable
from autoencoders.files.results import apart, gather, result_folder, scratch_folder
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
    full_scale: int | None = None
    """Of images of 16 bits: the value that is white."""
    remarks: dict[str, int | str] = field(default_factory=dict)
    """What the data card says besides, where there is something to say."""
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
        write_prepared(draft, params.data.name, built.splits, built.classes, folder, built.full_scale)
        _write_card(PreparedData(draft), card_draft, params.prepare.seed, built)
    info = PreparedData(out).info
    counts = ", ".join(f"{split} {count:,}" for split, count in info.counts.items())
    print(printable(f"{info.title}: {counts}, {info.shape}"))


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
    remarks = _remarks(Path(data.folder), decoded)
    return _Built(splits, classes, decoded.full_scale, remarks, len(decoded.unreadable))


def _remarks(folder: Path, decoded: Decoded) -> dict[str, int | str]:
    """Return what the data card says of odd files, and say in the log what costs the classes."""
    remarks: dict[str, int | str] = {}
    if decoded.several:
        remarks["several_pictures"] = len(decoded.several)
    if decoded.full_scale:
        remarks["full_scale"] = decoded.full_scale
    if beside := strays(decoded.paths):
        shown = f"{', '.join(beside[:3])}{', …' if len(beside) > 3 else ''}"
        lie = "lie" if len(beside) > 1 else "lies"
        remarks["in_no_subfolder"] = shown
        what = f"{len(beside)} of {len(decoded.paths)} images ({shown}) {lie} in no subfolder"
        cure = f"For the subfolders of {folder} to be classes, move every image into one of them, or out of {folder}."
        print(printable(f"no class labels: {what}. {cure}"))
    return remarks


def _write_card(data: PreparedData, folder: Path, seed: int, built: _Built) -> None:
    statistics = statistics_of(data)
    figure = data_card(data.info, statistics, sample_rows(data, seed), _notes(built.remarks))
    save(figure, folder / "data_card.png")
    numbers = {**_card_numbers(data.info, statistics), "unreadable": built.unreadable, **built.remarks}
    text = json.dumps(numbers, indent=2, ensure_ascii=False)
    (folder / "data_card.json").write_text(text + "\n", encoding="utf-8")


def _notes(remarks: Mapping[str, int | str]) -> list[str]:
    """Return the remarks in words, for the figure."""
    words = {
        "several_pictures": "of {} files with several pictures the first is taken",
        "full_scale": "{} is white in files of 16 bits",
        "in_no_subfolder": "no classes: {} in no subfolder",
    }
    return [words[key].format(value) for key, value in remarks.items()]


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
