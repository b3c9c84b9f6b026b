"""Write settings for a folder of your own images into params.yaml."""

import subprocess
import textwrap
from pathlib import Path

from autoencoders.commands.settings import choose
from autoencoders.data.survey import survey
from autoencoders.errors import UserError, printable
from autoencoders.files.results import atomic_file
from autoencoders.params import load_params, parse_params
from autoencoders.params.file import edit_yaml, read_yaml

PARAMS = Path("params.yaml")
WIDTH = 110


def init(folder: Path, *, force: bool = False) -> None:
    """Look at a folder of images, and write settings for them into params.yaml, each with its reason as a comment.

    All other settings stay as they are. Raise `UserError` if git does not hold the file as it is.
    """
    if not PARAMS.is_file():
        raise UserError(f"{PARAMS} does not exist in {Path.cwd()}. Run from the repository root.")
    params = load_params(PARAMS)
    if not force and not _is_committed(PARAMS):
        raise UserError(
            f"{PARAMS} has changes that git does not hold, and some would be overwritten. Commit them, or add --force."
        )
    changes = choose(folder, survey(folder), params)
    text = edit_yaml(
        PARAMS.read_text(encoding="utf-8"),
        {key: (value, "\n".join(textwrap.wrap(printable(reason), WIDTH))) for key, (value, reason) in changes.items()},
    )
    parse_params(read_yaml(text))
    with atomic_file(PARAMS) as draft:
        draft.write_text(text, encoding="utf-8")
    for key, (value, reason) in changes.items():
        print(printable(f"{key}: {value}"))
        if reason:
            print(textwrap.indent(textwrap.fill(printable(reason), WIDTH), "    "))
    print("\nWritten to params.yaml, with the reasons. Next: `autoencoders check`, then `dvc repro`.")


def _is_committed(path: Path) -> bool:
    try:
        command = ["git", "show", f"HEAD:./{path.name}"]
        committed = subprocess.run(command, cwd=path.absolute().parent, capture_output=True, check=False)
    except OSError:  # git is not installed
        return False
    return committed.returncode == 0 and committed.stdout == path.read_bytes()
