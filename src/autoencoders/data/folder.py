"""A folder of the user's own images: its files, its classes, and a manifest by which changes are noticed.

Subfolders are classes, by the name of the first level; deeper levels belong to it. A folder with images at its
top, with no subfolder or with a single one has no classes. Hidden files and folders, files that are not images by
their suffix, links to nothing, pipes and sockets are left out and counted.
"""

import csv
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from autoencoders.errors import UserError
from autoencoders.files.reading import damage_named, open_file
from autoencoders.runtime.progress import progress
from autoencoders.runtime.threads import map_in_order

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)

ENDINGS = " ".join(sorted(SUFFIXES))


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
    """List the images below `folder`; raise `UserError` where there is no such folder or no image in it."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else f"does not exist (looked in {Path.cwd()})"
        raise UserError(f"data.folder: {folder} {what}. Name the folder that holds your images.")
    found = find_images(folder)
    if not found.images:
        raise UserError(
            f"data.folder: {folder} holds no images ({found.ignored} other files). Image files end in {ENDINGS}."
        )
    return found


def find_images(folder: Path) -> Scan:
    """List the images below `folder`, perhaps none.

    Raise `UserError` where a folder cannot be read, or an image's name is not UTF-8 and so cannot be written to a file.
    """
    images, ignored = [], 0
    seen = set()
    for place, subfolders, files in os.walk(folder, followlinks=True, onerror=_unreadable):
        seen.add(Path(place).resolve())
        # links to folders are followed, but never in a circle
        subfolders[:] = sorted(
            name for name in subfolders if not name.startswith(".") and (Path(place) / name).resolve() not in seen
        )
        for name in files:
            path = Path(place) / name
            # never a pipe: opening one waits for its other end
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                images.append(path.relative_to(folder).as_posix())
            else:
                ignored += 1
    for image in images:
        try:
            image.encode()
        except UnicodeEncodeError:
            raise UserError(f"{folder}: the file name {os.fsencode(image)!r} is not UTF-8. Rename it.") from None
    return Scan(sorted(images), ignored)


def _unreadable(error: OSError) -> NoReturn:
    raise UserError(f"{error.filename} cannot be read ({error.strerror}). Run again once it can be.") from None


def write_manifest(folder: Path, images: list[str], target: Path) -> None:
    """Write path, size and SHA-256 of each image to a CSV file; raise `UserError` where one cannot be read."""

    def checksum(name: str) -> tuple[str, int, str]:
        try:
            with open_file(folder / name) as image:
                digest = hashlib.file_digest(image, "sha256").hexdigest()
                return name, os.fstat(image.fileno()).st_size, digest
        except OSError as error:
            _unreadable(error)

    with target.open("w", newline="", encoding="utf-8") as file:
        odd = any("\r" in name for name in images)  # which Python's writer leaves without quotes, before 3.13
        rows = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL)
        rows.writerow(["path", "size", "sha256"])
        checksums = map_in_order(checksum, images)
        for row in progress(checksums, total=len(images), desc="checksums", unit="image", delay=2, leave=False):
            rows.writerow(row)


def read_manifest(path: Path) -> list[ManifestRow]:
    """Return the rows of a manifest; raise `UserError` where it is missing or damaged."""
    with damage_named(path, "Run the `download` stage again.", KeyError, TypeError, csv.Error):
        with open_file(path) as content, io.TextIOWrapper(content, encoding="utf-8", newline="") as file:
            rows = [ManifestRow(row["path"], int(row["size"]), row["sha256"]) for row in csv.DictReader(file)]
        if not rows:
            raise ValueError("it lists no images")
    return rows


def class_names(paths: list[str]) -> list[str] | None:
    """Return the sorted names of the first-level subfolders, or None where they do not sort all images into classes."""
    names = sorted({path.partition("/")[0] for path in paths if "/" in path})
    return names if len(names) > 1 and all("/" in path for path in paths) else None


def images_without_class(paths: list[str]) -> list[str]:
    """Return the images beside the folders of classes, because of which no image has a class."""
    at_top = [path for path in paths if "/" not in path]
    return at_top if class_names([path for path in paths if "/" in path]) else []
