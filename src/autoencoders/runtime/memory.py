"""Work that needs more memory than there is: one line, before the work begins if that can be known."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autoencoders.errors import UserError

LIMIT = Path("/sys/fs/cgroup/memory.max")
"""File with the limit of a container's memory: a number of bytes, or `max`."""
_WORDS = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")
"""What torch says on a CPU and on a GPU; its exceptions have no class of their own on a CPU."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed, of Python, NumPy or torch."""
    is_torchs = isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)
    return is_torchs or isinstance(error, MemoryError)


@contextmanager
def memory_for(what: str, size: int, cure: str) -> Iterator[None]:
    """Raise `UserError` if there is no memory for `what`, which needs at least `size` bytes: at once or later."""
    if size > machine_memory():
        raise UserError(f"{what} needs {size_text(size)} of memory, there are {size_text(machine_memory())}. {cure}")
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(f"not enough memory: {what} needs {size_text(size)} or more. {cure}") from error


def machine_memory() -> int:
    """Return how many bytes of memory there are, used ones too: those of the container in one, without swap."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no container, or without a limit
        found = min(found, int(LIMIT.read_text()))
    return found


def size_text(size: int) -> str:
    """Return a number of bytes such as ``17.2 GB`` or ``340 MB``."""
    if size < 1e9:
        return f"{max(1, round(size / 1e6))} MB"
    return f"{size / 1e9:,.{0 if size >= 1e11 else 1}f} GB"
