"""The contract between `prepare` and everything after it: a folder of splits.

<root>/dataset.json
<root>/<split>/images.npy     uint8, (N, C, H, W), memory-mappable; split is train, val or test
<root>/<split>/labels.npy     int64, (N,), only where the set has labels
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoencoders.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` holds."""

    name: str
    shape: tuple[int, int, int]
    """Channels, height, width."""
    counts: dict[str, int]
    """Images per split."""
    classes: list[str] | None
    """Class names in label order; None where the set has no labels."""
    content_hash: str
    """SHA-256 over the arrays of all splits: equal hashes mean equal data."""
    folder: str = ""
    """The name of the user's own folder, where the images are from one."""

    @property
    def title(self) -> str:
        """What people know the images by: the name of the set, or of their own folder."""
        return self.folder or self.name


@dataclass(frozen=True)
class Split:
    """One split: `images` uint8 (N, C, H, W), `labels` int64 (N,) or None."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None


class PreparedData:
    """Read-only view of a prepared folder; arrays are memory-mapped.

    Raises `UserError` where the folder is not a prepared data set.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            raw = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
            self.info = DatasetInfo(**{**raw, "shape": tuple(raw["shape"])})
        except FileNotFoundError:
            raise UserError(
                f"{root} holds no prepared data (dataset.json is missing). Run the `prepare` stage first."
            ) from None
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{root / 'dataset.json'} is damaged ({error}). Delete {root} and run the `prepare` stage."
            ) from error

    def split(self, name: str) -> Split:
        """Return the split `name` (train, val or test)."""
        folder = self.root / name
        try:
            images = np.load(folder / "images.npy", mmap_mode="r")
            labels = np.load(folder / "labels.npy") if self.info.classes is not None else None
        except (OSError, ValueError) as error:
            raise UserError(
                f"{folder} is missing or damaged ({error}). Delete {self.root} and run the `prepare` stage."
            ) from error
        return Split(images, labels)


def write_prepared(
    root: Path, name: str, splits: Mapping[str, Split], classes: list[str] | None, folder: str = ""
) -> DatasetInfo:
    """Write `splits` (all of train, val, test) under `root` and return what `dataset.json` says of them."""
    digest = hashlib.sha256()
    for split in SPLITS:
        data = splits[split]
        (root / split).mkdir(parents=True, exist_ok=True)
        np.save(root / split / "images.npy", data.images)
        digest.update(f"{split}{data.images.shape}".encode())
        digest.update(np.ascontiguousarray(data.images).data)
        if data.labels is not None:
            np.save(root / split / "labels.npy", data.labels)
            digest.update(np.ascontiguousarray(data.labels).data)
    channels, height, width = splits["train"].images.shape[1:]
    info = DatasetInfo(
        name=name,
        shape=(int(channels), int(height), int(width)),
        counts={split: len(splits[split].images) for split in SPLITS},
        classes=classes,
        content_hash=digest.hexdigest(),
        folder=folder,
    )
    (root / "dataset.json").write_text(json.dumps(asdict(info), indent=2) + "\n", encoding="utf-8")
    return info
