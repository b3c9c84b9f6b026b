"""A folder of results is replaced as a whole, or not at all, whenever its writing fails."""

import errno
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from trees import tree

from autoencoders.errors import UserError
from autoencoders.files.results import result_folder

CONTENTS = st.dictionaries(st.sampled_from(["a.json", "b.csv", "codes/c.npy", "codes/d.npy"]), st.binary(max_size=20))
ERRORS = st.sampled_from([OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError("x")])


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


@given(CONTENTS, CONTENTS, st.integers(0, 8), ERRORS, st.booleans())
def test_a_write_that_fails_at_any_point_leaves_the_old_folder_whole(old, new, fails_at, error, exists):
    """The steps are the files that are written, and the two folders that are renamed."""
    steps = iter(range(100))

    def failing(step):
        def run(*arguments):
            if next(steps) == fails_at:
                raise error
            return step(*arguments)

        return run

    with TemporaryDirectory() as root:
        target = Path(root) / "results"
        if exists:
            target.mkdir()
            write(target, old)
        with (
            patch.object(Path, "write_bytes", failing(Path.write_bytes)),
            patch.object(Path, "rename", failing(Path.rename)),
        ):
            try:
                with result_folder(target, ["a.json", "b.csv", "codes/*"]) as draft:
                    write(draft, new)
                failed = False
            except (UserError, KeyboardInterrupt, ValueError):
                failed = True
        assert failed == (fails_at < len(new) + 1 + exists)
        assert target.exists() == (exists or not failed)
        if target.exists():
            assert tree(target) == (old if failed else new)
        assert [path.name for path in Path(root).iterdir()] == (["results"] if target.exists() else [])
