"""Measure how fast large photographs are decoded, and how far their pixels are from decoding all of each file.

    python benchmarks/decoding.py [FOLDER]

See benchmarks/README.md for what is measured.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import numpy as np
from common import format_number, markdown
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from autoencoders.data import decode
from autoencoders.data.decode import decode_picture
from autoencoders.data.folder import find_images
from autoencoders.runtime.threads import available_cores, map_in_order

PIXELS = (4000, 3000)
"""Width and height of the photographs: 12 megapixels."""


def photographs(folder: Path | None, count: int) -> list[Image.Image]:
    """Return `count` photographs of 12 megapixels: those of `folder`, or scikit-learn's two, mirrored side by side."""
    if folder is None:
        folder = Path(str(find_spec("sklearn").origin)).parent / "datasets" / "images"  # type: ignore[union-attr]
    sources = []
    for name in find_images(folder).images:
        with Image.open(folder / name) as image:
            sources.append(image.convert("RGB"))
    largest = sorted(sources, key=lambda image: image.width * image.height, reverse=True)[:count]
    return [_mosaic(image) for image in largest]


def _mosaic(image: Image.Image) -> Image.Image:
    """Return an image of `PIXELS`: detail as fine as the photograph's, which enlarging would not give."""
    pixels = np.asarray(image)
    pair = np.concatenate([pixels, pixels[:, ::-1]], 1)
    square = np.concatenate([pair, pair[::-1]])
    repeats = (-(-PIXELS[1] // len(square)), -(-PIXELS[0] // square.shape[1]), 1)
    return Image.fromarray(np.tile(square, repeats)[: PIXELS[1], : PIXELS[0]])


def encoded(image: Image.Image, kind: str) -> bytes:
    """Return an image as a file."""
    out = io.BytesIO()
    image.save(out, kind, **({"quality": 90} if kind == "JPEG" else {"compress_level": 6}))
    return out.getvalue()


@contextmanager
def all_pixels() -> Iterator[None]:
    """Decode all pixels of each file, and resize them at once."""
    with patch.object(JpegImageFile, "draft", lambda *_: None), patch.object(decode, "REDUCING_GAP", None):
        yield


def measure(files: list[bytes], side: int, clock: Callable[[], float]) -> tuple[NDArray[np.int64], float]:
    """Return the pixels (N, 3, side, side) of files that are decoded one after another, and the seconds of a file."""
    start = clock()
    pixels = [decode_picture(content, (side, side), 3, "stretch").pixels for content in files]
    return np.stack(pixels).astype(np.int64), (clock() - start) / len(files)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="photographs (default: two that scikit-learn brings)")
    parser.add_argument("--images", type=int, default=20, metavar="N", help="at most so many (default: 20)")
    options = parser.parse_args()
    images = photographs(options.folder, options.images)
    lines = []
    for kind in ("JPEG", "PNG"):
        files = [encoded(image, kind) for image in images]
        for side in (32, 64, 128, 256):
            with all_pixels():
                whole, slow = measure(files, side, time.process_time)
            pixels, fast = measure(files, side, time.process_time)
            difference = np.abs(pixels - whole).mean((1, 2, 3))
            numbers = (1000 * slow, 1000 * fast, difference.mean(), difference.max())
            lines.append([f"{kind}, {side}×{side}", *map(format_number, numbers)])
    print(f"{len(images)} photographs of {PIXELS[0]}×{PIXELS[1]} pixels\n")
    print(markdown(["file, size", "all pixels, CPU ms", "CPU ms", "difference", "largest of a picture"], lines), "\n")
    many = [encoded(image, "JPEG") for image in images] * 4
    _, serial = measure(many, 64, time.perf_counter)
    start = time.perf_counter()
    list(map_in_order(lambda content: decode_picture(content, (64, 64), 3, "stretch"), many))
    ratio = serial * len(many) / (time.perf_counter() - start)
    print(f"JPEG, 64×64, on {available_cores()} cores: {format_number(ratio)} times as fast as on one")


if __name__ == "__main__":
    main()
