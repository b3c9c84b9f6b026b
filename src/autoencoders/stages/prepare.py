"""Turn original files or a folder of images into arrays for training, validation and testing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autoencoders.data.card import CARD_CONTENTS, write_card
from autoencoders.data.catalog import CATALOG, FOLDER
from autoencoders.data.decode_folder import Decoded, decode_all
from autoencoders.data.folder import class_names, images_without_class, read_manifest
from autoencoders.data.named_sets import read_part, unpack
from autoencoders.data.prepared import SPLITS, PreparedData, Split, write_prepared
from autoencoders.data.splits import shuffled, split_off_test, split_off_validation, take
from autoencoders.errors import printable
from autoencoders.files.reading import Fit, FullScale
from autoencoders.files.results import apart, result_folder, scratch_folder
from autoencoders.params import Params

CONTENTS = (
    "dataset.json",
    *(f"{split}/{name}.npy" for split in SPLITS for name in ("images", "labels")),
    *(f"components/{name}.npy" for name in ("mean", "directions", "variances")),
)


@dataclass(frozen=True)
class _Images:
    splits: dict[str, Split]
    classes: list[str] | None
    full_scale: FullScale | None = None
    """The value of white in 16-bit images."""
    fit: Fit | None = None
    """How files of another aspect ratio were brought to one size."""
    remarks: Mapping[str, int | str | None] = field(default_factory=dict)
    """What the data card shows about unusual files."""


def prepare(params: Params, *, raw: Path, out: Path, card: Path) -> None:
    """Write the prepared data of `raw` to `out`, and the numbers of the data card to `card`.

    Raise `UserError` where `raw` is not what the download stage leaves, too many images cannot be read, or a
    split would be empty. Both folders appear whole or not at all.
    """
    apart(raw, out, card)
    with (
        result_folder(card, CARD_CONTENTS) as card_draft,
        result_folder(out, CONTENTS) as draft,
        scratch_folder(out) as scratch,
    ):
        own = params.data.name == FOLDER
        images = (_from_folder if own else _from_named_set)(params, raw, scratch)
        folder = Path(params.data.folder).resolve().name if own else ""
        write_prepared(draft, params.data.name, images.splits, images.classes, folder, images.full_scale, images.fit)
        write_card(card_draft, PreparedData(draft), params.prepare.seed, images.remarks)
    info = PreparedData(out).info
    counts = ", ".join(f"{split} {count:,}" for split, count in info.counts.items())
    print(printable(f"{info.title}: {counts}, {info.shape}"))


def _from_named_set(params: Params, raw: Path, scratch: Path) -> _Images:
    """Split the official training part; the official test part is the test split, in its order."""
    entry = CATALOG[params.data.name]
    unpack(entry, raw, scratch)
    part = read_part(entry, scratch, "train")
    train, val = split_off_validation(shuffled(len(part.images), params.prepare.seed), params.prepare.validation)
    splits = take(part.images, part.labels, {"train": train, "val": val}, scratch)
    classes = part.classes
    del part  # one part in memory at a time
    part = read_part(entry, scratch, "test")
    splits |= take(part.images, part.labels, {"test": np.arange(len(part.images))}, scratch)
    return _Images(splits, classes)


def _from_folder(params: Params, raw: Path, scratch: Path) -> _Images:
    """Split the readable images by one shuffle."""
    data, settings = params.data, params.prepare
    folder, manifest = Path(data.folder), read_manifest(raw / "manifest.csv")
    size = (data.image_size, data.image_size) if isinstance(data.image_size, int) else data.image_size
    decoded = decode_all(folder, manifest, scratch / "all.u8", size, data.channels, data.max_unreadable, data.fit)
    classes = class_names(decoded.paths)
    labels = None
    if classes is not None:
        number = {name: label for label, name in enumerate(classes)}
        labels = np.array([number[path.partition("/")[0]] for path in decoded.paths], np.int64)
    pool, test = split_off_test(shuffled(len(decoded.images), settings.seed), settings.test)
    train, val = split_off_validation(pool, settings.validation)
    splits = take(decoded.images, labels, {"train": train, "val": val, "test": test}, scratch)
    return _Images(splits, classes, decoded.full_scale, data.fit, _remarks(folder, decoded, data.fit))


def _remarks(folder: Path, decoded: Decoded, fit: Fit) -> dict[str, int | str | None]:
    """Return what the data card shows about unusual files; print why there are no classes."""
    remarks: dict[str, int | str | None] = {
        "unreadable": len(decoded.unreadable),
        "several_pictures": len(decoded.several) or None,
        "full_scale": decoded.full_scale,
        "fit": fit,
        {"pad": "padded", "crop": "cropped", "stretch": "stretched"}[fit]: decoded.fitted or None,
    }
    if strays := images_without_class(decoded.paths):
        examples = f"{', '.join(strays[:3])}{', …' if len(strays) > 3 else ''}"
        remarks["in_no_subfolder"] = examples
        verb = "are" if len(strays) > 1 else "is"
        found = f"{len(strays)} of {len(decoded.paths)} images ({examples}) {verb} in no subfolder"
        cure = f"For the subfolders of {folder} to be classes, move every image into one of them, or out of {folder}."
        print(printable(f"no class labels: {found}. {cure}"))
    return remarks
