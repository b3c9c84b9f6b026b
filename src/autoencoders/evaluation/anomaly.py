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

from autoencoders.models import VAE, Model, all_finite
from autoencoders.models.vae import kl_to_standard_normal

QUANTILE = 0.99
"""Share of ordinary images below a threshold: of a hundred such images, one is flagged all the same."""
DRAWS = 4
"""Samples of z that the ELBO is averaged over."""


class AnomalyScores(NamedTuple):
    """One number an image, each (N,); the larger, the more unusual."""

    mse: Tensor
    """Squared error of the reconstruction, mean over pixels; a VAE decodes the mean."""
    neg_elbo: Tensor | None
    """−ELBO in nats, β = 1; None where the model is no VAE."""


def anomaly_scores(model: Model, x: Tensor) -> AnomalyScores:
    """Score images (N, C, H, W) in [0, 1]; call under `torch.no_grad`.

    Every image meets the same draws of noise: its score does not depend on the images beside it, nor on the device.
    Raises `UserError` where a code is NaN or infinite.
    """
    if not isinstance(model, VAE):
        return AnomalyScores(_squared_error(x, model.decode(all_finite(model.encode(x), "codes"))), None)
    mu, logvar = (all_finite(part, "codes") for part in model.posterior(x))
    sigma = torch.exp(0.5 * logvar)
    noise = torch.randn(DRAWS, model.latent, generator=torch.Generator().manual_seed(0)).to(mu)
    log_likelihood = torch.stack([model.log_likelihood(x, mu + one * sigma) for one in noise]).mean(0)
    return AnomalyScores(_squared_error(x, model.decode(mu)), kl_to_standard_normal(mu, logvar).sum(1) - log_likelihood)


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


def _squared_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    return (reconstruction - x).square().flatten(1).mean(1)
