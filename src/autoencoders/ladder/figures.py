"""Drawing a rung's figure, by `figure.py` in the rung's folder, from stored facts and arrays."""

from importlib import import_module
from pathlib import Path
from typing import Any

from autoencoders.ladder.record import Arrays, damaged, read_arrays, read_rung
from autoencoders.plots.style import save


def read_drawable(folder: Path) -> tuple[dict[str, Any], Arrays] | None:
    """Return `rung.json` and the arrays of the rung in `folder`; None where it measured nothing.

    Raise `UserError` where the folder holds no rung, or a damaged one.
    """
    record = read_rung(folder)
    return (record, read_arrays(folder)) if record["metrics"] else None


def draw_rung(folder: Path, file: Path) -> bool:
    """Draw the rung in `folder` as the PNG `file`; return whether there was anything to draw.

    Raise `UserError` where the folder holds no rung, or a damaged one.
    """
    drawable = read_drawable(folder)
    if drawable is None:
        return False
    record, arrays = drawable
    module = import_module(f"autoencoders.ladder.{record['name'].replace('-', '_')}.figure")
    try:
        figure = module.draw(record["facts"], arrays)
    except (LookupError, TypeError, ValueError) as error:
        raise damaged(folder / "arrays.npz", f"{type(error).__name__}: {error}") from error
    save(figure, file)
    return True
