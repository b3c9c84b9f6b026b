"""What the processes that `speed.py` starts have in common: options in as JSON, rows out as JSON.

Run by itself it downloads and prepares MNIST, so that the process that starts the others stays small.
"""

import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
SET = "mnist"


class Raw(NamedTuple):
    """One measured value."""

    subject: str
    metric: str
    round: int
    value: float
    precision: str


Options = dict[str, Any]
"""`data` is the folder of downloaded and prepared images; the others are each script's own."""


def child(measure: Callable[[Options], Sequence[Raw]]) -> None:
    """Call `measure` with the options of the first argument and print its rows as the last line of the output."""
    print(json.dumps([list(row) for row in measure(json.loads(sys.argv[1]))]), flush=True)


@cache
def images_of(data: str, mirror: str | None = None) -> tuple["NDArray[np.uint8]", "NDArray[np.uint8]"]:
    """Return all 60,000 training and all test images, uint8 (N, 1, 28, 28), in memory."""
    import numpy as np
    from quality import load_images

    images = load_images(SET, Path(data), mirror)
    return images.train, np.array(images.test)


def _prepare(options: Options) -> list[Raw]:
    images_of(options["data"], options["mirror"])
    return []


if __name__ == "__main__":
    child(_prepare)
