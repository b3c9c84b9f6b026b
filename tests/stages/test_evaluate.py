import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.model_folder import load_trained
from autoencoders.params import Params
from autoencoders.stages.evaluate import evaluate
from autoencoders.stages.features import features


@pytest.fixture
def evaluated(params: Params, prepared: Path, trained: Path, tmp_path: Path) -> Path:
    """What the stage writes of the VAE, with nothing but DVC's way of starting it."""
    return run(params, prepared, trained, tmp_path)


def run(params: Params, prepared: Path, trained: Path, folder: Path) -> Path:
    features(params, data=prepared, out=folder / "features")
    evaluate(params, model=trained / "vae", data=prepared, features=folder / "features", out=folder / "evaluation")
    return folder / "evaluation"


def test_metrics_and_codes_are_those_of_the_test_images(evaluated: Path, prepared: Path, trained: Path) -> None:
    x = torch.from_numpy(np.array(PreparedData(prepared).split("test").images)).float() / 255
    with torch.no_grad():
        network = load_trained(trained / "vae").model
        z = network.encode(x)
        mse = (network.decode(z) - x).square().mean().item()
    metrics = json.loads((evaluated / "metrics.json").read_text())
    assert metrics["mse"] == pytest.approx(mse, rel=1e-5)
    np.testing.assert_allclose(np.load(evaluated / "codes" / "test.npy"), z.numpy(), atol=1e-6)
    assert metrics["elbo"] == pytest.approx(-metrics["recon"] - metrics["kl"], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"content_hash": "0" * 64},
            "features was made from other data than is prepared now. Run the `features` stage",
        ),
        ({}, "features was made from data that it does not name. Run the `features` stage again"),
    ],
)
def test_features_of_other_data_are_refused(
    params: Params, prepared: Path, trained: Path, evaluated: Path, tmp_path: Path, changes: dict, message: str
) -> None:
    path = tmp_path / "features" / "features.json"
    described = json.loads(path.read_text())
    assert described.pop("content_hash") == PreparedData(prepared).info.content_hash
    path.write_text(json.dumps(described | changes))
    before = (evaluated / "metrics.json").read_bytes()
    with pytest.raises(UserError, match=message):
        evaluate(params, model=trained / "vae", data=prepared, features=path.parent, out=evaluated)
    assert (evaluated / "metrics.json").read_bytes() == before


def test_mlflow_is_left_to_the_report(evaluated: Path, client: MlflowClient) -> None:
    assert client.search_runs([found.experiment_id for found in client.search_experiments()]) == []


def test_a_launcher_s_run_of_this_stage_gets_the_metrics(
    params: Params, prepared: Path, trained: Path, tmp_path: Path, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    metrics = json.loads((run(params, prepared, trained, tmp_path) / "metrics.json").read_text())
    assert client.get_run(own).data.metrics == pytest.approx({f"test/{key}": value for key, value in metrics.items()})
