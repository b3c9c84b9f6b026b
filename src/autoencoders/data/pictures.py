"""Image files for a trained model, which become what `prepare` made of those that it was trained on."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.batches import EVAL_BATCH
from autoencoders.data.decode import (
    MAX_FILE_BYTES,
    Picture,
    Remarks,
    bombs_refused,
    decode_picture,
    stored_shape,
    unreadable_because,
)
from autoencoders.data.folder import ENDINGS, find_images
from autoencoders.errors import UserError, counted, printable
from autoencoders.files.reading import DAMAGE, Fit, read_bytes, reason
from autoencoders.runtime.process import print_to_stderr
from autoencoders.runtime.threads import map_in_order

MAX_FILES_NAMED = 100
"""Files that a message names."""
REPAIR, CONVERT = "Repair it, or leave it out.", "Convert it, or leave it out."


@dataclass(frozen=True)
class Intake:
    """What a model takes, and how the images that it was trained on were made."""

    shape: tuple[int, int, int]
    """Channels, height, width."""
    any_size: bool
    """Whether files of any size and kind are brought to the shape; else they must have it."""
    fit: Fit
    full_scale: int
    """The value that is white in files of 16 bits."""


class _UnusableError(Exception):
    """Why the model cannot use a file, and what to do about it."""

    def __init__(self, reason: str, cure: str = "Name an image file.") -> None:
        super().__init__(reason)
        self.cure = cure


def list_pictures(paths: Iterable[Path]) -> list[Path]:
    """Return the files, and for each folder the images in it and its subfolders, sorted as in `prepare`.

    Raise `UserError` if a folder holds no image.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = find_images(path).images
        if not inside:
            raise UserError(f"{path} holds no images. Image files end in {ENDINGS}.")
        found += [path / name for name in inside]
    return found


def read_pictures(files: Sequence[Path], intake: Intake) -> Iterator[NDArray[np.uint8]]:
    """Yield image files as pixels (N, C, H, W), in blocks of at most `EVAL_BATCH`; they are decoded on all cores.

    After the last file, raise `UserError` that names all files that cannot be used; nothing is yielded after the first
    of them.
    """
    unusable: dict[Path, _UnusableError] = {}
    remarks = Remarks()
    for start in range(0, len(files), EVAL_BATCH):
        block = files[start : start + EVAL_BATCH]
        pixels = []
        with bombs_refused():
            for file, result in zip(block, map_in_order(lambda file: _read(file, intake), block), strict=True):
                if isinstance(result, _UnusableError):
                    unusable[file] = result
                elif not unusable:
                    remarks.note(file.as_posix(), result)
                    pixels.append(result.pixels)
        if not unusable:
            yield np.stack(pixels)
    if unusable:
        raise UserError(_unusable_message(unusable, len(files)))
    for line in remarks.lines(intake.full_scale):
        print_to_stderr(printable(line))


def _unusable_message(unusable: Mapping[Path, _UnusableError], files: int) -> str:
    """Return one line about the files that cannot be used; `files` is the number of all."""
    lines = [f"{file} {error}" for file, error in list(unusable.items())[:MAX_FILES_NAMED]]
    if len(unusable) == 1:
        return f"{lines[0]}. {next(iter(unusable.values())).cure}"
    more = f"; and {len(unusable) - MAX_FILES_NAMED:,} more" if len(unusable) > MAX_FILES_NAMED else ""
    cures = " ".join(dict.fromkeys(error.cure for error in unusable.values()))
    return f"{len(unusable):,} of {files:,} images cannot be used: {'; '.join(lines)}{more}. {cures}"


def _read(file: Path, intake: Intake) -> Picture | _UnusableError:
    shape = intake.shape
    try:
        str(file).encode()
        content = read_bytes(file, MAX_FILE_BYTES)
    except UnicodeEncodeError:
        return _UnusableError("has a name that is not UTF-8", "Rename it.")
    except DAMAGE as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({reason(error)})"
        return _UnusableError(why)
    try:
        if intake.any_size or (found := stored_shape(io.BytesIO(content))) == shape:
            return decode_picture(content, shape[1:], shape[0], intake.fit, lambda: intake.full_scale)
    except Exception as error:  # a decoder fed with broken bytes may raise anything
        return _UnusableError(f"cannot be read ({unreadable_because(error)})", REPAIR)
    return _UnusableError(f"is {_words(found)}; the model takes {_words(shape)}", CONVERT)


def _words(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{height}×{width} (height × width) with {counted(channels, 'channel')}"
