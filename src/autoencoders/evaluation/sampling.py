"""The posterior of images, and draws of codes from it."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from autoencoders.data.batches import EVAL_BATCH, Batches
from autoencoders.data.prepared import Split
from autoencoders.models import Model, all_finite
from autoencoders.models.gaussian import reparameterise

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Posterior(NamedTuple):
    """q(z|x) of a split's images, each (N, k), on the device; `logvar` is None where a code is a point."""

    mean: Tensor
    logvar: Tensor | None

    def sample(self, seed: int) -> "NDArray[np.float32]":
        """Return one draw of each image's code, (N, k): the code itself where it is a point."""
        mean = self.mean.cpu().numpy()
        if self.logvar is None:
            return mean
        noise = np.random.default_rng(seed).standard_normal(mean.shape)
        return reparameterise(mean, self.logvar.cpu().numpy(), noise).astype(np.float32)


@torch.inference_mode()
def posterior_of(model: Model, split: Split, device: torch.device) -> Posterior:
    """Return the posterior of a split's images; raise `UserError` where it is NaN or infinite."""
    parts = [model.posterior(x) for x in Batches(split.images, EVAL_BATCH, device).in_order()]
    logvars = [logvar for _, logvar in parts if logvar is not None]
    mean = all_finite(torch.cat([mean for mean, _ in parts]), "codes")
    return Posterior(mean, all_finite(torch.cat(logvars), "codes") if logvars else None)
