"""Check that a run can begin, and say what it will train and about how long it will take."""

import os
from contextlib import suppress
from pathlib import Path

from autoencoders.data.catalog import CATALOG, FOLDER
from autoencoders.data.decode import MAX_FILE_BYTES, bombs_refused, stored_shape
from autoencoders.data.decode_folder import common_size
from autoencoders.data.folder import scan
from autoencoders.data.survey import sample_of
from autoencoders.errors import UserError
from autoencoders.files.reading import read_bytes
from autoencoders.params import KINDS, Data, Params
from autoencoders.tracking import require_store

HEADERS = 100
"""Files of a folder that are looked at."""


def check(params: Params) -> None:
    """Check params.yaml, the folder of the user's own images, and MLflow, before DVC reads them.

    If a model is missing in params.yaml, DVC would report an error in its templates. If the folder holds a pipe, DVC
    would wait forever. Print what will be trained, and about how long a whole run takes. Raise `UserError` if something
    is wrong.
    """
    folder, images = Path(params.data.folder), []
    if params.data.name == FOLDER:
        images = scan(folder).images
    for place, _, files in os.walk(folder):
        for name in files:
            if not (Path(place) / name).is_file():
                raise UserError(f"{Path(place) / name} is a link to nothing, a pipe or a socket. Remove it.")
    shape = _expected_shape(params.data, images)
    require_store(params.tracking.experiment)
    lines = _duration(params, shape)
    print(f"params.yaml is in order: {params.data.name}; models {', '.join(params.models)}")
    print("\n".join(lines))


def _expected_shape(data: Data, images: list[str]) -> tuple[int, int, int]:
    """Return channels, height and width of the images; of a folder's, by the headers of some files."""
    if data.name != FOLDER:
        return CATALOG[data.name].shape
    folder, sample, shapes = Path(data.folder), sample_of(images, HEADERS), []
    for path in sample:
        with suppress(Exception), bombs_refused():  # broken bytes may raise anything
            shapes.append(stored_shape(read_bytes(folder / path, MAX_FILE_BYTES)))
    if not shapes:
        raise UserError(f"data.folder: none of the images in {folder} can be read ({len(sample):,} were tried).")
    size = data.image_size or common_size([shape[1:] for shape in shapes])
    height, width = (size, size) if isinstance(size, int) else size
    return data.channels or max(shape[0] for shape in shapes), height, width


def _duration(params: Params, shape: tuple[int, int, int]) -> list[str]:
    """Return lines that say what will be trained, and about how long all takes."""
    from autoencoders.stages.duration import other_seconds, training_seconds  # torch, which takes seconds to import
    from autoencoders.training.device import describe, resolve_device

    device = resolve_device(params.device)
    trainings = training_seconds(params, shape, device)
    channels, height, width = shape
    lines = [f"images of {height}×{width} (height × width), {'grey' if channels == 1 else 'colour'}"]
    for name, seconds in trainings.items():
        entry, settings = params.models[name], params.training_of(name)
        line = f"  {name}: {KINDS[entry.kind].label}, {entry.latent} numbers for an image"
        steps = f", {settings.steps:,} steps of up to {settings.batch_size:,} images, about {_rounded(seconds)}"
        lines.append(line + (steps if entry.trained_in_steps else ""))
    total = sum(trainings.values()) + other_seconds(params.models)
    return [
        *lines,
        f"A run from the start takes about {_rounded(total)} ({describe(device)}), if nothing else runs here.",
    ]


def _rounded(seconds: float) -> str:
    """Return a duration in one unit."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return f"{round(seconds / length):,} {unit}s"
    return f"{max(1, round(seconds)):,} seconds" if seconds < 60 else "1 minute"
