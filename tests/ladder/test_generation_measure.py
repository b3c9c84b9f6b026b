"""The rung `generation`: where the codes lie, computed again with its split, seed and noise spelt out."""

import json

import numpy as np
import pytest
import torch

from autoencoders.data.prepared import PreparedData
from autoencoders.model_folder import load_trained
from autoencoders.params import parse_params
from autoencoders.stages.ladder import ladder

SEED = 7
METRICS = {
    "mse": 0.1, "frechet/prior": 4.0, "frechet/gaussian": 3.0, "frechet/mixture": 2.0, "frechet/floor": 1.0,
    "mmd": 0.2, "ks": 0.3,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), [("autoencoder", "ae"), ("vae", "vae")])
def test_the_spread_is_of_the_test_codes_and_a_vae_s_codes_are_draws(kind, name, params, prepared, trained, tmp_path):
    for model in ("ae", "vae"):
        (tmp_path / "evaluation" / model).mkdir(parents=True)
        (tmp_path / "evaluation" / model / "metrics.json").write_text(json.dumps(METRICS))
    settings = parse_params(params.model_dump() | {"evaluate": {"seed": SEED, "mixture_components": 2}})
    out = tmp_path / "generation"
    ladder(settings, "generation", data=prepared, models=trained, evaluation=tmp_path / "evaluation", out=out)

    x = torch.from_numpy(np.array(PreparedData(prepared).split("test").images)).float() / 255
    network = load_trained(trained / name).model
    with torch.no_grad():
        if kind == "vae":
            mu, logvar = (values.numpy() for values in network.posterior(x))
            codes = mu + np.sqrt(np.exp(logvar)) * np.random.default_rng(SEED).standard_normal(mu.shape)
        else:
            codes = network.encode(x).numpy()
    measured = json.loads((out / "rung.json").read_text())["metrics"]
    expected = {
        "smallest_std": codes.std(axis=0).min(),
        "largest_std": codes.std(axis=0).max(),
        "largest_mean": np.abs(codes.mean(axis=0)).max(),
    }
    assert {key: measured[f"{kind}/{key}"] for key in expected} == pytest.approx(expected, rel=1e-4)
