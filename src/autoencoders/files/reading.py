"""Read files that may be damaged: never more than a bound, and with one line that says what is wrong."""

import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from autoencoders.errors import UserError, printable

MAX_JSON_BYTES = 2**20
"""The most bytes of a file of JSON; a model's has two thousand."""
MAX_SIDE = 1024
"""The most pixels of a side of an image, in files of data and models as in params.yaml."""
MAX_REASON_LENGTH = 200
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
FullScale = Literal[255, 1023, 4095, 16383, 65535]
"""The largest values of the depths that cameras and other devices have: 8, 10, 12, 14 and 16 bits."""
Fit = Literal["pad", "crop", "stretch"]
"""How an image of another aspect ratio is brought to a size."""
NOT_A_FILE = "not a regular file"

DAMAGE = (OSError, ValueError, RecursionError)
"""What the functions of this module raise where a file is missing, is a folder, or does not hold what it should."""


def open_file(path: Path) -> BufferedReader:
    """Open a regular file for reading its bytes.

    Raise `OSError` at once for anything else: opening a pipe would wait for its other end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, NOT_A_FILE, str(path))
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """Return what a file holds; raise `ValueError` where that is more than `max_bytes`."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise ValueError(f"it is larger than {max_bytes / 2**20:g} MiB")
        return file.read(size)


def read_json(path: Path) -> Any:
    """Return what a file of JSON holds, in UTF-8."""
    return json.loads(read_bytes(path).decode("utf-8"))


def read_checked(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Return what a file of JSON holds; raise `ValueError` where that does not fit `model`."""
    value = read_json(path)
    model.model_validate(value)
    return dict(value)


@contextmanager
def damage_named(path: Path, cure: str, *also: type[Exception]) -> Iterator[None]:
    """Raise `UserError` with the name of the file, what is wrong with it and the `cure`, where reading `path` fails.

    A reading fails with what the functions of this module raise, or with `also`.
    """
    try:
        yield
    except DAMAGE + also as error:
        fault = f"is missing or damaged ({reason(error)})"
        if _is_earlier(error):
            fault = "was made by an earlier version of this package"
        raise UserError(f"{path} {fault}. {cure}") from error


def _is_earlier(error: Exception) -> bool:
    """Return whether a file's `format` is a lower number than the one that is read here."""
    first = error.errors()[0] if isinstance(error, ValidationError) else None
    if first is None or first["loc"] != ("format",) or not isinstance(first["input"], int):
        return False
    return first["input"] < int(first["ctx"]["expected"])


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays in an archive of NumPy's, by name; raise anything where it is damaged."""
    with open_file(path) as file, np.load(file, allow_pickle=False) as stored:
        return dict(stored)


def reason(error: BaseException) -> str:
    """Return why a file could not be read, in a few words."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, ValidationError):
        text = _first_problem(error)
    else:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = printable(text.strip().splitlines()[0].rstrip(".") if text.strip() else type(error).__name__)
    return text if len(text) <= MAX_REASON_LENGTH else f"{text[:MAX_REASON_LENGTH]}…"


def _first_problem(error: ValidationError) -> str:
    """Return the first thing that pydantic found wrong, as ``key: message``."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"] if "function-" not in str(part))
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{place}: {message}" if place else message


def numbers(row: Mapping[str, str | None]) -> dict[str, float]:
    """Return the cells of a row of a CSV file that are not empty; raise `ValueError` where one is no number."""
    if None in row:
        raise ValueError("a line has more cells than the first")
    return {key: float(value) for key, value in row.items() if value}
