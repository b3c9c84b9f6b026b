"""What a call of the command line gives, and its files."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

COUNT = 6
"""Pictures in the folder `pictures`."""


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


def read(path: Path) -> np.ndarray:
    """A PNG as uint8, (H, W) or (H, W, 3)."""
    with Image.open(path) as image:
        return np.array(image)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
