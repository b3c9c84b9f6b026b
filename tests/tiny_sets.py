"""Tiny files in the formats of the named sets; their checksums are patched to fit."""

import bz2
import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from torchvision import datasets

from autoencoders.data.catalog import CATALOG, IDX_FILES, IdxFiles
from autoencoders.data.prepared import PreparedData
from autoencoders.params import Params, parse_params
from autoencoders.stages.download import download
from autoencoders.stages.prepare import prepare


def parameters(data: dict, **prepare: object) -> Params:
    models = {"pca": {"kind": "pca", "latent": 2}}
    return parse_params({"data": data, "prepare": prepare, "models": models})


def prepare_set(root: Path, data: dict, **settings: object) -> PreparedData:
    """Prepare a folder of images, or a named set's files in `raw`, with a card."""
    params = parameters(data, **settings)
    if data["name"] == "folder":
        download(params, out=root / "raw")
    prepare(params, raw=root / "raw", out=root / "prepared", card=root / "card")
    return PreparedData(root / "prepared")


def card_of(root: Path) -> dict:
    return json.loads((root / "card" / "data_card.json").read_text(encoding="utf-8"))


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def idx(array: np.ndarray, dtype: str = "u1") -> bytes:
    """The format of MNIST's files, compressed; `dtype` is u1 or, as in QMNIST, >i4."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, {"u1": 8, ">i4": 12}[dtype], array.ndim, *array.shape)
    return gzip.compress(header + array.astype(dtype).tobytes(), mtime=0)


def images(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def mnist_files(train: int = 60, test: int = 20) -> dict[str, bytes]:
    return {
        "train-images-idx3-ubyte.gz": idx(images(train, (28, 28), seed=1)),
        "train-labels-idx1-ubyte.gz": idx(np.arange(train) % 10),
        "t10k-images-idx3-ubyte.gz": idx(images(test, (28, 28), seed=2)),
        "t10k-labels-idx1-ubyte.gz": idx(np.arange(test) % 10),
    }


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def tiny_mnist(monkeypatch: pytest.MonkeyPatch, mirror: Path) -> dict[str, bytes]:
    """Fill a mirror with a tiny MNIST; no other source is left, the package index neither."""
    files = mnist_files()
    write(mirror / "MNIST" / "raw", files)
    first, second, third, fourth = (md5(files[name]) for name in IDX_FILES)
    tiny = replace(CATALOG["mnist"], archive=None, idx=IdxFiles((), (first, second, third, fourth)))
    monkeypatch.setitem(CATALOG, "mnist", tiny)
    return files


def tiny_emnist(monkeypatch: pytest.MonkeyPatch, raw: Path, upright: np.ndarray, labels: np.ndarray) -> None:
    """The letters, stored as the real set is: one zip of compressed files, images transposed, labels from 1."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part in ("train", "test"):
            prefix = f"gzip/emnist-letters-{part}"
            archive.writestr(f"{prefix}-images-idx3-ubyte.gz", idx(upright.swapaxes(1, 2)))
            archive.writestr(f"{prefix}-labels-idx1-ubyte.gz", idx(labels))
        archive.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", b"not needed, so not unpacked")
    write(raw, {"EMNIST/raw/gzip.zip": packed.getvalue()})
    monkeypatch.setattr(datasets.EMNIST, "md5", md5(packed.getvalue()))


def tiny_cifar(
    monkeypatch: pytest.MonkeyPatch, raw: Path, cls: type, train: np.ndarray, test: np.ndarray, names: list[str]
) -> None:
    """CIFAR10 or CIFAR100: a tar of pickles, images (N, 3, 32, 32)."""

    def batch(pixels: np.ndarray) -> bytes:
        key = "labels" if cls is datasets.CIFAR10 else "fine_labels"
        return pickle.dumps(
            {"data": pixels.reshape(len(pixels), -1), key: [i % len(names) for i in range(len(pixels))]}
        )

    meta = pickle.dumps({cls.meta["key"]: names})
    members = {"train_1": batch(train), "test_1": batch(test), cls.meta["filename"]: meta}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"{cls.base_folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    write(raw, {cls.filename: packed.getvalue()})
    monkeypatch.setattr(cls, "tgz_md5", md5(packed.getvalue()))
    monkeypatch.setattr(cls, "train_list", [["train_1", md5(members["train_1"])]])
    monkeypatch.setattr(cls, "test_list", [["test_1", md5(members["test_1"])]])
    monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": md5(meta)})


def tiny_idx(mirror: Path, name: str, train: np.ndarray, test: np.ndarray, classes: int) -> IdxFiles:
    """A set in MNIST's format that is none of torchvision's."""
    contents = [
        content for pixels in (train, test) for content in (idx(pixels[:, 0]), idx(np.arange(len(pixels)) % classes))
    ]
    write(mirror / name / "raw", dict(zip(IDX_FILES, contents, strict=True)))
    first, second, third, fourth = map(md5, contents)
    return IdxFiles((), (first, second, third, fourth))


def tiny_qmnist(monkeypatch: pytest.MonkeyPatch, mirror: Path, train: np.ndarray, test: np.ndarray) -> None:
    """QMNIST: labels of eight numbers each, of which the first is the class."""
    declared = {}
    for part, pixels in (("train", train), ("test", test)):
        labels = np.arange(len(pixels))[:, np.newaxis] % 10 + 100 * np.arange(8)
        files = {
            f"qmnist-{part}-images-idx3-ubyte.gz": idx(pixels[:, 0]),
            f"qmnist-{part}-labels-idx2-int.gz": idx(labels, ">i4"),
        }
        write(mirror / "QMNIST" / "raw", files)
        declared[part] = [(f"http://127.0.0.1:1/{name}", md5(content)) for name, content in files.items()]
    monkeypatch.setattr(datasets.QMNIST, "resources", declared)


def tiny_usps(monkeypatch: pytest.MonkeyPatch, mirror: Path, train: np.ndarray, test: np.ndarray) -> None:
    """USPS: text with pixels from -1 to 1 and labels from 1."""
    declared = {}
    for part, name, pixels in (("train", "usps.bz2", train), ("test", "usps.t.bz2", test)):
        lines = [
            " ".join([str(i % 10 + 1), *(f"{j}:{(value + 0.5) / 127.5 - 1}" for j, value in enumerate(image.flat, 1))])
            for i, image in enumerate(pixels)
        ]
        content = bz2.compress("\n".join(lines).encode())
        write(mirror, {name: content})
        declared[part] = ["http://127.0.0.1:1/none", name, md5(content)]
    monkeypatch.setattr(datasets.USPS, "split_list", declared)


def tiny_svhn(monkeypatch: pytest.MonkeyPatch, raw: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    """One MATLAB file per split, images (N, 3, 32, 32), the digit 0 stored as 10."""
    declared = {}
    for split in ("train", "test"):
        packed = io.BytesIO()
        stored = np.where(labels == 0, 10, labels).astype(np.uint8)[:, np.newaxis]
        scipy.io.savemat(packed, {"X": pixels.transpose(2, 3, 1, 0), "y": stored})
        write(raw, {f"{split}.mat": packed.getvalue()})
        declared[split] = ["http://127.0.0.1:1/none", f"{split}.mat", md5(packed.getvalue())]
    monkeypatch.setattr(datasets.SVHN, "split_list", declared)
