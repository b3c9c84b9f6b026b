"""Settings of params.yaml that suit a folder of images, and why: what `init` writes."""

import os
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from statistics import fmean
from typing import Any

from autoencoders.data.catalog import FOLDER
from autoencoders.data.decode import list_files
from autoencoders.data.decode_folder import FEW
from autoencoders.data.duplicates import find_copies
from autoencoders.data.folder import class_names, images_without_class
from autoencoders.data.survey import MAX_SIDE, Survey
from autoencoders.params import ModelParams, Vae

Changes = dict[str, tuple[Any, str]]
"""New values by keys such as `data.name`, and the reason for each."""

MIN_IMAGES = 500
"""Images below which a set is called small."""
SMALL = 1000
"""Images below which more are held out."""
DRAWN = 0.8
"""Share of nearly black or white values from which on images count as drawings."""
MAX_DRAWN_VALUES = 4096
"""Values of an image (C·H·W) up to which a network of Bernoulli pixels is fast."""
MAX_BORDER = 0.15
"""Share of an average image that may become border."""
LATENT, LATENT_OF_PHOTOGRAPHS, MIN_LATENT = 16, 32, 4
IMAGES_PER_DIMENSION = 10
MAX_CLASSES_NAMED = 10


def choose(folder: Path, seen: Survey, models: Mapping[str, ModelParams]) -> Changes:
    """Return what to change in params.yaml, which has these `models`, for the images that were `seen` in `folder`."""
    place = Path(os.path.abspath(folder))  # noqa: PTH100  # resolve() would follow a link in the repository
    inside = place.is_relative_to(Path.cwd())
    channels = _channels(seen)
    return {
        "data.name": (FOLDER, f"`autoencoders init {folder}` wrote lines like this one. {_summary(seen)}"),
        "data.folder": ((place.relative_to(Path.cwd()) if inside else place).as_posix(), ""),
        "data.image_size": _image_size(seen),
        "data.fit": _fit(seen),
        "data.channels": channels,
        **_shares(seen),
        **_models(seen, prod(seen.size) * channels[0], models),
    }


def _summary(seen: Survey) -> str:
    """Return what is in the folder, and what is odd about it."""
    parts = [f"the folder holds {_counted(len(seen.images), 'image')}"]
    if len(seen.sample) < len(seen.images):
        parts[0] += f", of which {len(seen.sample):,} were looked at"
    if seen.found.roles.line:
        parts.append(seen.found.roles.line)
    below = [seen.of_role(role) for role in ("train", "test")] if seen.found.roles.by_path else [seen.images]
    if classes := class_names([path for part in below for path in part]):
        counts = Counter(path.partition("/")[0] for part in below for path in part)
        named = [f"{name} ({counts[name]:,})" for name in classes[:MAX_CLASSES_NAMED]]
        more = ["…"] if len(classes) > MAX_CLASSES_NAMED else []
        parts.append(f"{len(classes)} classes: {', '.join(named + more)}")
    elif strays := images_without_class(seen.images):
        parts.append(f"no classes, since {list_files(strays)} {'is' if len(strays) == 1 else 'are'} in no subfolder")
    if unreadable := len(seen.sample) - len(seen.pixels):
        parts.append(f"{_counted(unreadable, 'file')} cannot be read")
    copies = find_copies(seen.pixels)
    if copies.exact + copies.near:
        parts.append(f"{copies.exact + copies.near:,} are exact or near copies, which stay in one split")
    if len(seen.images) < MIN_IMAGES:
        parts.append(f"these are few: below {MIN_IMAGES}, networks may stay close to PCA")
    return " ".join(f"{part[0].upper()}{part[1:].rstrip('.')}." for part in parts)


