"""Turn original files or a folder of images into arrays for training, validation and testing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autoencoders.data.card import CARD_CONTENTS, write_card
from autoencoders.data.catalog import CATALOG, FOLDER
from autoencoders.data.decode_folder import FITTED, Decoded, decode_all
from autoencoders.data.duplicates import Copies, copies_of_earlier, find_copies
from autoencoders.data.folder import class_names, images_without_class, read_manifest
from autoencoders.data.named_sets import read_part, unpack
from autoencoders.data.prepared import SPLITS, PreparedData, Split, write_prepared
from autoencoders.data.roles import MASK, below_role
from autoencoders.data.splits import Order, shuffled, split_images, split_off_validation, take
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
    del part
    copies = find_copies(*(splits[name].images for name in SPLITS))
    ends = np.cumsum([len(splits[name].images) for name in SPLITS])
    numbers = dict(zip(SPLITS, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))
    across = _across(copies, numbers)
    _say_copies(copies, f"{across:,} across splits, which are left as published")
    return _Images(splits, classes, remarks=_copies_remarks(copies, across))


def _from_folder(params: Params, raw: Path, scratch: Path) -> _Images:
    """Split the readable images by their roles, or by one shuffle."""
    data, settings = params.data, params.prepare
    folder, manifest = Path(data.folder), read_manifest(raw / "manifest.csv")
    rows = [row for row in manifest if row.role != MASK]
    size = (data.image_size, data.image_size) if isinstance(data.image_size, int) else data.image_size
    decoded = decode_all(folder, rows, scratch / "all.u8", size, data.channels, data.max_unreadable, data.fit)
    role_of = {row.path: row.role for row in rows}
    roles = [role_of[path] for path in decoded.paths]
    below = [below_role(path, role) for path, role in zip(decoded.paths, roles, strict=True)]
    classes = class_names(below)
    labels = None
    if classes is not None:
        number = {name: label for label, name in enumerate(classes)}
        labels = np.array([number[path.partition("/")[0]] for path in below], np.int64)
    copies = find_copies(decoded.images)
    numbers, by_chance = split_images(roles, copies.groups, settings.seed, settings.validation, settings.test)
    across, before = _across(copies, numbers), _across(copies, by_chance)
    instead = f" ({before:,} if shuffled like others)" if before != across else ""
    _say_copies(copies, f"{across:,} across splits{instead}")
    _say_leaks(decoded.paths, copies, numbers)
    splits = take(decoded.images, labels, numbers, scratch)
    remarks = _remarks(folder, decoded, data.fit, below) | _copies_remarks(copies, across, before)
    return _Images(splits, classes, decoded.full_scale, data.fit, remarks)


def _across(copies: Copies, numbers: Mapping[str, Order]) -> int:
    """Return how many images for validation or testing have a copy in an earlier split."""
    return len(copies_of_earlier(copies.groups, *(numbers[name] for name in SPLITS)))


def _say_copies(copies: Copies, across: str) -> None:
    some = copies.exact + copies.near > 0
    parts = [f"{copies.exact:,} exact, {copies.near:,} near; {across}" if some else "none"]
    if copies.flat:
        parts.append(f"{copies.flat:,} images of one grey level count as none")
    if copies.alike:
        parts.append(f"{copies.alike:,} images are too much alike to tell near copies among them")
    print(f"copies among {len(copies.groups):,} images: {'; '.join(parts)}", flush=True)


def _say_leaks(paths: list[str], copies: Copies, numbers: Mapping[str, Order]) -> None:
    """Name the test images with a copy in another split, and it: where the user has given the roles, these are kept."""
    pool = np.concatenate([numbers["train"], numbers["val"]])
    leaked = copies_of_earlier(copies.groups, pool, numbers["test"])
    if not len(leaked):
        return
    source = dict(zip(copies.groups[pool].tolist(), pool.tolist(), strict=True))
    shown = sorted((paths[number], paths[source[int(copies.groups[number])]]) for number in leaked)
    examples = ", ".join(f"{path} (of {original})" for path, original in shown[:3])
    found = f"{len(leaked):,} of {len(numbers['test']):,} test images are copies of images outside the test split"
    more = ", …" if len(shown) > 3 else ""
    print(printable(f"{found}: {examples}{more}. Remove one of each pair: the roles of folders are kept."), flush=True)


def _copies_remarks(copies: Copies, across: int, before: int | None = None) -> dict[str, int | str | None]:
    if not copies.exact + copies.near:
        return {"exact_copies": 0, "near_copies": 0}
    return {
        "exact_copies": copies.exact,
        "near_copies": copies.near,
        "copies_across_splits": across,
        "copies_across_by_chance": before,
    }


def _remarks(folder: Path, decoded: Decoded, fit: Fit, below: list[str]) -> dict[str, int | str | None]:
    """Return what the data card shows about unusual files; print why there are no classes.

    `below` are the paths of the images within the folder of their role.
    """
    remarks: dict[str, int | str | None] = {
        "unreadable": len(decoded.unreadable),
        "several_pictures": len(decoded.several) or None,
        "full_scale": decoded.full_scale,
        "fit": fit,
        FITTED[fit]: decoded.fitted or None,
    }
    without = set(images_without_class(below))
    if strays := [path for path, within in zip(decoded.paths, below, strict=True) if within in without]:
        examples = f"{', '.join(strays[:3])}{', …' if len(strays) > 3 else ''}"
        remarks["in_no_subfolder"] = examples
        verb = "are" if len(strays) > 1 else "is"
        found = f"{len(strays)} of {len(decoded.paths)} images ({examples}) {verb} in no subfolder"
        found += " of their role" if below != decoded.paths else ""
        cure = f"For the subfolders of {folder} to be classes, move every image into one of them, or out of {folder}."
        print(printable(f"no class labels: {found}. {cure}"))
    return remarks
