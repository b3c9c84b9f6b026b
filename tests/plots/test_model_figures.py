"""What the learned distribution is drawn of: N(0, 1) where training forms the codes, else the model's own codes."""

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from autoencoders import params
from autoencoders.data.prepared import Split
from autoencoders.params import Plots
from autoencoders.plots import model_figures
from autoencoders.plots.latent_plane import normal_quantiles

CODES = np.random.default_rng(0).normal([5, -3, 1], [4, 0.5, 2], (400, 3)).astype(np.float32)


class Recorder:
    """A model that keeps the codes that it is asked to decode."""

    latent = 3

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        self.z = z.numpy()
        return torch.zeros(len(z), 1, 4, 4)


@pytest.mark.parametrize("kind", [params.Autoencoder, params.Vae])
def test_the_learned_distribution_is_where_the_codes_of_the_model_are(kind, monkeypatch):
    titles = []
    drawn = model_figures.learned_distribution

    def draw(*values: Any, **more: Any) -> Figure:
        titles.append(values[3])
        return drawn(*values, **more)

    monkeypatch.setattr(model_figures, "learned_distribution", draw)
    model = Recorder()
    entry = kind(latent=3, arch="mlp", hidden=[4])
    evaluated = model_figures.EvaluatedModel("m", entry, model, None, {}, CODES, CODES[:, 0], None)  # type: ignore[arg-type]
    test = Split(np.zeros((400, 1, 4, 4), np.uint8), None)
    model_figures.figures_of_one(evaluated, test, None, Plots(grid=5))
    probabilities = np.linspace(0.05, 0.95, 5)
    across, up = model.z[:5, 0], model.z[::5, 2][::-1]  # z₁ and z₃ are the widest
    if evaluated.kind.has_posterior:
        assert across == pytest.approx(normal_quantiles(probabilities), abs=1e-6)
        assert up == pytest.approx(normal_quantiles(probabilities), abs=1e-6)
        assert set(model.z[:, 1]) == {0}
    else:
        assert across == pytest.approx(np.quantile(CODES[:, 0], probabilities), abs=1e-5)
        assert up == pytest.approx(np.quantile(CODES[:, 2], probabilities), abs=1e-5)
        assert model.z[:, 1] == pytest.approx(np.median(CODES[:, 1]))
    others = "others 0" if evaluated.kind.has_posterior else "others at their median"
    assert titles == [f"m: learned distribution, the two widest dimensions ({others})"]
