"""Decode all images of a folder to one size. Every file is decoded once, those of 16 bits twice.

Files of 16 bits seldom use them all: cameras, X-rays and depth maps have 10, 12 or 14. All of a set get one scale, by
the largest value among them, so that their brightness stays comparable. It is kept with the set and its models.
"""

import hashlib
import math
import os
import statistics
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autoencoders.data.arrays import spool
from autoencoders.data.decode import (
    MAX_FILE_BYTES,
    Picture,
    Remarks,
    bombs_refused,
    decode_picture,
    list_files,
    open_image,
    sixteen_bits,
    stored_shape,
    unreadable_because,
)
from autoencoders.data.folder import ManifestRow
from autoencoders.data.prepared import FULL_SCALE, FULL_SCALES
from autoencoders.errors import UserError, counted, printable
from autoencoders.files.reading import MAX_SIDE, NOT_A_FILE, Fit, FullScale, open_file
from autoencoders.runtime.progress import progress
from autoencoders.runtime.threads import map_in_order

MAX_INFERRED_SIDE = 64
"""Pixels of the shorter side, where the size is inferred."""
MAX_INFERRED_LONG_SIDE = 4 * MAX_INFERRED_SIDE
MIN_SIDE = 4
FITTED = {"pad": "padded", "crop": "cropped", "stretch": "stretched"}
"""What was done, by `fit`, to images of another aspect ratio."""
FEW = 0.05
"""Where fewer than this share of a set are grey, or in colour, they may have got into it by mistake."""


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
    fitted: int
    """How many of the N files have another aspect ratio than the size: they were padded, cropped or stretched."""


def decode_all(
    folder: Path,
    rows: list[ManifestRow],
    spooled: Path,
    size: tuple[int, int] | None,
    channels: int | None,
    max_unreadable: float,
    fit: Fit,
) -> Decoded:
    """Decode every image of `rows` into the file `spooled`; size (H, W) and channels are inferred where None.

    Raise `UserError` where an image changed since the manifest was written, or where more than the share
    `max_unreadable` of them cannot be read.
    """
    with bombs_refused():
        height, width = size or infer_size(folder, [row.path for row in rows])
        decoder = _Decoder(folder, [row.path for row in rows], (height, width), channels, fit)
        with closing(decoder.stream(rows)) as blocks:
            images = spool(spooled, blocks, (channels or 3, height, width))
    check_share(folder, decoder.unreadable, len(rows), max_unreadable)
    if channels is None:
        print(printable(f"data.channels is not set: {_kinds(decoder.grey, decoder.coloured)}"))
        # all three channels of grey images are the same
        images = images if decoder.coloured else images[:, :1]
    if decoder.fitted:
        verb = "is" if decoder.fitted == 1 else "are"
        done = f"{FITTED[fit]} to {height}×{width} (height × width)"
        print(f"data.fit: {decoder.fitted:,} of {len(decoder.paths):,} images {verb} {done}")
    for line in decoder.remarks.lines(FULL_SCALE):
        print(printable(line))
    several, full_scale = decoder.remarks.several, decoder.full_scale
    return Decoded(images, decoder.paths, decoder.unreadable, several, full_scale, decoder.fitted)


class _UnknownScaleError(Exception):
    """The first file of 16 bits: to know what is white, all files have to be looked through."""


class _Decoder:
    """Decode images on all cores, and record in their order which could be read."""

    def __init__(self, folder: Path, every: list[str], size: tuple[int, int], channels: int | None, fit: Fit) -> None:
        self._folder, self._every, self._size, self._channels, self._fit = folder, every, size, channels, fit
        self.grey: list[str] = []
        self.coloured: list[str] = []
        self.paths: list[str] = []
        self.remarks = Remarks()
        self.unreadable: dict[str, str] = {}
        self.full_scale: FullScale | None = None
        self.fitted = 0

    def _white(self) -> int:
        if self.full_scale is None:
            raise _UnknownScaleError
        return self.full_scale

    def _decode(self, row: ManifestRow) -> Picture | Exception:
        """Return the image, or why there is none; called on several threads."""
        try:
            content = _content(self._folder / row.path, row)
            return decode_picture(content, self._size, self._channels or 3, self._fit, self._white)
        except Exception as error:  # a decoder fed with broken bytes may raise anything
            return error

    def stream(self, rows: list[ManifestRow]) -> Generator[NDArray[np.uint8], None, None]:
        """Yield blocks (1, C, H, W), in order, leaving out what cannot be read."""
        results = progress(
            map_in_order(self._decode, rows), total=len(rows), desc="decoding", unit="image", delay=2, leave=False
        )
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, _UnknownScaleError):
                if self.full_scale is None:
                    self.full_scale = full_scale_of(self._folder, self._every)
                result = self._decode(row)
            if isinstance(result, UserError):
                raise result
            if isinstance(result, Exception):
                self.unreadable[row.path] = unreadable_because(result)
                continue
            self._note(row.path, result)
            yield result.pixels[np.newaxis]

    def _note(self, path: str, picture: Picture) -> None:
        self.paths.append(path)
        self.fitted += picture.is_fitted
        self.remarks.note(path, picture)
        if self._channels is None:
            is_grey = (picture.pixels == picture.pixels[:1]).all()
            (self.grey if is_grey else self.coloured).append(path)


