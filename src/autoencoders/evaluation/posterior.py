"""Where a model puts images in its latent space."""

from typing import NamedTuple

import torch
from torch import Tensor

from autoencoders.data.batches import Batches
from autoencoders.data.prepared import Split
from autoencoders.models import VAE, Model, all_finite

BATCH = 1000


class Posterior(NamedTuple):
    """q(z|x) of a split's images, each (N, k), on the device; `logvar` is None where a code is a point."""

    mean: Tensor
    logvar: Tensor | None


def posterior_of(model: Model, split: Split, device: torch.device) -> Posterior:
    """Return where the model puts a split's images; raises `UserError` where that is nowhere: NaN or infinity."""
    batches = Batches(split.images, BATCH, device).in_order()
    if not isinstance(model, VAE):
        return Posterior(all_finite(torch.cat([model.encode(x) for x in batches]), "codes"), None)
    means, logvars = (torch.cat(parts) for parts in zip(*(model.posterior(x) for x in batches), strict=True))
    return Posterior(all_finite(means, "codes"), all_finite(logvars, "codes"))
