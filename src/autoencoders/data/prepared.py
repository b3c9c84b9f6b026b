"""The contract between `prepare` and everything after it: a folder of splits.

<root>/dataset.json
<root>/<split>/images.npy     uint8, (N, C, H, W), memory-mappable; split is train, val or test
<root>/<split>/labels.npy     int64, (N,), only where the set has labels
<root>/components/*.npy       the first principal components of the training images: mean (C·H·W,), directions
                              (K, C·H·W), variances (K + 1,), the last one along all other directions together
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import DTypeLike, NDArray
from pydantic import Field, TypeAdapter

from autoencoders.data.principal_components import PrincipalComponents, principal_components
from autoencoders.errors import UserError
from autoencoders.files.reading import Fit, FullScale, Side, damage_named, open_file

SPLITS = ("train", "val", "test")
MAX_COMPONENTS = 256
"""The most principal components that are kept; a model with a longer code computes its own."""
FULL_SCALES: tuple[FullScale, ...] = get_args(FullScale)
FULL_SCALE = FULL_SCALES[-1]
"""What is white in a file of 16 bits, where nothing is known of its set."""


SplitName = Annotated[str, Field(pattern=f"^({'|'.join(SPLITS)})$")]


@dataclass(frozen=True)
class DatasetInfo:
    """The contents of `dataset.json`, which are checked against these types when they are read."""

    name: str
    shape: tuple[Literal[1, 3], Side, Side]
    """Channels, height, width."""
    counts: Annotated[dict[SplitName, Annotated[int, Field(ge=1)]], Field(min_length=len(SPLITS))]
    """Images per split."""
    classes: Annotated[list[str], Field(min_length=1)] | None
    """Class names in label order; None where the set has no labels."""
    content_hash: str
    """SHA-256 over the arrays of all splits: equal hashes mean equal data."""
    folder: str = ""
    """The name of the user's own folder, where the images are from one."""
    full_scale: FullScale | None = None
    """The value that is white in image files of 16 bits, where the images are from such."""
    fit: Fit | None = None
    """How image files of another aspect ratio were brought to the shape; None in named sets, and in folders that an
    earlier version prepared, which only cropped."""

    @property
    def identity(self) -> dict[str, str | int]:
        """What a model says of the data that it was trained on."""
        named: dict[str, str | int] = {"name": self.name, "content_hash": self.content_hash}
        made = {"full_scale": self.full_scale, "fit": self.fit}
        return named | {key: value for key, value in made.items() if value is not None}

    @property
    def title(self) -> str:
        """What people know the images by: the name of the set, or of their own folder."""
        return self.folder or self.name


@dataclass(frozen=True)
class Split:
    """One split: `images` uint8 (N, C, H, W), `labels` int64 (N,) or None."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None

    @property
    def has_classes(self) -> bool:
        """Whether a classifier can learn from it: a training split of flawless products alone has one class."""
        return self.labels is not None and len(np.unique(self.labels)) > 1


class PreparedData:
    """Read-only view of a prepared folder; arrays are memory-mapped.

    Raise `UserError` where the folder is not a prepared data set.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        described = root / "dataset.json"
        if not described.exists():
            raise UserError(f"{root} holds no prepared data (dataset.json is missing). Run the `prepare` stage first.")
        with self._whole(described):
            self.info = TypeAdapter(DatasetInfo).validate_json(described.read_bytes(), strict=True)

    def split(self, name: str) -> Split:
        """Return the split `name` (train, val or test); raise `UserError` where it is not as `dataset.json` says."""
        folder, count, classes = self.root / name, self.info.counts[name], self.info.classes
        images = self._array(folder / "images.npy", np.uint8, (count, *self.info.shape))
        if classes is None:
            return Split(images, None)
        labels = np.array(self._array(folder / "labels.npy", np.int64, (count,)))
        with self._whole(folder / "labels.npy"):
            if labels.min() < 0 or labels.max() >= len(classes):
                raise ValueError(f"labels from {labels.min()} to {labels.max()} of {len(classes)} classes")
        return Split(images, labels)

    def principal_components(self, count: int) -> PrincipalComponents:
        """Return the first `count` principal components of the training images."""
        kept, size = n_components(self.info.shape), prod(self.info.shape)
        if count > kept:
            return principal_components(self.split("train").images, count)
        folder = self.root / "components"
        variances = np.array(self._array(folder / "variances.npy", np.float64, (kept + 1,)))
        return PrincipalComponents(
            mean=np.array(self._array(folder / "mean.npy", np.float64, (size,))),
            directions=np.array(self._array(folder / "directions.npy", np.float32, (kept, size))[:count]),
            variances=variances[:count],
            rest=float(variances[count:].sum()),
        )

    def _array(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the array in `path` as a memory map: nothing is read, or allocated, before its header is checked."""
        with self._whole(path):
            array = open_memmap(path, mode="r")
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(f"{array.dtype} {array.shape} instead of {np.dtype(dtype)} {shape}")
            if array.offset + array.nbytes != path.stat().st_size:
                raise ValueError("longer than its header says")
            if not array.flags.c_contiguous:
                raise ValueError("column by column instead of row by row")
        return array

    @contextmanager
    def _whole(self, path: Path) -> Iterator[None]:
        """Raise `UserError`, which says what to do, where a file cannot be read or holds something else."""
        cure = f"Delete {self.root} and run the `prepare` stage."
        with damage_named(path, cure, Exception), open_file(path):  # never a pipe; a damaged header may raise anything
            yield


def n_components(shape: tuple[int, int, int]) -> int:
    """Return how many principal components are kept of images of `shape` (C, H, W)."""
    return min(MAX_COMPONENTS, prod(shape))


def _write_components(folder: Path, images: NDArray[np.uint8]) -> None:
    channels, height, width = images.shape[1:]
    found = principal_components(images, n_components((channels, height, width)))
    folder.mkdir(exist_ok=True)
    np.save(folder / "mean.npy", found.mean)
    np.save(folder / "directions.npy", found.directions)
    np.save(folder / "variances.npy", np.append(found.variances, found.rest))


def write_prepared(
    root: Path,
    name: str,
    splits: Mapping[str, Split],
    classes: list[str] | None,
    folder: str = "",
    full_scale: FullScale | None = None,
    fit: Fit | None = None,
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
    _write_components(root / "components", splits["train"].images)
    channels, height, width = splits["train"].images.shape[1:]
    info = DatasetInfo(
        name=name,
        shape=(int(channels), int(height), int(width)),  # type: ignore[arg-type]  # 1 or 3 channels
        counts={split: len(splits[split].images) for split in SPLITS},
        classes=classes,
        content_hash=digest.hexdigest(),
        folder=folder,
        full_scale=full_scale,
        fit=fit,
    )
    described = asdict(info)
    for key in ("full_scale", "fit"):
        if described[key] is None:
            del described[key]
    (root / "dataset.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return info
