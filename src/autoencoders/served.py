"""The model as MLflow loads and serves it: images in, reconstructions or codes out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.errors import UserError
from autoencoders.trained import load_trained

BATCH = 1000
OUTPUTS = ("reconstructions", "codes")
"""What the inference parameter `output` may be; the first is the default."""


class Reconstructor:
    """A trained model behind MLflow's `predict`."""

    def __init__(self, folder: Path) -> None:
        self._model = load_trained(folder).model

    @torch.inference_mode()
    def predict(self, images: NDArray[np.float32], params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Images float32 (N, C, H, W) in [0, 1] → their reconstructions, same shape; a VAE decodes the mean.

        With `params={"output": "codes"}` → their codes (N, latent). Raises `UserError` for any other output.
        """
        output = (params or {}).get("output", OUTPUTS[0])
        if output not in OUTPUTS:
            raise UserError(f"params.output must be one of {', '.join(OUTPUTS)}, found {output!r}.")
        x = torch.from_numpy(np.array(images, dtype=np.float32))
        codes = (self._model.encode(part) for part in x.split(BATCH))
        return torch.cat([z if output == "codes" else self._model.decode(z) for z in codes]).numpy()


def _load_pyfunc(data_path: str) -> Reconstructor:
    """Load what `mlflow.pyfunc.load_model` asks for: the model's folder, as it was logged."""
    return Reconstructor(Path(data_path))
