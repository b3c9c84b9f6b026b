"""How unusual an image is to a trained model, and the threshold above which it is an anomaly.

The squared error measures how badly the model reconstructs the image. A VAE's −ELBO adds the distance of its code from
the prior, but also grows with the amount of detail, even if it is reconstructed well. On MNIST the squared error
separates a digit that the model was not trained on from the others better than −ELBO does (benchmarks/anomalies.py).
The threshold of a score is a high quantile of it over images assumed to be normal: the validation split.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from autoencoders.models import Model, all_finite
from autoencoders.models.gaussian import kl_to_standard_normal, reparameterise

QUANTILE = 0.99  # share of normal images below a threshold: one in a hundred is above it
N_DRAWS = 4  # samples of z that the ELBO is averaged over


class AnomalyScores(NamedTuple):
    """One number for each image, each (N,); larger is more unusual."""

    mse: Tensor  # squared error of the reconstruction, mean over pixels; a VAE decodes the mean
    neg_elbo: Tensor | None  # −ELBO in nats, β = 1; None where a code is a point


def anomaly_scores(model: Model, x: Tensor) -> AnomalyScores:
    """Score images (N, C, H, W) in [0, 1]; call under `torch.no_grad`.

    All images share the same draws of noise: a score depends neither on the other images nor on the device.
    Raise `UserError` where a code is NaN or infinite.
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
    """Return `quantile`, and that quantile of each of the model's scores over the images of all `batches`."""
    scores = concatenate(anomaly_scores(model, x) for x in batches)
    found = {"quantile": QUANTILE}
    for name, values in scores._asdict().items():
        if values is not None:
            found[name] = float(np.quantile(values.double().cpu().numpy(), QUANTILE))
    return found


def concatenate(parts: Iterable[AnomalyScores]) -> AnomalyScores:
    """Return the scores of several batches as those of one; raise `UserError` where one is NaN or infinite."""
    mse, neg_elbo = zip(*parts, strict=True)
    return AnomalyScores(
        all_finite(torch.cat(mse), "scores"), None if neg_elbo[0] is None else all_finite(torch.cat(neg_elbo), "scores")
    )
