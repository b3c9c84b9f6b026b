"""Image files of any kind to uint8 arrays of one size. Every file is decoded once."""

import hashlib
import io
import statistics
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from autoencoders.data.files import spool
from autoencoders.data.folder import ManifestRow
from autoencoders.errors import UserError
from autoencoders.progress import progress

LARGEST_INFERRED = 64
LARGEST_SIDE = 1024
"""As far as `data.image_size` goes."""
# the readers for what `folder.SUFFIXES` names; others start programs (EPS) or are not pictures (PDF, MPEG)
FORMATS = frozenset({"AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TGA", "TIFF", "WEBP"})


@dataclass(frozen=True)
class Decoded:
    """The readable images of a folder."""

    images: NDArray[np.uint8]
    """(N, C, H, W), a memory map."""
    paths: list[str]
    """The N files that they came from."""
    unreadable: dict[str, str]
    """The files left out, and why."""


def decode_all(
    folder: Path,
    rows: list[ManifestRow],
    spooled: Path,
    size: tuple[int, int] | None,
    channels: int | None,
    max_unreadable: float,
) -> Decoded:
    """Decode every image of `rows` into the file `spooled`; size (H, W) and channels are inferred where None.

    Raises `UserError` where an image changed since the manifest was written, or where more than the share
    `max_unreadable` of them cannot be read.
    """
    with bombs_refused():
        height, width = size or infer_size(folder, [row.path for row in rows])
        decoder = _Decoder(folder, height, width, channels)
        images = spool(spooled, decoder.stream(rows), (channels or 3, height, width))
    _check_share(folder, decoder.unreadable, len(rows), max_unreadable)
    if channels is None:
        print(f"data.channels is not set: {'every image is grey: 1' if decoder.all_grey else 'colour images: 3'}")
        # all three channels of grey images are the same
        images = images[:, :1] if decoder.all_grey else images
    return Decoded(images, decoder.paths, decoder.unreadable)


class _Decoder:
    """Decodes one image after another and keeps account of which could be read."""

    def __init__(self, folder: Path, height: int, width: int, channels: int | None) -> None:
        self._folder, self._size, self._channels = folder, (height, width), channels
        self.all_grey = True
        self.paths: list[str] = []
        self.unreadable: dict[str, str] = {}

    def stream(self, rows: list[ManifestRow]) -> Iterator[NDArray[np.uint8]]:
        """Yield blocks (1, C, H, W), in order, leaving out what cannot be read."""
        for row in progress(rows, desc="decoding", unit="image", delay=2, leave=False):
            content = _content(self._folder / row.path, row)
            try:
                image = decode(content, self._size, self._channels or 3)
            except Exception as error:  # a decoder fed with broken bytes may raise anything
                self.unreadable[row.path] = unreadable_because(error)
                continue
            if self._channels is None and self.all_grey:
                self.all_grey = bool((image == image[:1]).all())
            self.paths.append(row.path)
            yield image[np.newaxis]


def decode(content: bytes, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Return an image file as (C, H, W): upright by its EXIF tag, shorter side resized with antialias, centre cropped.

    Transparent pixels become white.
    """
    with Image.open(io.BytesIO(content), formats=_formats()) as file:
        _refuse_gigantic(file)
        upright = ImageOps.exif_transpose(file)
        plain = _plain(upright).convert("L" if channels == 1 else "RGB")
    height, width = size
    fitted = ImageOps.fit(plain, (width, height), Image.Resampling.BICUBIC)
    array = np.asarray(fitted, np.uint8)
    return array[np.newaxis] if channels == 1 else array.transpose(2, 0, 1)


def stored_shape(content: bytes) -> tuple[int, int, int]:
    """Return the channels (1 grey, 3 colour), height and width that an image file has, upright; reads the header only.

    Transparency is no channel here; an image with a palette counts as colour.
    """
    with Image.open(io.BytesIO(content), formats=_formats()) as image:
        _refuse_gigantic(image)
        grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
        return (1 if grey else 3), *_upright_size(image)


def infer_size(folder: Path, paths: list[str]) -> tuple[int, int]:
    """Return the size (H, W) that all images share, or else a square of their median shorter side, at most 64.

    Reads headers only. Sizes beyond what `data.image_size` allows count as not shared.
    """
    sizes = []
    for path in progress(paths, desc="sizes", unit="image", delay=2, leave=False):
        try:
            with Image.open(folder / path, formats=_formats()) as image:
                _refuse_gigantic(image)
                sizes.append(_upright_size(image))
        except Exception:  # reported by the decoder, which will fail on it as well
            continue
    if not sizes:
        raise UserError(f"data.folder: none of the {len(paths)} images in {folder} can be read.")
    if len(set(sizes)) == 1 and max(sizes[0]) <= LARGEST_SIDE:
        print(f"data.image_size is not set: all images are {sizes[0][0]}×{sizes[0][1]} (height × width)")
        return sizes[0]
    side = min(LARGEST_INFERRED, int(statistics.median(min(size) for size in sizes)))
    shorter = sorted(min(size) for size in sizes)
    print(
        f"data.image_size is not set and shorter sides go from {shorter[0]} to {shorter[-1]}: "
        f"using {side}×{side}, their median but at most {LARGEST_INFERRED}"
    )
    return side, side


def _upright_size(image: Image.Image) -> tuple[int, int]:
    sideways = image.getexif().get(0x0112, 1) >= 5  # orientations 5 to 8 swap the sides
    return image.size if sideways else image.size[::-1]


@cache
def _formats() -> list[str]:
    Image.init()
    return sorted(FORMATS & set(Image.OPEN))  # Pillow may be built without AVIF or WebP


def _content(path: Path, row: ManifestRow) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). Run the `download` stage again.") from error
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise UserError(f"{path} has changed since the `download` stage. Run that stage again.")
    return content


def _plain(image: Image.Image) -> Image.Image:
    """Bring modes that Pillow would clip or see through to 8 bits without transparency."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 0xFFFF:
            raise ValueError("32-bit pixels, whose range is unknown")
        return Image.fromarray((deep >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return image


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Make Pillow's warning of gigantic images an error, so that they are never decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # remarks on odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _refuse_gigantic(image: Image.Image) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit and image.width * image.height > limit:
        raise Image.DecompressionBombError(f"{image.width}×{image.height} pixels")


def unreadable_because(error: Exception) -> str:
    """Say in a few words why an image could not be decoded."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "gigantic"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    return " ".join(str(error).split())[:80] or type(error).__name__


def _check_share(folder: Path, unreadable: dict[str, str], total: int, limit: float) -> None:
    """Say which images were left out; raise `UserError` where they are more than the share `limit`."""
    if not unreadable:
        return
    examples = ", ".join(f"{path} ({reason})" for path, reason in list(unreadable.items())[:3])
    summary = f"{len(unreadable)} of {total} images in {folder} cannot be read: {examples}"
    summary += ", …" if len(unreadable) > 3 else ""
    if len(unreadable) > limit * total:
        raise UserError(f"{summary}. Repair or remove them, or raise data.max_unreadable (now {limit}).")
    print(f"left out: {summary}")
