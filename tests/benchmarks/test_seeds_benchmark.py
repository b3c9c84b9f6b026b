import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import seeds
from quality_protocols import measure

from autoencoders.data.prepared import PreparedData
from autoencoders.model_folder import load_trained
from autoencoders.params import Params


@pytest.fixture
def file(tmp_path: Path) -> Path:
    network = {"latent": 2, "hidden": [8]}
    models = {
        "pca": {"kind": "pca", "latent": 2},
        "ae": {"kind": "autoencoder", **network},
        "vae": {"kind": "vae", **network},
    }
    train = {"epochs": 2, "batch_size": 20, "learning_rate": 0.01, "precision": "fp32"}
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump({"device": "cpu", "train": train, "models": models}))
    return path


def test_models_are_those_of_the_stage_train(params: Params, prepared: Path, trained: Path) -> None:
    data, cpu = PreparedData(prepared), torch.device("cpu")
    for name in ("ae", "vae"):
        found = seeds.trained(params, name, params.train.seed, data)
        found.pop("cpu_seconds")
        model = load_trained(trained / name, cpu).model
        assert found == measure(model, np.array(data.split("test").images), cpu)


def test_seeds_differ_and_their_spread_is_told(file: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seeds.main(["--params", str(file), "--data", str(prepared), "--seeds", "2"]) == 0
    told = capsys.readouterr()
    runs = told.err.splitlines()
    assert [line.split(":")[0] for line in runs] == ["ae, seed 0", "ae, seed 1", "vae, seed 0", "vae, seed 1"]
    errors = [float(line.split("mse ")[1].split(",")[0]) for line in runs]
    assert errors[0] != errors[1] and errors[2] != errors[3]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in told.out.splitlines()]
    assert [row[:2] for row in rows[2:]] == [["ae", "2"], ["vae", "2"]]
    for row, pair in zip(rows[2:], (errors[:2], errors[2:]), strict=True):
        assert abs(float(row[2].split(" ± ")[0]) - sum(pair) / 2) < 1.1e-5
    assert rows[2][3] == "–" and " ± " in rows[3][3]


def test_mean_and_standard_deviation() -> None:
    assert seeds.spread([1.0, 2.0, 4.5], 2) == "2.50 ± 1.80"
    assert seeds.spread([1.25], 1) == "1.2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "vea"], "unknown 'vea'. Did you mean 'vae'?"),
        (["--data", "nowhere"], "nowhere holds no prepared data"),
        (["--params", "none.yaml"], "none.yaml"),
    ],
)
def test_a_mistake_is_one_line(
    file: Path, prepared: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seeds.main(["--params", str(file), "--data", str(prepared), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1
