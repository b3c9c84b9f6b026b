"""Decode an image file of any kind to a uint8 array of one size."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from autoencoders.data.prepared import FULL_SCALE
from autoencoders.errors import counted
from autoencoders.files.reading import Fit, reason

MAX_FILE_BYTES = 2**30
"""The most bytes of an image file: more than the largest picture that is decoded has uncompressed."""
# the readers for what `folder.SUFFIXES` names; others start programs (EPS) or are not pictures (PDF, MPEG)
FORMATS = frozenset({"AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TGA", "TIFF", "WEBP"})

REDUCING_GAP = 3.0
"""Large images are first averaged over whole blocks, which is fast, to this multiple of their final size or more."""
MAX_PIXELS_TOGETHER = 16 * 2**20
"""Images of more pixels are decoded one at a time, whatever the number of threads: each pixel takes 5 bytes or more."""
_ONE_LARGE = Lock()
Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation."""
SIDEWAYS = {TURNS[orientation] for orientation in (5, 6, 7, 8)}
"""Those that swap the sides."""


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
    is_fitted: bool = False
    """Whether the file has another aspect ratio than the size: it was padded, cropped or stretched."""


def decode_picture(
    content: bytes, size: tuple[int, int], channels: int, fit: Fit, full_scale: Callable[[], int] = lambda: FULL_SCALE
) -> Picture:
    """Decode an image file: upright by its EXIF tag, resized with antialias, and brought to `size` (H, W) by `fit`.

    `pad` scales it until it fits inside, in the middle; the border has the mean colour of the edges that it meets.
    `crop` scales it until it covers the size, and cuts off what is over, evenly. `stretch` scales each side for itself.

    A large JPEG file is decoded at a half, a quarter or an eighth of its size, as long as that leaves twice the pixels
    that are needed on each side. Transparent pixels become white. `full_scale` returns the value that is white in files
    of 16 bits, and is called for one of these only.
    """
    with open_image(io.BytesIO(content)) as file:
        is_deep_colour = any(";16" in str(tile) for tile in getattr(file, "tile", ())) and not file.mode.startswith("I")
        turn = _turn(file)
        stored = size[::-1] if turn in SIDEWAYS else size  # the size before that turn
        contained = _scaled(file, stored, min)
        needed = {"pad": contained, "crop": _scaled(file, stored, max), "stretch": stored}[fit]
        # only of JPEG: the pixels at the right and at the bottom may stand for less than others, so there is a box
        smaller = file.draft(None, (2 * needed[1], 2 * needed[0]))
        box = smaller[1] if smaller else (0, 0, *file.size)
        with _ONE_LARGE if file.width * file.height > MAX_PIXELS_TOGETHER else nullcontext():
            file.load()
            upper_bits = int(np.asarray(file.convert("RGB")).max()) if is_deep_colour else None
            plain, clipped = _eight_bits(file, full_scale)
            mode = "L" if channels == 1 else "RGB"
            plain = plain if plain.mode == mode else plain.convert(mode)
            target = contained if fit == "pad" else stored
            kept = _centre(box, stored) if fit == "crop" else box
            small = plain.resize(target[::-1], Image.Resampling.BICUBIC, kept, REDUCING_GAP)
            several = _holds_several(file)
    upright = small if turn is None else small.transpose(turn)
    pixels = np.atleast_3d(np.asarray(upright, np.uint8)).transpose(2, 0, 1)
    return Picture(_padded(pixels, size), several, clipped, upper_bits, is_fitted=contained != stored)


def _scaled(image: Image.Image, size: tuple[int, int], choose: Callable[[float, float], float]) -> tuple[int, int]:
    """Return the size (H, W) of an image that is scaled until it fits into `size` (`min`) or covers it (`max`)."""
    scale = choose(size[0] / image.height, size[1] / image.width)
    return max(1, round(scale * image.height)), max(1, round(scale * image.width))


def _eight_bits(image: Image.Image, full_scale: Callable[[], int]) -> tuple[Image.Image, bool]:
    """Return an image with 8 bits a channel, on white, and whether values of 16 bits were above the full scale."""
    if not image.mode.startswith("I"):
        return _plain(image), False
    deep = sixteen_bits(image)
    white = full_scale()
    shift = white.bit_length() - 8
    # Pillow's own conversion clips at 255
    return Image.fromarray((np.minimum(deep, white) >> shift).astype(np.uint8)), bool(deep.max() > white)


