"""Decode all images of a folder to one size. Every file is decoded once, those of 16 bits twice.

Files of 16 bits seldom use them all: cameras, X-rays and depth maps have 10, 12 or 14. All of a set get one scale, by
the largest value among them, so that their brightness stays comparable. It is kept with the set and its models.
"""

import hashlib
import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autoencoders.data.arrays import spool
from autoencoders.data.decode import (
    MAX_FILE_BYTES,
    Remarks,
    bombs_refused,
    decode_picture,
    open_image,
    sixteen_bits,
    unreadable_because,
    upright_size,
)
from autoencoders.data.folder import ManifestRow
from autoencoders.data.prepared import FULL_SCALE, FULL_SCALES
from autoencoders.errors import UserError, printable
from autoencoders.files.reading import MAX_SIDE, NOT_A_FILE, FullScale, open_file
from autoencoders.runtime.progress import progress

MAX_INFERRED_SIDE = 64


@dataclass(frozen=True)
class Decoded:
    """The readable images of a folder."""

    images: NDArray[np.uint8]
    """(N, C, H, W), a memory map."""
    paths: list[str]
    """The N files that they came from."""
    unreadable: dict[str, str]
    """The files left out, and why."""
    several: list[str]
    """Those of the N files that hold more than one picture."""
    full_scale: FullScale | None
    """The value that is white in files of 16 bits; None where there are none."""


def decode_all(
    folder: Path,
    rows: list[ManifestRow],
    spooled: Path,
    size: tuple[int, int] | None,
    channels: int | None,
    max_unreadable: float,
) -> Decoded:
    """Decode every image of `rows` into the file `spooled`; size (H, W) and channels are inferred where None.

    Raise `UserError` where an image changed since the manifest was written, or where more than the share
    `max_unreadable` of them cannot be read.
    """
    with bombs_refused():
        height, width = size or infer_size(folder, [row.path for row in rows])
        decoder = _Decoder(folder, [row.path for row in rows], (height, width), channels)
        images = spool(spooled, decoder.stream(rows), (channels or 3, height, width))
    _check_share(folder, decoder.unreadable, len(rows), max_unreadable)
    if channels is None:
        found = "every image is grey, so 1" if decoder.all_grey else "there are colour images, so 3"
        print(f"data.channels is not set: {found}")
        # all three channels of grey images are the same
        images = images[:, :1] if decoder.all_grey else images
    for line in decoder.remarks.lines(FULL_SCALE):
        print(printable(line))
    return Decoded(images, decoder.paths, decoder.unreadable, decoder.remarks.several, decoder.full_scale)


class _Decoder:
    """Decode one image after another, and record which could be read."""

    def __init__(self, folder: Path, every: list[str], size: tuple[int, int], channels: int | None) -> None:
        self._folder, self._every, self._size, self._channels = folder, every, size, channels
        self.all_grey = True
        self.paths: list[str] = []
        self.remarks = Remarks()
        self.unreadable: dict[str, str] = {}
        self.full_scale: FullScale | None = None

    def _white(self) -> int:
        if self.full_scale is None:  # the first file of 16 bits: all files are looked through
            self.full_scale = full_scale_of(self._folder, self._every)
        return self.full_scale

    def stream(self, rows: list[ManifestRow]) -> Iterator[NDArray[np.uint8]]:
        """Yield blocks (1, C, H, W), in order, leaving out what cannot be read."""
        for row in progress(rows, desc="decoding", unit="image", delay=2, leave=False):
            try:
                content = _content(self._folder / row.path, row)
                picture = decode_picture(content, self._size, self._channels or 3, self._white)
            except UserError:
                raise
            except Exception as error:  # a decoder fed with broken bytes may raise anything
                self.unreadable[row.path] = unreadable_because(error)
                continue
            image = picture.pixels
            if self._channels is None and self.all_grey:
                self.all_grey = bool((image == image[:1]).all())
            self.paths.append(row.path)
            self.remarks.note(row.path, picture)
            yield image[np.newaxis]


def full_scale_of(folder: Path, paths: Sequence[str]) -> FullScale:
    """Return the largest value of the smallest depth that holds all files of 16 bits, such as 4095 for 12 bits.

    Of the other files, only the headers are read.
    """
    largest, where = -1, ""
    for path in progress(paths, desc="16-bit images", unit="image", delay=2, leave=False):
        # what cannot be read here cannot be decoded either, and is counted there
        with suppress(Exception), open_file(folder / path) as file, open_image(file) as image:
            if image.mode.startswith("I") and (top := int(sixteen_bits(image).max())) > largest:
                largest, where = top, path
    white = next(scale for scale in FULL_SCALES if largest <= scale)
    bits = white.bit_length()
    print(f"16-bit images: the largest value is {largest:,} ({printable(where)}), so {white:,} ({bits} bits) is white")
    return white


def infer_size(folder: Path, paths: list[str]) -> tuple[int, int]:
    """Return the size (H, W) that all images share, or else a square of their median shorter side, at most 64.

    Reads headers only. Sizes beyond what `data.image_size` allows count as not shared.
    """
    sizes = []
    for path in progress(paths, desc="sizes", unit="image", delay=2, leave=False):
        # what cannot be read here is reported by the decoder, which will fail on it as well
        with suppress(Exception), open_file(folder / path) as file, open_image(file) as image:
            sizes.append(upright_size(image))
    if not sizes:
        raise UserError(f"data.folder: none of the {len(paths)} images in {folder} can be read.")
    if len(set(sizes)) == 1 and max(sizes[0]) <= MAX_SIDE:
        print(f"data.image_size is not set: all images are {sizes[0][0]}×{sizes[0][1]} (height × width)")
        return sizes[0]
    shorter = sorted(min(size) for size in sizes)
    side = min(MAX_INFERRED_SIDE, int(statistics.median(shorter)))
    print(
        f"data.image_size is not set and shorter sides go from {shorter[0]} to {shorter[-1]}: "
        f"using {side}×{side}, their median but at most {MAX_INFERRED_SIDE}"
    )
    return side, side


def _content(path: Path, row: ManifestRow) -> bytes:
    """Return the bytes of an image file; raise `UserError` where they are not those that the `download` stage saw."""
    try:
        with open_file(path) as file:
            if row.size == os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise Image.DecompressionBombError("a file too large to hold a picture")
            content = file.read(row.size + 1)
    except OSError as error:
        if error.strerror == NOT_A_FILE:
            raise UserError(f"{path} has changed since the `download` stage: it is {NOT_A_FILE}. Remove it.") from None
        raise UserError(f"{path} cannot be read ({error.strerror}). Run the `download` stage again.") from error
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise UserError(f"{path} has changed since the `download` stage. Run that stage again.")
    return content


def _check_share(folder: Path, unreadable: dict[str, str], total: int, limit: float) -> None:
    """Print which images were left out; raise `UserError` where they are more than the share `limit`."""
    if not unreadable:
        return
    examples = ", ".join(f"{path} ({reason})" for path, reason in list(unreadable.items())[:3])
    summary = f"{len(unreadable)} of {total} images in {folder} cannot be read: {examples}"
    summary += ", …" if len(unreadable) > 3 else ""
    if len(unreadable) > limit * total:
        raise UserError(f"{summary}. Repair or remove them, or raise data.max_unreadable (now {limit}).")
    print(printable(f"left out: {summary}"))
