"""Codes in a file that remembers which weights made them.

codes.npz   codes (float32, (N, latent)), files (the N images they came from), model, weights_sha256, format
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoencoders.errors import UserError

FORMAT = 1


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
    """Return the codes in `path`; raises `UserError` where it holds none, or those of other weights than `model`'s."""
    try:
        with np.load(path) as stored:
            codes, files, by, made_by, form = (
                stored[name] for name in ("codes", "files", "model", "weights_sha256", "format")
            )
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. `autoencoders encode` writes such a file.") from None
    except Exception as error:  # reading what is no archive, or a damaged one, may raise anything
        raise UserError(f"{path} is no file of codes, or damaged. `autoencoders encode` writes one.") from error
    if str(form) != str(FORMAT) or codes.ndim != 2 or codes.dtype != np.float32 or files.shape != codes.shape[:1]:
        raise UserError(f"{path} is no file of codes of format {FORMAT}. `autoencoders encode` writes one.")
    if str(made_by) != weights_sha256:
        raise UserError(
            f"{path} holds codes by other weights ({by}, {str(made_by)[:12]}…) than those given ({model}, "
            f"{weights_sha256[:12]}…). Decode it with the model that encoded it."
        )
    return StoredCodes(codes, [str(name) for name in files])
