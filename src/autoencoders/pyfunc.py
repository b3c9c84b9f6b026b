"""The model as MLflow loads and serves it: images in, reconstructions or codes out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.model_folder import load_trained

EVAL_BATCH = 1000
OUTPUTS = ("reconstructions", "codes")
"""What the inference parameter `output` may be; the first is the default."""


class Reconstructor:
    """A trained model behind MLflow's `predict`."""

    def __init__(self, folder: Path) -> None:
        self._model = load_trained(folder).model

    @torch.inference_mode()
    def predict(self, images: NDArray[np.float32], params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Images float32 (N, C, H, W) in [0, 1] → their reconstructions, same shape; a VAE decodes the mean.

        With `params={"output": "codes"}` → their codes (N, latent). Raise `MlflowException`, which MLflow's server
        answers with HTTP 400 and its message, for any other output and for images with values outside [0, 1], NaN among
        them; with 500 where the result would not be finite.
        """
        output = (params or {}).get("output", OUTPUTS[0])
        if output not in OUTPUTS:
            raise _refusal(f"params.output must be one of {', '.join(OUTPUTS)}, found {output!r}.")
        x = torch.from_numpy(np.array(images, dtype=np.float32))
        if len(x) and not (x.min() >= 0 and x.max() <= 1):  # NaN compares false
            low, high = x.min().item(), x.max().item()
            raise _refusal(f"images must be floats in [0, 1], found values from {low:.4g} to {high:.4g}.")
        codes = torch.cat([self._model.encode(part) for part in x.split(EVAL_BATCH)])
        made = codes if output == "codes" else torch.cat([self._model.decode(z) for z in codes.split(EVAL_BATCH)])
        if not (codes.isfinite().all() and made.isfinite().all()):
            raise _refusal("the model gives NaN or infinity: its weights are too large.", "INTERNAL_ERROR")
        return made.numpy()


def _refusal(message: str, code: str = "INVALID_PARAMETER_VALUE") -> Exception:
    """Return the only kind of exception of which MLflow's server answers the message."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ErrorCode

    return MlflowException(message, error_code=ErrorCode.Value(code))


def _load_pyfunc(data_path: str) -> Reconstructor:
    """Load what `mlflow.pyfunc.load_model` asks for: the model's folder, as it was logged."""
    return Reconstructor(Path(data_path))
