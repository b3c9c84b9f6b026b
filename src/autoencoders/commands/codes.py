"""A file of codes, with the hash of the weights that made them.

codes.npz   codes (float32, (N, latent)), files (the N images they came from), model, weights_sha256, format
"""

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoencoders.errors import UserError, printable
from autoencoders.files.reading import damage_named, open_file

FORMAT = 1
MARK = b"codes.npy"
"""The name of the first array in a file of codes, which is near its beginning."""
MAX_BYTES = 2**31
"""Largest file of codes: a few million images."""


class StoredCodes(NamedTuple):
    """What a codes file holds."""

    z: NDArray[np.float32]
    """(N, latent)"""
    files: list[str]
    """The N images that were encoded."""


def write_codes(path: Path, z: NDArray[np.float32], files: Sequence[str], model: str, weights_sha256: str) -> None:
    """Write codes (N, latent) of `files`, made by the weights of that hash; equal codes make equal bytes."""
    with path.open("wb") as file:  # given a path, numpy would append .npz to it
        np.savez(file, codes=z, files=np.array(files), model=model, weights_sha256=weights_sha256, format=FORMAT)


def read_codes(path: Path, model: str, weights_sha256: str) -> StoredCodes:
    """Return the codes in `path`; raise `UserError` if it holds none, or those of other weights than `model`'s.

    A damaged or malicious file takes no more memory than its size.
    """
    with damage_named(path, "`autoencoders encode` writes such a file.", Exception):  # an archive may raise anything
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise ValueError("it is larger than any file of codes")
            codes, files, by, made_by, form = (
                _read_array(archive, name) for name in ("codes", "files", "model", "weights_sha256", "format")
            )
        fits = codes.ndim == 2 and codes.dtype == np.float32 and files.shape == codes.shape[:1]
        if str(form) != str(FORMAT) or not fits or files.dtype.kind != "U":
            raise ValueError(f"it holds no codes of format {FORMAT}")
    if str(made_by) != weights_sha256:
        raise UserError(
            f"{path} holds codes by other weights ({printable(str(by)[:200])}, {printable(str(made_by)[:12])}…) than "
            f"those given ({model}, {weights_sha256[:12]}…). Decode it with the model that encoded it."
        )
    return StoredCodes(codes, [str(name) for name in files])


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return an array of the archive; raise `ValueError` if it is compressed, or its bytes do not fit its shape."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed")  # a few bytes of it could be gigabytes
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        content = file.read()
    if dtype.hasobject or len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"its array {name} has {len(content):,} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")
