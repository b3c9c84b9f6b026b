"""Named sets: where their files come from, and what they hold.

Those in MNIST's format are read here, the others through torchvision's own classes. torchvision, and torch with it, are
imported only for these: that costs seconds.
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

from autoencoders.data.catalog import IDX_FILES, NamedSet
from autoencoders.errors import UserError
from autoencoders.files.results import Digest, is_intact, link_or_copy

LARGEST_IDX_FILE = 2**26
"""Bytes: the images of a set in MNIST's format have 47 million uncompressed."""


@dataclass(frozen=True)
class RawFile:
    """One original file of a set."""

    path: str
    """Relative to torchvision's root, such as MNIST/raw/train-images-idx3-ubyte.gz."""
    digest: Digest
    urls: tuple[str, ...]
    """torchvision's mirrors of the file, in order."""
    largest: int = 2**30
    """Bytes that it can have at most."""


@dataclass(frozen=True)
class Part:
    """The training or the test part of a set, in memory."""

    images: NDArray[np.uint8]
    """(N, C, H, W), upright."""
    labels: NDArray[np.int64]
    """(N,), from 0."""
    classes: list[str]


def files_of(entry: NamedSet) -> list[RawFile]:
    """Return the original files of a set: the catalog's, or those that torchvision's class declares."""
    if entry.idx:
        mirrors = entry.idx.mirrors
        return [
            RawFile(
                _beneath(entry, name), Digest("md5", md5), tuple(mirror + name for mirror in mirrors), LARGEST_IDX_FILE
            )
            for name, md5 in zip(IDX_FILES, entry.idx.md5, strict=True)
        ]
    cls = _class(entry)
    if hasattr(cls, "tgz_md5"):  # CIFAR10 and its kin: one archive, unpacked at the root
        return [_raw_file(cls.filename, cls.tgz_md5, [cls.url])]
    if hasattr(cls, "split_list"):  # SVHN: one file per split, at the root
        declared = [cls.split_list[split] for split in ("train", "test")]
        return [_raw_file(name, md5, [url]) for url, name, md5 in declared]
    return [_raw_file(_beneath(entry, PurePosixPath(cls.url).name), cls.md5, [cls.url])]  # EMNIST: one archive


def unpack(entry: NamedSet, raw: Path, root: Path) -> None:
    """Lay out the original files in `raw` beneath `root` as torchvision reads them.

    Raises `UserError` where a file is missing or damaged. Checksums come first: CIFAR's archive holds pickles.
    """
    for file in files_of(entry):
        source = raw / file.path
        if not is_intact(source, file.digest):
            raise UserError(f"{source} is missing or damaged. Run the `download` stage again.")
        try:
            _unpack_file(source, (root / file.path).parent, entry.members)
        except (EOFError, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{source} cannot be unpacked ({error}). Run the `download` stage again.") from error


def read_part(entry: NamedSet, root: Path, part: Literal["train", "test"]) -> Part:
    """Return one part of an unpacked set."""
    if entry.idx:
        name = root / _beneath(entry, "train" if part == "train" else "t10k")
        pixels, numbers = read_idx(Path(f"{name}-images-idx3-ubyte")), read_idx(Path(f"{name}-labels-idx1-ubyte"))
        return Part(_channels_first(pixels, entry), numbers.astype(np.int64), list(entry.classes or ()))
    dataset = _class(entry)(root, download=False, **(entry.train if part == "train" else entry.test))
    images = _channels_first(np.asarray(dataset.data), entry)
    labels = np.asarray(dataset.targets if hasattr(dataset, "targets") else dataset.labels, np.int64)
    names = entry.classes or dataset.classes[entry.first_label :]
    return Part(
        images.swapaxes(2, 3) if entry.transposed else images,
        labels - entry.first_label,
        [str(name) for name in names],
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in a file of MNIST's format: 0, 0, 8 (for bytes), dimensions, their sizes (big-endian), bytes.

    http://yann.lecun.com/exdb/mnist/
    """
    content = np.fromfile(path, np.uint8)
    start = 4 + 4 * int(content[3])
    return content[start:].reshape(content[4:start].view(">u4"))


def _beneath(entry: NamedSet, name: str) -> str:
    """Return the path of a file of MNIST's kin in torchvision's layout."""
    return f"{entry.torchvision_class}/raw/{name}"


def _class(entry: NamedSet) -> Any:
    from torchvision import datasets

    return getattr(datasets, entry.torchvision_class)


def _raw_file(path: str, md5: str, urls: list[str]) -> RawFile:
    return RawFile(path, Digest("md5", md5), tuple(urls))


def _channels_first(data: NDArray[Any], entry: NamedSet) -> NDArray[np.uint8]:
    channels, height, width = entry.shape
    if data.dtype == np.uint8:
        if data.shape[1:] == (height, width) and channels == 1:
            return data[:, np.newaxis]
        if data.shape[1:] == (height, width, channels):
            return data.transpose(0, 3, 1, 2)
        if data.shape[1:] == entry.shape:
            return data
    raise ValueError(f"{entry.torchvision_class} holds {data.dtype} {data.shape[1:]}, the catalog says {entry.shape}")


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
