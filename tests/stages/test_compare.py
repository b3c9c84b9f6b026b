"""The comparison as text: digits, and what is marked."""

import json
from pathlib import Path

import pandas as pd

from autoencoders.params import Params, parse_params
from autoencoders.stages.compare import compare, table_as_text

MEASURED = pd.DataFrame(
    {
        "kind": ["autoencoder", "vae"],
        "latent": [16, 16],
        "mse": [0.0078912, 0.0091],
        "frechet/prior": [302.6, 34.08],
        "frechet/mixture": [6.704, 0.5634],
        "train_seconds": [None, 3.046],
    },
    index=["ae", "vae"],
)


def test_distances_and_seconds_have_three_digits():
    shown = table_as_text(MEASURED)
    assert list(shown["MSE"]) == ["0.00789*", "0.00910"]
    assert list(shown["FD N(0,I)"]) == ["303", "34.1*"]
    assert list(shown["FD mix"]) == ["6.70", "0.563*"]
    assert list(shown["train s"]) == ["–", "3.05"]


def compared(params: Params, names: list[str], folder: Path) -> str:
    """What `compare` writes of models that have each twice the error of the one before."""
    for place, name in enumerate(names):
        (folder / name).mkdir()
        metrics = {"mse": 0.01 * 2**place, "frechet/prior": 9.0, "frechet/floor": 0.5634}
        (folder / name / "metrics.json").write_text(json.dumps(metrics))
    raw = params.model_dump()
    raw["models"] = {name: raw["models"][name] for name in names}
    compare(parse_params(raw), models=folder, evaluation=folder, out=folder / "comparison")
    return (folder / "comparison" / "comparison.txt").read_text(encoding="utf-8")


def test_the_best_of_several_models_is_marked(params, tmp_path):
    text = compared(params, ["ae", "vae"], tmp_path)
    assert "0.01000*" in text
    assert "9.00*" not in text  # both are equal
    assert "Test split. * is a column's best. MSE" in text
    assert "(real images) is 0.563." in text


def test_one_model_alone_is_not_the_best(params, tmp_path):
    text = compared(params, ["ae"], tmp_path)
    assert "0.01000" in text
    assert "*" not in text
