"""Places for checkpoints: a folder, and object stores in this process's memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem


@pytest.fixture
def memory() -> Iterator[str]:
    """The URL of an object store that is empty."""
    yield "memory://bucket"
    MemoryFileSystem.store.clear()


@pytest.fixture(params=["folder", "store"])
def where(request, tmp_path, memory) -> Path | str:
    """Where a checkpoint may be kept."""
    return tmp_path / "vae" if request.param == "folder" else f"{memory}/vae"


@pytest.fixture
def flaky(memory) -> Iterator[set[str]]:
    """Methods that fail, of the store at `flaky://`."""
    failing: set[str] = set()

    class Flaky(MemoryFileSystem):
        protocol = "flaky"

        def _do(self, method: str, *arguments: Any) -> Any:
            if method in failing:
                raise OSError(f"the {method} was refused at http://me:secret@host.\nand why")
            return getattr(super(), method)(*arguments)

        def pipe_file(self, *arguments: Any) -> None:
            self._do("pipe_file", *arguments)

        def rm_file(self, *arguments: Any) -> None:
            self._do("rm_file", *arguments)

        def cat_file(self, *arguments: Any) -> Any:
            return self._do("cat_file", *arguments)

    fsspec.register_implementation("flaky", Flaky, clobber=True)
    yield failing
