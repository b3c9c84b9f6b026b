"""What the stage `evaluate` left of a model."""

import json
from pathlib import Path

from autoencoders.errors import UserError


def read_metrics(folder: Path) -> dict[str, float]:
    """Return what the evaluation of a model measured; raises `UserError` where it is missing."""
    try:
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{folder}/metrics.json is missing or damaged ({error}). Run the `evaluate` stage.") from error
