"""Settings of params.yaml that suit a folder of images, and why: what `init` writes."""

import os
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from autoencoders.data.catalog import FOLDER
from autoencoders.data.decode import list_files
from autoencoders.data.decode_folder import FEW, describe_sides, list_unreadable
from autoencoders.data.folder import class_names, images_without_class
from autoencoders.data.splits import split_images
from autoencoders.data.survey import MAX_SIDE, Survey
from autoencoders.errors import UserError, counted
from autoencoders.params import Data, ModelParams, Params, Vae

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
SHARES, SHARES_OF_FEW = ((0.1, 0.15),), ((0.2, 0.2), (0.3, 0.3), (0.4, 0.4))
"""Shares for validation and for testing; the first two are taken that leave enough images to each split."""


def choose(folder: Path, seen: Survey, params: Params) -> Changes:
    """Return what to change in params.yaml, which holds `params`, for the images that were `seen` in `folder`.

    Raise `UserError` where they are too few.
    """
    place = Path(os.path.abspath(folder))  # noqa: PTH100  # resolve() would follow a link in the repository
    inside = place.is_relative_to(Path.cwd())
    channels = _channels(seen)
    shares, training = _shares(seen, params.prepare.seed)
    return {
        "data.name": (FOLDER, f"`autoencoders init {folder}` wrote lines like this one. {_summary(seen, params.data)}"),
        "data.folder": ((place.relative_to(Path.cwd()) if inside else place).as_posix(), ""),
        "data.image_size": _image_size(seen),
        "data.fit": _fit(seen),
        "data.channels": channels,
        **shares,
        **_models(seen, prod(seen.size) * channels[0], training, params.models),
    }


def _summary(seen: Survey, data: Data) -> str:
    """Return what is in the folder, and what is odd about it."""
    parts = [f"the folder holds {counted(len(seen.images), 'image')}"]
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
        parts.append(f"no classes, since {list_files(strays)} {_are(strays)} in no subfolder")
    if seen.unreadable:
        parts.append(f"{counted(len(seen.unreadable), 'file')} cannot be read: {list_unreadable(seen.unreadable)}")
    if len(seen.unreadable) > data.max_unreadable * len(seen.sample):
        above = f"this is a larger share than data.max_unreadable ({data.max_unreadable}), so `prepare` refuses to run"
        parts.append(f"{above}: repair or remove them, or raise it")
    if copies := seen.copies.exact + seen.copies.near:
        parts.append(f"exact and near copies: {copies:,}; each stays in the split of its original")
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
        sides = describe_sides(seen.sizes)
        before = f"{sides[0].upper()}{sides[1:]}, and this is the median aspect ratio"
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
        return "crop", f"With pad, {100 * border:.0f} % of an average image would be a border, which models learn."
    return "pad", f"Images of another aspect ratio get a border: {100 * border:.0f} % of an average image."


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


def _shares(seen: Survey, seed: int) -> tuple[Changes, int]:
    """Return the shares of images that are held out, and how many images are left to train on.

    None is given where the user has sorted the images. Raise `UserError` where `prepare` would, with any share.
    """
    by_path, small = seen.found.roles.by_path, len(seen.images) < SMALL
    paths, groups, parts = seen.readable, seen.copies.groups, len(seen.images) / len(seen.sample)
    if by_path and parts > 1:  # those that were looked at may lack a role
        paths, groups, parts = seen.images, np.arange(len(seen.images)), 1
    roles = [by_path.get(path, "") for path in paths]
    options = SHARES_OF_FEW if small else SHARES
    for validation, test in options:
        try:
            splits, _ = split_images(roles, groups, seed, validation, test)
            break
        except UserError:
            if (validation, test) == options[-1]:
                raise
    changes: Changes = {}
    if "val" not in roles:
        few, many = "Of few images, a smaller share says little.", "A tenth is enough to choose the best weights by."
        changes["prepare.validation"] = (validation, few if small else many)
    if "test" not in roles:
        changes["prepare.test"] = (test, f"About {round(parts * len(splits['test'])):,} images.")
    return changes, round(parts * len(splits["train"]))


def _models(seen: Survey, values: int, training: int, models: Mapping[str, ModelParams]) -> Changes:
    """Return what differs in the entries of `models`, for so many images of `training`, of so many `values` (C·H·W)."""
    share = f"{100 * seen.black_or_white:.0f} % of all values are nearly black or white"
    if not _is_drawn(seen):
        likelihood, reason = "gaussian", f"Only {share}: these are photographs. This begins as PCA."
    elif values > MAX_DRAWN_VALUES:
        likelihood, reason = "gaussian", f"Of {values:,} values of an image, bernoulli would be slow."
    else:
        likelihood, reason = "bernoulli", f"{share}: these are drawings."
    most, kind = (LATENT, "drawings") if _is_drawn(seen) else (LATENT_OF_PHOTOGRAPHS, "photographs")
    tenth = training // IMAGES_PER_DIMENSION
    latent = max(MIN_LATENT, min(most, tenth, values))
    reasons = {
        values: "As many as an image has values.",
        tenth: f"A tenth of the {training:,} training images.",
        most: f"Enough for {kind} of this size.",
    }
    why = reasons.get(latent, f"The least: a tenth of the {training:,} training images is fewer.")
    changes: Changes = {}
    for name, entry in models.items():
        if entry.latent > 2:  # those with two can be drawn as a plane
            changes[f"models.{name}.latent"], why = (latent, why), ""  # a reason is said once
        if isinstance(entry, Vae) and entry.likelihood != "logistic":
            changes[f"models.{name}.likelihood"], reason = (likelihood, reason), ""
    return changes


def _is_drawn(seen: Survey) -> bool:
    return seen.black_or_white >= DRAWN


def _are(files: list[str]) -> str:
    return "is" if len(files) == 1 else "are"
