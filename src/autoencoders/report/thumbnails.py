"""Small images inside the page: tiles of reconstructions and draws, and the sprite of the planes' test images."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from autoencoders.plots.style import as_floats, pixels

MAX_SIDE = 64  # pixels of a thumbnail's longer side
MAX_SPRITE_SIDE = 32  # the same in the sprite of the planes
MAX_SPRITE_PIXELS = 4_200_000  # about 1 MB
SPRITE_QUALITY = 60  # WebP's, of 100
Images = NDArray[Any]


@dataclass(frozen=True)
class Tiles:
    """Images in one picture, `width` × `height` pixels, side by side."""

    source: str  # a data URL
    width: int
    height: int


@dataclass(frozen=True)
class Sprite:
    """Images of equal size in the rows of one picture."""

    source: str  # a data URL
    columns: int
    width: int  # pixels of an image
    height: int


def tiles(images: Images, direction: Literal["row", "column"] = "row") -> Tiles:
    """Return images (n, C, H, W), uint8 or floats in [0, 1], in one picture, transparent between them.

    They are reduced to `MAX_SIDE` pixels. If there are several, each is followed by a gap, so that all have one pitch.
    """
    rgb = _eight_bits(reduced(images, MAX_SIDE))
    opaque = np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=3)
    gap = max(1, round(0.08 * max(rgb.shape[1:3]))) if len(rgb) > 1 else 0
    across = direction == "row"
    parted = np.pad(opaque, [(0, 0), (0, 0 if across else gap), (0, gap if across else 0), (0, 0)])
    picture = np.concatenate(list(parted), axis=1 if across else 0)
    return Tiles(_webp(picture, lossless=True), picture.shape[1], picture.shape[0])


def sprite_size(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return height and width of a thumbnail of images of `shape` (C, H, W) in the sprite, and how many it may hold."""
    height, width = fitting(shape[1], shape[2], MAX_SPRITE_SIDE)
    return height, width, MAX_SPRITE_PIXELS // (height * width)


def sprite(images: Images) -> Sprite:
    """Return images (n, C, H, W), uint8, in the rows of one picture, compressed with some loss."""
    rgb = _eight_bits(reduced(images, MAX_SPRITE_SIDE))
    count, height, width, _ = rgb.shape
    columns = int(np.ceil(np.sqrt(count * height / width)))
    rows = -(-count // columns)
    padded = np.zeros((rows * columns, height, width, 3), np.uint8)
    padded[:count] = rgb
    picture = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    return Sprite(_webp(picture, lossless=False), columns, width, height)


def reduced(images: Images, side: int) -> Images:
    """Return images (n, C, H, W) as floats in [0, 1], their longer side reduced to `side` pixels at most."""
    floats = np.clip(as_floats(images), 0, 1).astype(np.float32)
    size = fitting(images.shape[2], images.shape[3], side)
    if size == images.shape[2:]:
        return floats
    return F.interpolate(torch.from_numpy(floats), size, mode="area").numpy()


def fitting(height: int, width: int, side: int) -> tuple[int, int]:
    """Return height and width of an image whose longer side is reduced to `side` pixels at most."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _eight_bits(images: Images) -> NDArray[np.uint8]:
    """Return images (n, C, H, W) as (n, H, W, 3)."""
    values = np.round(255 * pixels(images)).astype(np.uint8)
    return np.repeat(values, 3, axis=3) if values.shape[3] == 1 else values


def _webp(picture: NDArray[np.uint8], lossless: bool) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=lossless, method=2, quality=50 if lossless else SPRITE_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
