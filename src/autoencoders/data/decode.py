"""Decode an image file of any kind to a uint8 array of one size."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from autoencoders.data.prepared import FULL_SCALE
from autoencoders.files.reading import reason

MAX_FILE_BYTES = 2**30
"""The most bytes of an image file: more than the largest picture that is decoded has uncompressed."""
# the readers for what `folder.SUFFIXES` names; others start programs (EPS) or are not pictures (PDF, MPEG)
FORMATS = frozenset({"AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TGA", "TIFF", "WEBP"})


@dataclass(frozen=True)
class Picture:
    """A decoded image file."""

    pixels: NDArray[np.uint8]
    """(C, H, W)."""
    several: bool = False
    """Whether the file holds more pictures, as TIFF, GIF, WebP and PNG may; this is the first."""
    clipped: bool = False
    """Whether values of 16 bits were above the full scale."""
    upper_bits: int | None = None
    """The largest of the upper 8 bits of 16-bit colours, which is all that Pillow reads of those."""


def decode_picture(
    content: bytes, size: tuple[int, int], channels: int, full_scale: Callable[[], int] = lambda: FULL_SCALE
) -> Picture:
    """Decode an image file: upright by its EXIF tag, shorter side resized with antialias, centre cropped to `size`.

    Transparent pixels become white. `full_scale` returns the value that is white in files of 16 bits, and is called for
    one of these only.
    """
    with open_image(io.BytesIO(content)) as file:
        is_deep_colour = any(";16" in str(tile) for tile in getattr(file, "tile", ())) and not file.mode.startswith("I")
        upright = ImageOps.exif_transpose(file)
        several = _holds_several(file)
    clipped = False
    if upright.mode.startswith("I"):  # Pillow's own conversion clips at 255
        deep = sixteen_bits(upright)
        white = full_scale()
        clipped = bool(deep.max() > white)
        plain = Image.fromarray((np.minimum(deep, white) >> (white.bit_length() - 8)).astype(np.uint8))
    else:
        plain = _plain(upright)
    height, width = size
    fitted = ImageOps.fit(plain.convert("L" if channels == 1 else "RGB"), (width, height), Image.Resampling.BICUBIC)
    array = np.asarray(fitted, np.uint8)
    upper_bits = int(np.asarray(upright.convert("RGB")).max()) if is_deep_colour else None
    return Picture(array[np.newaxis] if channels == 1 else array.transpose(2, 0, 1), several, clipped, upper_bits)


@dataclass
class Remarks:
    """What is odd about the image files that were decoded, collected for one message."""

    several: list[str] = field(default_factory=list)
    """Files that hold more than one picture."""
    clipped: list[str] = field(default_factory=list)
    """Files of 16 bits with values above the full scale."""
    deep_colour: list[str] = field(default_factory=list)
    """Files of 16-bit colours."""
    upper_bits: int = 0
    """The largest upper 8 bits of a 16-bit colour in them."""

    def note(self, name: str, picture: Picture) -> None:
        """Add what is odd about the file `name`."""
        self.several += [name] if picture.several else []
        self.clipped += [name] if picture.clipped else []
        if picture.upper_bits is not None:
            self.deep_colour.append(name)
            self.upper_bits = max(self.upper_bits, picture.upper_bits)

    def lines(self, full_scale: int) -> list[str]:
        """Return a line for each kind of oddity that was found."""
        lines = []
        if self.several:
            lines.append(f"more than one picture in {_named(self.several)}: the first of each is taken")
        if self.clipped:
            lines.append(
                f"values above {full_scale:,} in {_named(self.clipped)}: they became white, since no image that the "
                f"model was trained on has larger ones"
            )
        if self.deep_colour and self.upper_bits < 128:
            lines.append(
                f"16-bit colours in {_named(self.deep_colour)}: none uses half of the range, and of each value only "
                "the upper 8 bits are read, so all are dark. Save them with 8 bits a colour, scaled to those"
            )
        return lines


def _named(files: Sequence[str]) -> str:
    examples = ", ".join(files[:3]) + (", …" if len(files) > 3 else "")
    return f"{len(files):,} file{'s' if len(files) > 1 else ''} ({examples})"


def _holds_several(file: Image.Image) -> bool:
    if file.format == "MPO":  # a photograph of a telephone, with a preview beside it
        return False
    try:
        return bool(getattr(file, "is_animated", False))
    except Exception:  # what follows the first picture is damaged; that one is whole
        return True


def stored_shape(content: bytes) -> tuple[int, int, int]:
    """Return the channels (1 grey, 3 colour), height and width that an image file has, upright; reads the header only.

    Transparency is no channel here; an image with a palette counts as colour.
    """
    with open_image(io.BytesIO(content)) as image:
        grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
        return (1 if grey else 3), *upright_size(image)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the height and the width that an image has upright."""
    sideways = image.getexif().get(0x0112, 1) >= 5  # orientations 5 to 8 swap the sides
    return image.size if sideways else image.size[::-1]


@contextmanager
def open_image(file: IO[bytes]) -> Iterator[Image.Image]:
    """Open an image file; raise `DecompressionBombError` where it has more pixels than Pillow decodes."""
    with Image.open(file, formats=_formats()) as image:
        limit = Image.MAX_IMAGE_PIXELS
        if limit and image.width * image.height > limit:
            raise Image.DecompressionBombError(f"{image.width}×{image.height} pixels")
        yield image


@cache
def _formats() -> list[str]:
    Image.init()
    return sorted(FORMATS & set(Image.OPEN))  # Pillow may be built without AVIF or WebP


def sixteen_bits(image: Image.Image) -> NDArray[Any]:
    """Return the values of a grey image of more than 8 bits; raise ValueError where they are not of 16."""
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > FULL_SCALE:
        raise ValueError("32-bit pixels, whose range is unknown")
    return deep


def _plain(image: Image.Image) -> Image.Image:
    """Return an image without transparency, on white; raise ValueError where the range of its values is unknown."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return image


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Make Pillow's warning of images with too many pixels an error, so that they are never decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # remarks on odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def unreadable_because(error: Exception) -> str:
    """Return in a few words why an image could not be decoded."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too many pixels"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    return reason(error)
