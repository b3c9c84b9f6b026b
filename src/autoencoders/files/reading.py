"""Reading a file that anybody may have damaged: no more of it than there can be, and in one line what is wrong."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from autoencoders.errors import printable

if TYPE_CHECKING:
    from pydantic import BaseModel

MOST_TEXT = 2**20
"""Bytes of a file of JSON: a model's are two thousand."""
LONGEST_REASON = 200

DAMAGE = (OSError, ValueError, RecursionError)
"""What the functions of this module raise where a file is missing, is none, or does not hold what it should."""


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading its bytes; a pipe, at which this would wait for its other end, is a `ValueError`."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    return path.open("rb")


def read_bytes(path: Path, most: int = MOST_TEXT) -> bytes:
    """Return what a file holds; raises `ValueError` where that is more than `most` bytes."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"it is larger than {most / 2**20:g} MiB")
        return file.read(size)


def read_json(path: Path) -> Any:
    """Return what a file of JSON holds, in UTF-8."""
    return json.loads(read_bytes(path).decode("utf-8"))


def check(model: "type[BaseModel]", value: Any) -> None:
    """Raise `ValueError` where `value` does not hold what `model` describes; its message names the first such key."""
    from pydantic import ValidationError

    try:
        model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if "function-" not in str(part))
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise ValueError(f"{place}: {message}" if place else message) from None


def read_checked(path: Path, model: "type[BaseModel]") -> dict[str, Any]:
    """Return what a file of JSON holds, as it stands there, once it is seen to be what `model` describes."""
    value = read_json(path)
    check(model, value)
    return dict(value)


def reason(error: BaseException) -> str:
    """Return why a file could not be read, in a few words."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    text = printable(text.strip().splitlines()[0].rstrip(".") if text.strip() else type(error).__name__)
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def numbers(row: Mapping[str, str | None]) -> dict[str, float]:
    """Return the cells of a row of a CSV file that are not empty; raises `ValueError` where one is no number."""
    if None in row:
        raise ValueError("a line has more cells than the first")
    return {key: float(value) for key, value in row.items() if value}