def _centre(box: Box, size: tuple[int, int]) -> Box:
    """Return the middle of a box that begins at 0, as large as the aspect ratio of `size` (H, W) allows."""
    _, _, width, height = box
    scale = min(height / size[0], width / size[1])
    top, left = max(0, height - scale * size[0]) / 2, max(0, width - scale * size[1]) / 2
    return left, top, width - left, height - top


def _padded(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return pixels (C, h, w) in the middle of (C, H, W); the border has the mean colour of the edges that it meets."""
    _, height, width = pixels.shape
    if (height, width) == size:
        return pixels
    edges = pixels[:, [0, -1]] if height < size[0] else pixels[:, :, [0, -1]]
    padded = np.empty((len(pixels), *size), np.uint8)
    padded[:] = np.rint(edges.mean((1, 2), keepdims=True))
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    padded[:, top : top + height, left : left + width] = pixels
    return padded


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
            lines.append(f"more than one picture in {list_files(self.several)}: the first of each is taken")
        if self.clipped:
            lines.append(
                f"values above {full_scale:,} in {list_files(self.clipped)}: they became white, since no image that "
                f"the model was trained on has larger ones"
            )
        if self.deep_colour and self.upper_bits < 128:
            lines.append(
                f"16-bit colours in {list_files(self.deep_colour)}: none uses half of the range, and of each value "
                "only the upper 8 bits are read, so all are dark. Save them with 8 bits a colour, scaled to those"
            )
        return lines


def list_files(files: Sequence[str]) -> str:
    """Return the number of files and the names of the first three."""
    examples = ", ".join(files[:3]) + (", …" if len(files) > 3 else "")
    return f"{counted(len(files), 'file')} ({examples})"


def _holds_several(file: Image.Image) -> bool:
    if file.format == "MPO":  # a photograph of a telephone, with a preview beside it
        return False
    try:
        return bool(getattr(file, "is_animated", False))
    except Exception:  # what follows the first picture is damaged; that one is whole
        return True


def stored_shape(file: IO[bytes]) -> tuple[int, int, int]:
    """Return the channels (1 grey, 3 colour), height and width that an image file has, upright; reads the header only.

    Transparency is no channel here; an image with a palette counts as colour.
    """
    with open_image(file) as image:
        grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
        return (1 if grey else 3), *upright_size(image)


def upright_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Return the height and the width that an image has upright; reads the header only."""
    return image.size if _turn(image) in SIDEWAYS else image.size[::-1]


def _turn(image: ImageFile.ImageFile) -> Image.Transpose | None:
    """Return what turns an image that was just opened upright."""
    if image.format == "PNG" and image.fp and not _has_metadata(image.fp):
        return None  # Pillow would decode all pixels to see whether metadata follow
    return TURNS.get(image.getexif().get(0x0112, 1))


def _has_metadata(png: IO[bytes]) -> bool:
    """Return whether one of a PNG file's chunks may hold an orientation."""
    before = png.tell()
    png.seek(8)
    found = False
    while not found and len(header := png.read(8)) == 8:
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        start = png.read(min(length, 24)) if kind in (b"iTXt", b"tEXt", b"zTXt") else b""
        found = kind == b"eXIf" or start.startswith((b"XML:com.adobe.xmp\0", b"Raw profile type exif\0"))
        png.seek(length - len(start) + 4, io.SEEK_CUR)
    png.seek(before)
    return found


@contextmanager
def open_image(file: IO[bytes]) -> Iterator[ImageFile.ImageFile]:
    """Open an image file; raise `DecompressionBombError` where it has more pixels than Pillow decodes.

    Raise ValueError where the range of its values is unknown.
    """
    with Image.open(file, formats=_formats()) as image:
        limit = Image.MAX_IMAGE_PIXELS
        if limit and image.width * image.height > limit:
            raise Image.DecompressionBombError(f"{image.width}×{image.height} pixels")
        if image.mode == "F":
            raise ValueError("floating-point pixels, whose range is unknown")
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
    """Return an image without transparency, on white."""
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
