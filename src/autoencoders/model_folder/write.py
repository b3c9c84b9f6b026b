"""Writing a trained model's folder."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.model_folder.schema import FORMAT, WEIGHTS

if TYPE_CHECKING:
    from autoencoders.models import Model


def save_trained(folder: Path, model: "Model", description: dict[str, Any]) -> dict[str, Any]:
    """Write weights and `model.json` into `folder`; return the description with the weights' SHA-256 added."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()})
    (folder / WEIGHTS).write_bytes(weights)
    complete = {
        "format": FORMAT,
        **description,
        "parameters": sum(value.numel() for value in model.state_dict().values()),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    (folder / "model.json").write_text(json.dumps(complete, indent=2) + "\n", encoding="utf-8")
    return complete
