"""Check that a run can begin, and say what it will train and about how long it will take."""

import os
from pathlib import Path

import numpy as np

from autoencoders.data.catalog import CATALOG, FOLDER
from autoencoders.data.decode import bombs_refused
from autoencoders.data.decode_folder import check_share, common_size, list_unreadable, read_shapes
from autoencoders.data.folder import Scan, class_names, scan
from autoencoders.data.prepared import SPLITS
from autoencoders.data.roles import below_role
from autoencoders.data.splits import split_images
from autoencoders.data.survey import sample_of
from autoencoders.errors import UserError, counted, printable
from autoencoders.files.results import atomic_file, replaceable_file
from autoencoders.params import Params
from autoencoders.tracking import name_launched, require_store

IN_ORDER = "params.yaml is in order\n"
Shape = tuple[int, int, int]
"""Channels, height and width."""


def check(params: Params, *, out: Path | None = None) -> None:
    """Check params.yaml, your own images and MLflow, and say what will be trained.

    It prints the images and how they are split, each model, and about how long a whole run takes. Of your own images
    it reads the headers of up to 1,000. Nothing is trained.
    Raise `UserError` if something is wrong.
    """
    if out:
        replaceable_file(out, IN_ORDER.encode())
    folder = Path(params.data.folder)
    found = scan(folder) if params.data.name == FOLDER else None
    for place, _, files in os.walk(folder):
        for name in files:
            if not (Path(place) / name).is_file():
                raise UserError(f"{Path(place) / name} is a link to nothing, a pipe or a socket. Remove it.")
    shape, images = _describe_folder(params, found) if found else _describe_named_set(params)
    # torch takes seconds to import, mistakes are found before
    from autoencoders.stages.duration import build_models, describe_run

    if out:  # nobody reads the estimate
        build_models(params, shape)
        lines = []
    else:
        lines = [*images, *describe_run(params, shape)]
    require_store(params.tracking.experiment)
    if not out:  # as `mlflow run .` does first, and `-e check` does not
        name_launched("pipeline")
    in_order = f"params.yaml is in order: {params.data.name}; models {', '.join(params.models)}"
    print("\n".join([in_order, *map(printable, lines)]))
    if out:
        with atomic_file(out) as draft:
            draft.write_text(IN_ORDER, encoding="utf-8")


def _describe_named_set(params: Params) -> tuple[Shape, list[str]]:
    """Return the shape of the images of a named set, and a line about them."""
    shape, validation = CATALOG[params.data.name].shape, params.prepare.validation
    share = f"{validation:,}" if isinstance(validation, int) else f"{validation:g}"
    split = f"validation {share} of the training part, test as published"
    return shape, [f"{params.data.name}: images of {_describe_shape(shape)}; {split}"]


def _describe_folder(params: Params, found: Scan) -> tuple[Shape, list[str]]:
    """Return the shape that the images `found` in data.folder will have, and lines about them.

    At most 1,000 headers are read. Raise `UserError` where none can be read or too many cannot, or where a split would
    have too few images.
    """
    data, settings = params.data, params.prepare
    folder, images = Path(data.folder), found.without_masks
    sample = sample_of(images)
    with bombs_refused():
        shapes, unreadable = read_shapes(folder, sample)
    if not shapes:
        raise UserError(
            f"data.folder: none of the images in {folder} can be read: {list_unreadable(unreadable)}. Add others."
        )
    if len(sample) == len(images):
        check_share(folder, unreadable, len(images), data.max_unreadable)
    readable = [path for path in images if path not in unreadable]
    roles = [found.roles.by_path.get(path, "") for path in readable]
    numbers, _ = split_images(roles, np.arange(len(readable)), settings.seed, settings.validation, settings.test)
    classes = class_names([below_role(path, role) for path, role in zip(readable, roles, strict=True)])
    size = data.image_size or common_size([shape[1:] for shape in shapes])
    height, width = (size, size) if isinstance(size, int) else size
    shape = (data.channels or max(shape[0] for shape in shapes), height, width)
    parts = [
        f"{folder}: {counted(len(images), 'image')}, brought to {_describe_shape(shape)}",
        f"{len(classes)} classes" if classes else "no classes",
        ", ".join(f"{name} {len(numbers[name]):,}" for name in SPLITS),
    ]
    return shape, ["; ".join(parts), *filter(None, [found.roles.line])]


def _describe_shape(shape: Shape) -> str:
    channels, height, width = shape
    return f"{height}×{width} (height × width), {'grey' if channels == 1 else 'colour'}"