def _image_size(seen: Survey) -> tuple[int | list[int], str]:
    height, width = seen.size
    value = height if height == width else [height, width]
    shorter = sorted(min(size) for size in seen.sizes)
    if set(seen.sizes) == {seen.size}:
        return value, "The size of all images (height × width)."
    if shorter[0] == shorter[-1] and len(set(seen.sizes)) == 1:
        before = "All images are {}×{} (height × width)".format(*seen.sizes[0])
    else:
        before = f"Shorter sides have {shorter[0]} to {shorter[-1]} pixels, and this is the median aspect ratio"
    if seen.has_defects:
        return value, f"{before}. Defects are small, so more pixels are kept than the usual {MAX_SIDE}."
    if shorter[len(shorter) // 2] > MAX_SIDE:
        return value, f"{before}. {MAX_SIDE} pixels keep what differs between images, and training stays fast."
    return value, f"{before}."


def _fit(seen: Survey) -> tuple[str, str]:
    ratio = seen.size[0] / seen.size[1]
    borders = [1 - min(ratio / own, own / ratio) for own in (height / width for height, width in seen.sizes)]
    border = fmean(borders)
    if border < 0.005:
        return "pad", "All images have nearly the same aspect ratio: hardly any gets a border."
    if border > MAX_BORDER and not seen.has_defects and not _is_drawn(seen):
        return "crop", f"With pad, {border:.0%} of an average image would be a border, which models would learn."
    return "pad", f"Images of another aspect ratio get a border: {border:.0%} of an average image."


def _channels(seen: Survey) -> tuple[int, str]:
    grey, coloured, total = seen.grey, seen.coloured, len(seen.pixels)
    if not coloured:
        return 1, "All images are grey."
    if not grey:
        return 3, "All images are in colour."
    if len(coloured) < FEW * total:
        found = f"Of {total:,} images, only {list_files(coloured)} {_are(coloured)} in colour"
        return 1, f"{found}: all become grey. Write 3 to keep the colours."
    if len(grey) < FEW * total:
        return 3, f"Of {total:,} images, only {list_files(grey)} {_are(grey)} grey."
    return 3, f"{len(grey):,} images are grey and {len(coloured):,} in colour."


def _shares(seen: Survey) -> Changes:
    """Return the shares of images that are held out, but for those whose role the user has given."""
    given, small = set(seen.found.roles.by_path.values()), len(seen.images) < SMALL
    changes: Changes = {}
    if "val" not in given and small:
        changes["prepare.validation"] = (0.2, "A fifth: of few images, a smaller share says little.")
    elif "val" not in given:
        changes["prepare.validation"] = (0.1, "A tenth is enough to choose the best weights by.")
    if "test" not in given:
        share = 0.2 if small else 0.15
        changes["prepare.test"] = (share, f"About {round(share * len(seen.images)):,} images.")
    return changes


def _models(seen: Survey, values: int, models: Mapping[str, ModelParams]) -> Changes:
    """Return what differs in the entries of `models`, for images of so many `values` (C·H·W)."""
    share = f"{seen.black_or_white:.0%} of all values are nearly black or white"
    if not _is_drawn(seen):
        likelihood, reason = "gaussian", f"Only {share}: these are photographs. This begins as PCA."
    elif values > MAX_DRAWN_VALUES:
        likelihood, reason = "gaussian", f"Of {values:,} values of an image, bernoulli would be slow."
    else:
        likelihood, reason = "bernoulli", f"{share}: these are drawings."
    training = len(seen.of_role("train"))
    most, kind = (LATENT, "drawings") if _is_drawn(seen) else (LATENT_OF_PHOTOGRAPHS, "photographs")
    latent = max(MIN_LATENT, min(most, training // IMAGES_PER_DIMENSION, values))
    why = f"Enough for {kind} of this size." if latent == most else f"A tenth of the {training:,} images."
    changes: Changes = {}
    for name, entry in models.items():
        if entry.latent > 2:  # those with two can be drawn as a plane
            changes[f"models.{name}.latent"], why = (latent, why), ""  # a reason is said once
        if isinstance(entry, Vae) and entry.likelihood != "logistic":
            changes[f"models.{name}.likelihood"], reason = (likelihood, reason), ""
    return changes


def _is_drawn(seen: Survey) -> bool:
    return seen.black_or_white >= DRAWN


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _are(files: list[str]) -> str:
    return "is" if len(files) == 1 else "are"
