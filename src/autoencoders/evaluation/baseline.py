"""How a model stands to PCA: its squared error, divided by that of PCA with as many numbers on the same images."""

from typing import TYPE_CHECKING

import torch

from autoencoders.data.batches import Batches
from autoencoders.evaluation.reconstruction import mse
from autoencoders.models import PCA, Shape
from autoencoders.params import Pca

if TYPE_CHECKING:
    from autoencoders.data.principal_components import PrincipalComponents

NO_ERROR = 1e-8
"""Squared error per pixel that counts as none, a fortieth of a grey level: ratios to it mean nothing."""


@torch.inference_mode()
def mse_over_pca(error: float, components: "PrincipalComponents", shape: Shape, images: Batches) -> float | None:
    """Return the MSE `error` on `images` of `shape` (C, H, W), divided by PCA's; None where that is none.

    `components` are as many as the model's code has numbers. PCA is measured as it is, without clipping.
    """
    pca = PCA(Pca(latent=len(components.variances)), shape)
    pca.initialise(components)
    pca.to(images.device)
    baseline = torch.cat([mse(x, pca(x)) for x in images.in_order()]).double().mean().item()
    return None if baseline <= NO_ERROR else error / baseline
