"""A folder of the user's own images: its files, its classes, and a manifest by which changes are noticed.

Subfolders are classes, by the name of the first level; deeper levels belong to it. A folder with images at its
top, with no subfolder or with a single one has no classes. Where the first level names roles (`roles.py`), the classes
are one level below. Hidden files and folders, files that are not images by
their suffix, links to nothing, pipes and sockets are left out and counted.
"""

import csv
import hashlib
import io
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from autoencoders.data.roles import MASK, ROLES, Roles, find_roles
from autoencoders.errors import UserError, counted
from autoencoders.files.reading import damage_named, open_file
from autoencoders.runtime.progress import progress
from autoencoders.runtime.threads import map_in_order

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)

RESULTS = ("data/raw", "data/prepared", "data/features", "models", "evaluation", "reports", ".cache", "mlartifacts")
"""Where the pipeline writes, in the repository."""
ENDINGS = " ".join(sorted(SUFFIXES))


@dataclass(frozen=True)
class Scan:
    """The images of a folder, as sorted relative paths with forward slashes, and how many other files it holds."""

    images: list[str]
    ignored: int
    roles: Roles = field(default_factory=Roles)
    """Of data.folder alone."""

    @property
    def without_masks(self) -> list[str]:
        """The images of the set."""
        return [path for path in self.images if self.roles.by_path.get(path) != MASK]


@dataclass(frozen=True)
class ManifestRow:
    """One image as the `download` stage saw it."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    role: str = ""
    """train, val, test or mask; empty where the folder has no roles."""
    mask: str = ""
    """The path of a test image's mask, if it has one."""


def scan(folder: Path) -> Scan:
    """List the images below `folder`, with their roles; raise `UserError` where there is no folder or no image in it.

    Raise it, too, where it has folders of roles with none of the images that they need, or images beside them, and
    where the folder is, holds or is in one of the pipeline's results.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else f"does not exist (looked in {Path.cwd()})"
        raise UserError(f"data.folder: {folder} {what}. Name the folder that holds your images.")
    place = folder.resolve()
    for result in RESULTS:
        written = Path(result).resolve()
        inside = place.is_relative_to(written)
        if inside or written.is_relative_to(place):
            how = "is in" if inside else "holds"
            raise UserError(
                f"data.folder: {folder} {how} {result}/, where the pipeline writes. Name a folder of your images alone."
            )
    found = find_images(folder)
    if not found.images:
        others = counted(found.ignored, "other file")
        raise UserError(f"data.folder: {folder} holds no images ({others}). Image files end in {ENDINGS}.")
    return replace(found, roles=find_roles(folder, found.images))


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


def write_manifest(folder: Path, images: list[str], target: Path, roles: Roles | None = None) -> None:
    """Write path, size and SHA-256 of each image to a CSV file, and its role and mask where the folder has roles.

    Raise `UserError` where an image cannot be read.
    """
    by_path, masks = (roles.by_path, roles.masks) if roles else ({}, {})

    def row_of(name: str) -> list[str | int]:
        try:
            with open_file(folder / name) as image:
                digest = hashlib.file_digest(image, "sha256").hexdigest()
                more = [by_path[name], masks.get(name, "")] if by_path else []
                return [name, os.fstat(image.fileno()).st_size, digest, *more]
        except OSError as error:
            _unreadable(error)

    with target.open("w", newline="", encoding="utf-8") as file:
        odd = any("\r" in name for name in images)  # which Python's writer leaves without quotes, before 3.13
        rows = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL)
        rows.writerow(["path", "size", "sha256", *(["role", "mask"] if by_path else [])])
        found = map_in_order(row_of, images)
        for row in progress(found, total=len(images), desc="checksums", unit="image", delay=2, leave=False):
            rows.writerow(row)


def read_manifest(path: Path) -> list[ManifestRow]:
    """Return the rows of a manifest; raise `UserError` where it is missing or damaged."""
    with damage_named(path, "Run the `download` stage again.", KeyError, TypeError, csv.Error):
        with open_file(path) as content, io.TextIOWrapper(content, encoding="utf-8", newline="") as file:
            rows = [
                ManifestRow(row["path"], int(row["size"]), row["sha256"], row.get("role", ""), row.get("mask", ""))
                for row in csv.DictReader(file)
            ]
        if all(row.role == MASK for row in rows):
            raise ValueError("it lists no images")
        if any(row.role not in ROLES for row in rows) and any(row.role for row in rows):
            raise ValueError("some of its images have a role, and others none")
    return rows


def class_names(paths: list[str]) -> list[str] | None:
    """Return the sorted names of the first-level subfolders, or None where they do not sort all images into classes."""
    names = sorted({path.partition("/")[0] for path in paths if "/" in path})
    return names if len(names) > 1 and all("/" in path for path in paths) else None


def images_without_class(paths: list[str]) -> list[str]:
    """Return the images beside the folders of classes, because of which no image has a class."""
    at_top = [path for path in paths if "/" not in path]
    return at_top if class_names([path for path in paths if "/" in path]) else []
