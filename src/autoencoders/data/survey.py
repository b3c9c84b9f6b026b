"""A look at a folder of images before any is prepared: what `autoencoders init` chooses settings by."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.decode import MAX_FILE_BYTES, bombs_refused, decode_picture, unreadable_because
from autoencoders.data.decode_folder import common_size, full_scale_of, list_unreadable, read_shapes
from autoencoders.data.duplicates import Copies, find_copies
from autoencoders.data.folder import Scan, class_names, scan
from autoencoders.data.roles import below_role
from autoencoders.errors import UserError
from autoencoders.files.reading import read_bytes
from autoencoders.runtime.progress import progress
from autoencoders.runtime.threads import map_in_order

MAX_LOOKED_AT = 1000
"""Images that are decoded; of more, as many at even distances."""
MAX_SIDE, MAX_SIDE_OF_DEFECTS = 64, 128
"""The most pixels of the shorter side of any images, and of those that are tested for defects."""
NEARLY_SQUARE = 1.1
"""Longer over shorter side, below which images of several sizes get a square."""
DARK, LIGHT = 25, 230
"""Grey levels up to which a pixel is nearly black, and from which on it is nearly white."""


@dataclass(frozen=True)
class Survey:
    """What is in a folder of images."""

    found: Scan
    images: list[str]
    """All but masks."""
    sample: Sequence[str]
    """Those that were looked at; the following is of these."""
    sizes: list[tuple[int, int]]
    """(H, W) of those that can be read."""
    size: tuple[int, int]
    """(H, W) that suits them."""
    pixels: NDArray[np.uint8]
    """(N, 3, H, W), padded to `size`, of those that can be read."""
    readable: list[str]
    """The N files that they came from."""
    unreadable: dict[str, str]
    """The other files, and why they cannot be read."""
    grey: list[str]
    """Those whose colours are equal."""
    coloured: list[str]
    """The others that can be read."""

    @cached_property
    def copies(self) -> Copies:
        """Which of the readable images are copies of which."""
        return find_copies(self.pixels)

    def of_role(self, role: str) -> list[str]:
        """Return the images for training, `val` or `test`, as paths within their folders; of a folder without, all."""
        return _of_role(self.found, self.images, role)

    @cached_property
    def black_or_white(self) -> float:
        """The share of values that are nearly black or nearly white."""
        return float(((self.pixels <= DARK) | (self.pixels >= LIGHT)).mean())

    @property
    def has_defects(self) -> bool:
        """Whether there is one class to train on and several to test, as in MVTec AD."""
        return _has_defects(self.found, self.images)


def survey(folder: Path) -> Survey:
    """Look at the images in `folder`; raise `UserError` where there are none, or none that can be read."""
    found = scan(folder)
    images = found.without_masks
    sample = sample_of(images)
    side = MAX_SIDE_OF_DEFECTS if _has_defects(found, images) else MAX_SIDE
    with bombs_refused():
        sizes = [shape[1:] for shape in read_shapes(folder, sample)[0]]
        size = common_size(sizes, side, side) if sizes else (1, 1)
        if size not in sizes and max(size) < NEARLY_SQUARE * min(size):
            size = (min(size), min(size))
        results = _decode(folder, sample, size)
    decoded = {path: result for path, result in results.items() if not isinstance(result, str)}
    unreadable = {path: result for path, result in results.items() if isinstance(result, str)}
    if not decoded:
        examples = list_unreadable(unreadable)
        raise UserError(f"data.folder: none of the images in {folder} can be read: {examples}. Add others.")
    grey = [path for path, image in decoded.items() if (image == image[:1]).all()]
    coloured = sorted(decoded.keys() - set(grey))
    pixels = np.stack(list(decoded.values()))
    return Survey(found, images, sample, sizes, size, pixels, list(decoded), unreadable, grey, coloured)


def sample_of(paths: Sequence[str], most: int = MAX_LOOKED_AT) -> Sequence[str]:
    """Return at most `most` of the paths, at even distances."""
    return paths[:: -(-len(paths) // most)]


def _of_role(found: Scan, images: Sequence[str], role: str) -> list[str]:
    roles = found.roles.by_path
    return [below_role(path, role) for path in images if roles[path] == role] if roles else list(images)


def _has_defects(found: Scan, images: Sequence[str]) -> bool:
    classes = {role: class_names(_of_role(found, images, role)) for role in ("train", "test")}
    return bool(classes["test"] and not classes["train"])


def _decode(folder: Path, paths: Sequence[str], size: tuple[int, int]) -> dict[str, NDArray[np.uint8] | str]:
    """Return the pixels (3, H, W) of each image, or why it cannot be read."""
    scales: list[int] = []
    looking = Lock()

    def white() -> int:
        with looking:
            if not scales:
                scales.append(full_scale_of(folder, list(paths)))
        return scales[0]

    def decoded(path: str) -> NDArray[np.uint8] | str:
        try:
            return decode_picture(read_bytes(folder / path, MAX_FILE_BYTES), size, 3, "pad", white).pixels
        except Exception as error:  # a decoder fed with broken bytes may raise anything
            return unreadable_because(error)

    images = map_in_order(decoded, paths)
    shown = progress(images, total=len(paths), desc="looking at", unit="image", delay=2, leave=False)
    return dict(zip(paths, shown, strict=True))
