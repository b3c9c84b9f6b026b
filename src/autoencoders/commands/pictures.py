"""Image files that somebody gives to a trained model, and those that it draws."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from autoencoders.api import BLOCK, TrainedModel
from autoencoders.data.decode import Remarks, bombs_refused, decode_picture, stored_shape, unreadable_because
from autoencoders.data.folder import ENDINGS, find_images
from autoencoders.errors import UserError
from autoencoders.process import tell


def list_pictures(paths: Iterable[Path]) -> list[Path]:
    """Return files as they are given, and in place of a folder the images beneath it, by name, as `prepare` finds them.

    Raises `UserError` where a path does not exist or a folder holds no image.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise UserError(f"{path} does not exist. Name image files, or folders of them.")
            found.append(path)
            continue
        inside = find_images(path).images
        if not inside:
            raise UserError(f"{path} holds no images. Image files end in {ENDINGS}.")
        found += [path / name for name in inside]
    return found


def read_pictures(files: Sequence[Path], model: TrainedModel) -> Iterator[Tensor]:
    """Yield image files as floats (N, C, H, W) in [0, 1], as `model` takes them, in blocks of at most `BLOCK`.

    They are scaled and cropped as `prepare` did where the model was trained on a folder of images. Raises `UserError`
    where a file cannot be read or, for other models, has another size or number of channels.
    """
    remarks = Remarks()
    for start in range(0, len(files), BLOCK):
        with bombs_refused():
            pixels = [_read(file, model, remarks) for file in files[start : start + BLOCK]]
        yield torch.from_numpy(np.stack(pixels)).float() / 255
    for line in remarks.lines(model.full_scale):
        tell(line)


def write_picture(path: Path, image: Tensor) -> None:
    """Write an image (C, H, W) in [0, 1], C 1 or 3, as an 8-bit PNG."""
    pixels = (image * 255).round().byte().numpy()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path, "PNG")


def numbered(names: Sequence[str]) -> list[str]:
    """Return names of files that differ and sort in this order: from `cat.jpg`, the eighth of twenty, `07-cat.png`."""
    digits = len(str(len(names) - 1))
    return [f"{i:0{digits}}{'-' if name else ''}{Path(name).stem}.png" for i, name in enumerate(names)]


def _read(file: Path, model: TrainedModel, remarks: Remarks) -> NDArray[np.uint8]:
    shape = model.shape
    if file.exists() and not file.is_file():  # opening a pipe would wait for its other end
        raise UserError(f"{file} is no file. Name an image file.")
    try:
        content = file.read_bytes()
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise UserError(f"{file} {reason}. Name an image file.") from None
    try:
        found = stored_shape(content)
        if found == shape or model.takes_any_size:
            picture = decode_picture(content, shape[1:], shape[0], lambda: model.full_scale)
            remarks.note(file.as_posix(), picture)
            return picture.pixels
    except Exception as error:  # a decoder fed with broken bytes may raise anything
        raise UserError(f"{file} cannot be read ({unreadable_because(error)}). Repair it, or leave it out.") from error
    raise UserError(f"{file} is {_words(found)}; the model takes {_words(shape)}. Convert it, or leave it out.")


def _words(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{height}×{width} (height × width) with {channels} channel{'s' if channels > 1 else ''}"
