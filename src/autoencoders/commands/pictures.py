"""Pictures that a trained model draws, as files."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from PIL import Image
from torch import Tensor

from autoencoders.files.results import write_csv

MAX_NAME_BYTES = 150
"""Bytes of an image's name that the name of its picture keeps."""


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

    For paths in several folders, the names include the path below the common folder: from `pets/cat/1.jpg` and
    `pets/dog/1.jpg`, `0-cat-1.png` and `1-dog-1.png`.
    """
    digits = len(str(len(names) - 1))
    words = [_word(name) for name in _below_shared(names)]
    return [f"{i:0{digits}}{'-' if word else ''}{word}.png" for i, word in enumerate(words)]


def _below_shared(names: Sequence[str]) -> list[str]:
    """Return the paths below their common folder, without extensions."""
    paths = [PurePosixPath(name) for name in names]
    levels = zip(*{path.parent.parts for path in paths}, strict=False)
    shared = len(list(takewhile(lambda level: len(set(level)) == 1, levels)))
    return ["/".join([*path.parts[shared:-1], path.stem]) for path in paths]


def _word(name: str) -> str:
    """Return a path as part of a file's name, in any alphabet, at most `MAX_NAME_BYTES` long."""
    parts = [part for part in name.split("/") if part not in ("", "..")]
    plain = "".join(letter if letter.isprintable() else "_" for letter in "-".join(parts))
    return plain.encode()[-MAX_NAME_BYTES:].decode(errors="ignore")
