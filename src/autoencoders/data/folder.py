"""A folder of the user's own images: what is in it, which classes it has, and a manifest that notices changes.

Subfolders are classes, by the name of the first level; deeper levels belong to it. A folder with images at its
top, with no subfolder or with a single one has no classes. Hidden files and folders, and files that are not
images by their suffix, are left out and counted.
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from autoencoders.data.files import checksum
from autoencoders.errors import UserError

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True)
class Scan:
    """The images of a folder, as sorted relative paths with forward slashes, and how many other files it holds."""

    images: list[str]
    ignored: int


@dataclass(frozen=True)
class ManifestRow:
    """One image as the `download` stage saw it."""

    path: str
    size: int
    """Bytes."""
    sha256: str


def scan(folder: Path) -> Scan:
    """List the images beneath `folder`; raises `UserError` where there is no such folder or no image in it."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else f"does not exist (looked in {Path.cwd()})"
        raise UserError(f"data.folder: {folder} {what}. Name the folder that holds your images.")
    images, ignored = [], 0
    seen = set()
    for place, subfolders, files in os.walk(folder, followlinks=True):
        seen.add(Path(place).resolve())
        # links to folders are followed, but never in a circle
        subfolders[:] = sorted(
            name for name in subfolders if not name.startswith(".") and (Path(place) / name).resolve() not in seen
        )
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                images.append((Path(place) / name).relative_to(folder).as_posix())
            else:
                ignored += 1
    if not images:
        kinds = " ".join(sorted(SUFFIXES))
        raise UserError(f"data.folder: {folder} holds no images ({ignored} other files). Image files end in {kinds}.")
    return Scan(sorted(images), ignored)


def write_manifest(folder: Path, images: list[str], target: Path) -> None:
    """Write path, size and SHA-256 of each image to a CSV file."""
    with target.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["path", "size", "sha256"])
        for name in tqdm(images, desc="checksums", unit="image", delay=2, leave=False):
            path = folder / name
            rows.writerow([name, path.stat().st_size, checksum(path, "sha256")])


def read_manifest(path: Path) -> list[ManifestRow]:
    """Return the rows of a manifest; raises `UserError` where it is missing or damaged."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [ManifestRow(row["path"], int(row["size"]), row["sha256"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is missing or damaged ({error}). Run the `download` stage again.") from error
    if not rows:
        raise UserError(f"{path} lists no images. Run the `download` stage again.")
    return rows


def class_names(paths: list[str]) -> list[str] | None:
    """Return the sorted names of the first-level subfolders, or None where they do not sort all images into classes."""
    first = [path.partition("/")[0] if "/" in path else "" for path in paths]
    names = sorted(set(first))
    return names if "" not in names and len(names) > 1 else None