def _kinds(grey: Sequence[str], coloured: Sequence[str]) -> str:
    """Return how many channels the images get, and which of them have another number than nearly all others."""
    if not coloured:
        return "every image is grey, so 1"
    if not grey:
        return "every image is in colour, so 3"
    few, kind = min((coloured, "in colour"), (grey, "grey"), key=lambda entry: len(entry[0]))
    if len(few) >= FEW * (len(grey) + len(coloured)):
        return f"{len(grey):,} images are grey and {len(coloured):,} in colour, so 3"
    verb = "is" if len(few) == 1 else "are"
    return (
        f"of {len(grey) + len(coloured):,} images, {list_files(few)} {verb} {kind}, the others not, so 3. "
        "Set data.channels: 1 if all should be grey, or data.channels: 3 to confirm this"
    )


def full_scale_of(folder: Path, paths: Sequence[str]) -> FullScale:
    """Return the largest value of the smallest depth that holds all files of 16 bits, such as 4095 for 12 bits.

    Of the other files, only the headers are read.
    """

    def top(path: str) -> int:
        # what cannot be read here cannot be decoded either, and is counted there
        with suppress(Exception), open_file(folder / path) as file, open_image(file) as image:
            if image.mode.startswith("I"):
                return int(sixteen_bits(image).max())
        return -1

    tops = progress(
        map_in_order(top, paths), total=len(paths), desc="16-bit images", unit="image", delay=2, leave=False
    )
    largest, where = -1, ""
    for path, value in zip(paths, tops, strict=True):
        if value > largest:
            largest, where = value, path
    white = next(scale for scale in FULL_SCALES if largest <= scale)
    bits = white.bit_length()
    print(f"16-bit images: the largest value is {largest:,} ({printable(where)}), so {white:,} ({bits} bits) is white")
    return white


def infer_size(folder: Path, paths: list[str]) -> tuple[int, int]:
    """Return `common_size` of the images; print it, and why."""
    shapes, _ = read_shapes(folder, paths)
    if not shapes:
        raise UserError(f"data.folder: none of the {len(paths)} images in {folder} can be read.")
    sizes = [shape[1:] for shape in shapes]
    height, width = common_size(sizes)
    if set(sizes) == {(height, width)}:
        print(f"data.image_size is not set: all images are {height}×{width} (height × width)")
        return height, width
    print(
        f"data.image_size is not set and {describe_sides(sizes)}: using {height}×{width} (height × width), of their "
        f"median aspect ratio; sides are at most {MAX_INFERRED_SIDE} and {MAX_INFERRED_LONG_SIDE}"
    )
    return height, width


def describe_sides(sizes: Sequence[tuple[int, int]]) -> str:
    """Return how long the shorter sides of images are, of these sizes (H, W) in pixels."""
    shorter = [min(size) for size in sizes]
    least, most = min(shorter), max(shorter)
    return f"shorter sides have {least if least == most else f'{least} to {most}'} pixels"


def read_shapes(folder: Path, paths: Sequence[str]) -> tuple[list[tuple[int, int, int]], dict[str, str]]:
    """Return the shapes (C, H, W) of the images that can be opened, upright, and why the others cannot, by headers."""

    def shape_of(path: str) -> tuple[int, int, int] | str:
        try:
            with open_file(folder / path) as file:
                return stored_shape(file)
        except Exception as error:  # broken bytes may raise anything
            return unreadable_because(error)

    found = progress(map_in_order(shape_of, paths), total=len(paths), desc="sizes", unit="image", delay=2, leave=False)
    results = dict(zip(paths, found, strict=True))
    shapes = [result for result in results.values() if not isinstance(result, str)]
    return shapes, {path: result for path, result in results.items() if isinstance(result, str)}


def common_size(
    sizes: Sequence[tuple[int, int]], shared_side: int = MAX_SIDE, shorter_side: int = MAX_INFERRED_SIDE
) -> tuple[int, int]:
    """Return the size (H, W) that all of `sizes` share, or else one of their median aspect ratio.

    Its shorter side is then the median of theirs, at most `shorter_side`, and its longer side at most four times that.
    A size with a side above `shared_side` counts as not shared.
    Raise `UserError` where the median of the shorter sides is less than an image of a set has.
    """
    if statistics.median(min(size) for size in sizes) < MIN_SIDE:
        height, width = sorted(sizes, key=min)[(len(sizes) - 1) // 2]
        raise UserError(
            f"data.folder: images of {height}×{width} pixels (height × width) are too small; {MIN_SIDE} is the "
            "least. Add larger ones."
        )
    if len(set(sizes)) == 1 and max(sizes[0]) <= shared_side:
        return sizes[0]
    ratio = 2 ** statistics.median(math.log2(width / height) for height, width in sizes)
    side = min(shorter_side, int(statistics.median(min(size) for size in sizes)))
    longer = min(4 * shorter_side, round(side * max(ratio, 1 / ratio)))
    side = min(side, max(MIN_SIDE, round(longer * min(ratio, 1 / ratio))))
    return (side, longer) if ratio > 1 else (longer, side)


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


def list_unreadable(unreadable: dict[str, str]) -> str:
    """Return the first three files that cannot be read, each with the reason."""
    examples = ", ".join(f"{path} ({reason})" for path, reason in list(unreadable.items())[:3])
    return examples + (", …" if len(unreadable) > 3 else "")


def check_share(folder: Path, unreadable: dict[str, str], total: int, limit: float) -> None:
    """Print which images were left out; raise `UserError` where they are more than the share `limit`."""
    if not unreadable:
        return
    summary = (
        f"{len(unreadable)} of {counted(total, 'image')} in {folder} cannot be read: {list_unreadable(unreadable)}"
    )
    if len(unreadable) > limit * total:
        raise UserError(f"{summary}. Repair or remove them, or raise data.max_unreadable (now {limit}).")
    print(printable(f"left out: {summary}"))
