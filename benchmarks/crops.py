"""Cut crops of photographs, as a folder of one's own images for docs/performance.md, "Large images".

python benchmarks/crops.py PHOTOGRAPHS OUT [--count 5000]
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from autoencoders.data.folder import find_images

SIDE = 160
"""Pixels of a crop's side, once it is resized."""
SMALLEST, LARGEST = 160, 480
"""Pixels of its side in the photograph."""


def cut(photographs: Path, out: Path, count: int, seed: int = 0) -> None:
    """Write `count` random square crops to `out` as JPEG files, from each photograph in turn."""
    random, out_of = np.random.default_rng(seed), []
    for name in find_images(photographs).images:
        with Image.open(photographs / name) as image:
            out_of.append(image.convert("RGB"))
    out.mkdir(parents=True)
    for number in range(count):
        photograph = out_of[number % len(out_of)]
        side = int(random.integers(SMALLEST, LARGEST))
        left, top = (int(random.integers(0, length - side)) for length in photograph.size)
        crop = photograph.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
        crop.save(out / f"{number:05d}.jpg", quality=90)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photographs", type=Path, help="folder of photographs, each side above 480 pixels")
    parser.add_argument("out", type=Path, help="new folder for the crops")
    parser.add_argument("--count", type=int, default=5000, metavar="N", help="of the crops (default: 5000)")
    options = parser.parse_args()
    cut(options.photographs, options.out, options.count)


if __name__ == "__main__":
    main()
