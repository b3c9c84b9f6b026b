"""Image files for a trained model, and those that it draws."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from autoencoders.data.batches import EVAL_BATCH
from autoencoders.data.decode import (
    MAX_FILE_BYTES,
    Remarks,
    bombs_refused,
    decode_picture,
    stored_shape,
    unreadable_because,
)
from autoencoders.data.folder import ENDINGS, find_images
from autoencoders.errors import UserError, printable
from autoencoders.files.reading import DAMAGE, read_bytes, reason
from autoencoders.files.results import write_csv
from autoencoders.inference import TrainedModel
from autoencoders.runtime.process import print_to_stderr

MAX_FILES_NAMED = 100
"""The most files that one message names."""
MAX_NAME_BYTES = 150
"""The most bytes of an image's name in that of a picture."""
REPAIR, CONVERT = "Repair it, or leave it out.", "Convert it, or leave it out."


class _UnusableError(Exception):
    """Why the model cannot use a file, and what to do about it."""

    def __init__(self, reason: str, cure: str = "Name image files, or folders of them.") -> None:
        super().__init__(reason)
        self.cure = cure


def list_pictures(paths: Iterable[Path]) -> list[Path]:
    """Return files as they are given, and in place of a folder the images beneath it, by name, as `prepare` finds them.

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


def read_pictures(files: Sequence[Path], model: TrainedModel) -> Iterator[Tensor]:
    """Yield image files as floats (N, C, H, W) in [0, 1], as `model` takes them, in blocks of at most `EVAL_BATCH`.

    If the model was trained on a folder of images, they are scaled and cropped as `prepare` did. For other models,
    they must have its size and number of channels. After the last file, raise `UserError` that names all files that
    cannot be used; nothing is yielded after the first of them.
    """
    unusable: dict[Path, _UnusableError] = {}
    remarks = Remarks()
    for start in range(0, len(files), EVAL_BATCH):
        pixels = []
        with bombs_refused():
            for file in files[start : start + EVAL_BATCH]:
                try:
                    pixels.append(_read(file, model, remarks))
                except _UnusableError as error:
                    unusable[file] = error
        if not unusable:
            yield torch.from_numpy(np.stack(pixels)).float() / 255
    if unusable:
        raise UserError(_unusable_message(unusable, len(files)))
    for line in remarks.lines(model.full_scale):
        print_to_stderr(printable(line))


def _unusable_message(unusable: Mapping[Path, _UnusableError], files: int) -> str:
    """Return one line about the files that cannot be used; `files` is the number of all."""
    lines = [f"{file} {error}" for file, error in list(unusable.items())[:MAX_FILES_NAMED]]
    if len(unusable) == 1:
        return f"{lines[0]}. {next(iter(unusable.values())).cure}"
    more = f"; and {len(unusable) - MAX_FILES_NAMED:,} more" if len(unusable) > MAX_FILES_NAMED else ""
    cures = " ".join(dict.fromkeys(error.cure for error in unusable.values()))
    return f"{len(unusable):,} of {files:,} images cannot be used: {'; '.join(lines)}{more}. {cures}"


def write_picture(path: Path, image: Tensor) -> None:
    """Write an image (C, H, W) in [0, 1], C 1 or 3, as an 8-bit PNG."""
    pixels = (image * 255).round().byte().numpy()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path, "PNG")


def write_list(folder: Path, pictures: Sequence[str], images: Sequence[str]) -> None:
    """Write to `folder` which picture was made from which image: equal names of images may be in several folders."""
    rows = [{"picture": picture, "image": image} for picture, image in zip(pictures, images, strict=True)]
    write_csv(folder / "pictures.csv", rows)


def numbered(names: Sequence[str]) -> list[str]:
    """Return names of files that differ and sort in this order: from `cat.jpg`, the eighth of twenty, `07-cat.png`.

    Of paths in several folders they have what follows the folder that all are in: from `pets/cat/1.jpg` and
    `pets/dog/1.jpg`, `0-cat-1.png` and `1-dog-1.png`.
    """
    digits = len(str(len(names) - 1))
    words = [_word(name) for name in _below_shared(names)]
    return [f"{i:0{digits}}{'-' if word else ''}{word}.png" for i, word in enumerate(words)]


def _below_shared(names: Sequence[str]) -> list[str]:
    """Return paths without the folder that all are in, and without their endings."""
    paths = [PurePosixPath(name) for name in names]
    levels = zip(*{path.parent.parts for path in paths}, strict=False)
    shared = len(list(takewhile(lambda level: len(set(level)) == 1, levels)))
    return ["/".join([*path.parts[shared:-1], path.stem]) for path in paths]


def _word(name: str) -> str:
    """Return a path as part of a file's name, in any alphabet, at most `MAX_NAME_BYTES` long."""
    parts = [part for part in name.split("/") if part not in ("", "..")]
    plain = "".join(letter if letter.isprintable() else "_" for letter in "-".join(parts))
    return plain.encode()[-MAX_NAME_BYTES:].decode(errors="ignore")


def _read(file: Path, model: TrainedModel, remarks: Remarks) -> NDArray[np.uint8]:
    shape = model.shape
    try:
        str(file).encode()
        content = read_bytes(file, MAX_FILE_BYTES)
    except UnicodeEncodeError:
        raise _UnusableError("has a name that is not UTF-8", "Rename it.") from None
    except DAMAGE as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({reason(error)})"
        raise _UnusableError(why) from None
    try:
        found = stored_shape(content)
        if found == shape or model.takes_any_size:
            picture = decode_picture(content, shape[1:], shape[0], lambda: model.full_scale)
            remarks.note(file.as_posix(), picture)
            return picture.pixels
    except Exception as error:  # a decoder fed with broken bytes may raise anything
        raise _UnusableError(f"cannot be read ({unreadable_because(error)})", REPAIR) from error
    raise _UnusableError(f"is {_words(found)}; the model takes {_words(shape)}", CONVERT)


def _words(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{height}×{width} (height × width) with {channels} channel{'s' if channels > 1 else ''}"
