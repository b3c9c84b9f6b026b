"""The model as MLflow loads it: images in, reconstructions out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autoencoders.trained import load_trained

BATCH = 1000


class Reconstructor:
    """A trained model behind MLflow's `predict`."""

    def __init__(self, folder: Path) -> None:
        self._model = load_trained(folder).model

    @torch.inference_mode()
    def predict(self, images: NDArray[np.float32], params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Images float32 (N, C, H, W) in [0, 1] → their reconstructions, same shape; a VAE decodes the mean."""
        x = torch.from_numpy(np.array(images, dtype=np.float32))
        return torch.cat([self._model.decode(self._model.encode(part)) for part in x.split(BATCH)]).numpy()


def _load_pyfunc(data_path: str) -> Reconstructor:
    """Load what `mlflow.pyfunc.load_model` asks for: the model's folder, as it was logged."""
    return Reconstructor(Path(data_path))
