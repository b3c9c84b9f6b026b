"""The files of the sets in the catalog, and the images in them.

Sets in MNIST's format are read here, all others through torchvision's own classes. Only these import torchvision, and
torch with it, which costs seconds.
"""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.catalog import IDX_FILES, MAX_FILE_BYTES, NamedSet
from autoencoders.errors import UserError
from autoencoders.files.results import Digest, is_intact, link_or_copy
from autoencoders.runtime.progress import progress

MAX_IDX_BYTES = 2**26
"""The images of a set in MNIST's format have 47 million uncompressed."""


@dataclass(frozen=True)
class RawFile:
    """One original file of a set."""

    path: str
    """Relative to torchvision's root, such as MNIST/raw/train-images-idx3-ubyte.gz."""
    digest: Digest
    urls: tuple[str, ...]
    """torchvision's mirrors of the file, in order."""
    max_bytes: int = MAX_FILE_BYTES


@dataclass(frozen=True)
class DatasetPart:
    """The training or the test images of a set, in memory."""

    images: NDArray[np.uint8]
    """(N, C, H, W), upright."""
    labels: NDArray[np.int64]
    """(N,), from 0."""
    classes: list[str]


def files_of(entry: NamedSet) -> list[RawFile]:
    """Return the original files of a set: the catalog's, or those that torchvision's class declares."""
    if entry.idx is None:
        return [RawFile(path, Digest("md5", md5), (url,)) for path, md5, url in _declared(_class(entry))]
    return [
        RawFile(
            _raw_path(entry.torchvision_class, name),
            Digest("md5", md5),
            tuple(mirror + name for mirror in entry.idx.mirrors),
            MAX_IDX_BYTES,
        )
        for name, md5 in zip(IDX_FILES, entry.idx.md5, strict=True)
    ]


def _declared(cls: Any) -> list[tuple[str, str, str]]:
    """Return (path, MD5, URL) of each file of a torchvision class; raise `UserError` where it declares none."""
    if hasattr(cls, "tgz_md5"):  # CIFAR10, CIFAR100, STL10: one archive, unpacked at the root
        return [(cls.filename, cls.tgz_md5, cls.url)]
    if hasattr(cls, "split_list"):  # SVHN, USPS: one file for each part, at the root
        return [(name, md5, url) for url, name, md5 in (cls.split_list[part] for part in ("train", "test"))]
    if isinstance(resources := getattr(cls, "resources", None), dict):  # QMNIST: files by part
        files = [*resources["train"], *resources["test"]]
    elif hasattr(cls, "md5"):  # EMNIST: one archive
        files = [(cls.url, cls.md5)]
    else:
        raise UserError(f"torchvision's {cls.__name__} declares no files with checksums, so it cannot be downloaded.")
    return [(_raw_path(cls.__name__, PurePosixPath(url).name), md5, url) for url, md5 in files]


def unpack(entry: NamedSet, raw: Path, root: Path) -> None:
    """Lay out the original files in `raw` below `root` as torchvision reads them.

    Raise `UserError` where a file is missing or damaged. Checksums come first: CIFAR's archive holds pickles.
    """
    for file in files_of(entry):
        source = raw / file.path
        if not is_intact(source, file.digest):
            raise UserError(f"{source} is missing or damaged. Run the `download` stage again.")
        try:
            _unpack_file(source, (root / file.path).parent, entry.members)
        except (EOFError, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{source} cannot be unpacked ({error}). Run the `download` stage again.") from error


def read_part(entry: NamedSet, root: Path, part: Literal["train", "test"]) -> DatasetPart:
    """Return one part of an unpacked set."""
    if entry.idx:
        name = root / _raw_path(entry.torchvision_class, "train" if part == "train" else "t10k")
        pixels, numbers = read_idx(Path(f"{name}-images-idx3-ubyte")), read_idx(Path(f"{name}-labels-idx1-ubyte"))
        _check_shape(entry, pixels[:1])
        return DatasetPart(pixels[:, np.newaxis], numbers.astype(np.int64), list(entry.classes or ()))
    dataset = _class(entry)(root, download=False, **(entry.train if part == "train" else entry.test))
    images, labels = np.empty((len(dataset), *entry.shape), np.uint8), np.empty(len(dataset), np.int64)
    for i in progress(range(len(dataset)), desc=f"reading {part}", unit="image", delay=2, leave=False):
        picture, labels[i] = dataset[i]
        pixels = np.asarray(picture)
        image = pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        _check_shape(entry, image)
        images[i] = image
    return DatasetPart(
        images.swapaxes(2, 3) if entry.transposed else images,
        labels - entry.first_label,
        [str(name) for name in entry.classes or dataset.classes[entry.first_label :]],
    )


def _check_shape(entry: NamedSet, image: NDArray[Any]) -> None:
    if image.dtype != np.uint8 or image.shape != entry.shape:
        found = f"{image.dtype} {image.shape}"
        raise ValueError(f"{entry.torchvision_class} holds {found}, the catalog says {entry.shape}")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in a file of MNIST's format: 0, 0, 8 (for bytes), dimensions, their sizes (big-endian), bytes.

    http://yann.lecun.com/exdb/mnist/
    """
    content = np.fromfile(path, np.uint8)
    start = 4 + 4 * int(content[3])
    return content[start:].reshape(content[4:start].view(">u4"))


def _raw_path(name: str, file: str) -> str:
    """Return the path of a file of MNIST and its relatives in torchvision's layout."""
    return f"{name}/raw/{file}"


def _class(entry: NamedSet) -> Any:
    from torchvision import datasets

    return getattr(datasets, entry.torchvision_class)


def _unpack_file(source: Path, folder: Path, members: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if source.name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(source) as tar:
            for entry in filter(tarfile.TarInfo.isreg, tar):  # extractall has no filter before Python 3.11.4
                file, target = tar.extractfile(entry), (folder / entry.name).resolve()
                if file and target.is_relative_to(folder.resolve()):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with file, target.open("wb") as out:
                        shutil.copyfileobj(file, out)
    elif source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                if fnmatch(member.filename, members) and not member.is_dir():
                    with archive.open(member) as file:
                        _write_plain(file, folder / PurePosixPath(member.filename).name)
    elif source.suffix == ".gz":
        with source.open("rb") as file:
            _write_plain(file, folder / source.name)
    else:
        link_or_copy(source, folder / source.name)


def _write_plain(file: IO[bytes], target: Path) -> None:
    """Write a file's content, decompressed where its name ends in .gz."""
    with target.with_suffix("" if target.suffix == ".gz" else target.suffix).open("wb") as out:
        shutil.copyfileobj(gzip.GzipFile(fileobj=file) if target.suffix == ".gz" else file, out, 1024 * 1024)
