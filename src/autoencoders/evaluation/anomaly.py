"""How unusual an image is to a trained model, and how unusual is too unusual.

The squared error says how badly the model redraws the image. A VAE's −ELBO adds how far its code lies from the prior,
but also grows with how much there is to draw, however well it is drawn. So the squared error ranks: on MNIST it tells a
digit that was never seen from the others better than −ELBO does (benchmarks/anomalies.py).
The threshold of a score is a high quantile of it over images held to be ordinary: the validation split.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from autoencoders.models import Model, all_finite
from autoencoders.models.gaussian import kl_to_standard_normal, reparameterise

QUANTILE = 0.99
"""Share of ordinary images below a threshold: of a hundred such images, one is flagged all the same."""
N_DRAWS = 4
"""Samples of z that the ELBO is averaged over."""


class AnomalyScores(NamedTuple):
    """One number an image, each (N,); the larger, the more unusual."""

    mse: Tensor
    """Squared error of the reconstruction, mean over pixels; a VAE decodes the mean."""
    neg_elbo: Tensor | None
    """−ELBO in nats, β = 1; None where a code is a point."""


def anomaly_scores(model: Model, x: Tensor) -> AnomalyScores:
    """Score images (N, C, H, W) in [0, 1]; call under `torch.no_grad`.

    Every image meets the same draws of noise: its score does not depend on the images beside it, nor on the device.
    Raises `UserError` where a code is NaN or infinite.
    """
    mu, logvar = model.posterior(x)
    mse = (model.decode(all_finite(mu, "codes")) - x).square().flatten(1).mean(1)
    if logvar is None:
        return AnomalyScores(mse, None)
    all_finite(logvar, "codes")
    noise = torch.randn(N_DRAWS, model.latent, generator=torch.Generator().manual_seed(0)).to(mu)
    draws = [model.log_likelihood(x, reparameterise(mu, logvar, draw)) for draw in noise]
    return AnomalyScores(mse, kl_to_standard_normal(mu, logvar).sum(1) - torch.stack(draws).mean(0))


def thresholds(model: Model, batches: Iterable[Tensor]) -> dict[str, float]:
    """Return `quantile` and, of each score that the model has, that quantile over the images of all `batches`."""
    scores = concatenate(anomaly_scores(model, x) for x in batches)
    found = {"quantile": QUANTILE}
    for name, values in scores._asdict().items():
        if values is not None:
            found[name] = float(np.quantile(values.double().cpu().numpy(), QUANTILE))
    return found


def concatenate(parts: Iterable[AnomalyScores]) -> AnomalyScores:
    """Return the scores of several batches as those of one; raises `UserError` where one is NaN or infinite."""
    mse, neg_elbo = zip(*parts, strict=True)
    return AnomalyScores(
        all_finite(torch.cat(mse), "scores"), None if neg_elbo[0] is None else all_finite(torch.cat(neg_elbo), "scores")
    )
