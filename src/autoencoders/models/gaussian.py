"""The Gaussian N(mu, diag exp(logvar)) over codes: drawing from it, and how far it is from N(0, I).

Arrays are torch's or numpy's. Each library's own functions are used: their results differ in the last bit.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array = TypeVar("Array", Tensor, "NDArray[Any]")


def reparameterise(mu: Array, logvar: Array, noise: Array) -> Array:
    """Return z = mu + sigma · noise, differentiable in `mu` and `logvar` (Kingma & Welling 2014, section 2.4).

    `noise` is drawn from N(0, I); the shapes broadcast against each other.
    """
    sigma = torch.exp(0.5 * logvar) if isinstance(logvar, Tensor) else np.exp(0.5 * logvar)
    return mu + sigma * noise


def kl_to_standard_normal(mu: Array, logvar: Array) -> Array:
    """Return KL(N(mu, exp logvar) ‖ N(0, 1)) of each dimension in nats, shaped as `mu`.

    (mu² + sigma² − 1 − log sigma²) / 2 (Kingma & Welling 2014, appendix B). expm1(v) − v keeps the digits that
    exp(v) − 1 − v loses where a dimension has collapsed. Of numpy's arrays the value is never negative.
    """
    if isinstance(logvar, Tensor):
        return 0.5 * (mu.square() + torch.expm1(logvar) - logvar)
    return 0.5 * (mu**2 + np.maximum(np.expm1(logvar) - logvar, 0))
