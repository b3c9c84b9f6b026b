import json
import re
import shutil
from pathlib import Path

import pytest

from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.params import Params
from autoencoders.stages.evaluate import evaluate
from autoencoders.stages.features import features


@pytest.fixture
def evaluated(params, prepared, trained, tmp_path) -> Path:
    """What the stage writes of the VAE, with nothing but DVC's way of starting it."""
    return run(params, prepared, trained, tmp_path)


def run(params: Params, prepared: Path, trained: Path, folder: Path) -> Path:
    features(params, data=prepared, out=folder / "features")
    evaluate(params, model=trained / "vae", data=prepared, features=folder / "features", out=folder / "evaluation")
    return folder / "evaluation"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"content_hash": "0" * 64},
            "features was made from other data than is prepared now. Run the `features` stage",
        ),
        ({}, "features was made from unknown data. Run the `features` stage again"),
    ],
)
def test_features_of_other_data_are_refused(params, prepared, trained, evaluated, tmp_path, changes, message):
    path = tmp_path / "features" / "features.json"
    described = json.loads(path.read_text())
    assert described.pop("content_hash") == PreparedData(prepared).info.content_hash
    path.write_text(json.dumps(described | changes))
    before = (evaluated / "metrics.json").read_bytes()
    with pytest.raises(UserError, match=message):
        evaluate(params, model=trained / "vae", data=prepared, features=path.parent, out=evaluated)
    assert (evaluated / "metrics.json").read_bytes() == before


def test_a_model_of_other_data_is_refused(params, prepared, trained, tmp_path):
    other = Path(shutil.copytree(prepared, tmp_path / "other"))
    described = json.loads((other / "dataset.json").read_text())
    (other / "dataset.json").write_text(json.dumps(described | {"content_hash": "0" * 64}))
    with pytest.raises(UserError, match=r"vae was trained on other data than .*other holds. Train it again"):
        run(params, other, trained, tmp_path)
    assert not (tmp_path / "evaluation").exists()


def test_metrics_have_a_line_each(evaluated):
    """Git compares them line by line."""
    text = (evaluated / "metrics.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2) + "\n"


def test_mlflow_is_left_to_the_report(evaluated, client):
    assert client.search_runs([found.experiment_id for found in client.search_experiments()]) == []


def test_a_launcher_s_run_of_this_stage_gets_the_metrics(params, prepared, trained, tmp_path, client, monkeypatch):
    own = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    metrics = json.loads((run(params, prepared, trained, tmp_path) / "metrics.json").read_text())
    assert client.get_run(own).data.metrics == pytest.approx({f"test/{key}": value for key, value in metrics.items()})


def test_long_stages_show_how_far_they_are(params, prepared, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("autoencoders.runtime.progress.EVERY", 0.0)
    features(params, data=prepared, out=tmp_path / "features")
    steps = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"features: \d+ %, about .* left", steps[0])
    assert steps[-1].startswith("features: 100 %")
    evaluate(params, model=trained / "vae", data=prepared, features=tmp_path / "features", out=tmp_path / "vae")
    shown = [line.partition(" %")[0] for line in capsys.readouterr().err.splitlines()]
    parts = [
        "reconstructions: 20",
        "latent space: 40",
        "likelihood: 60",
        "Fréchet distances: 80",
        "Fréchet distances: 100",
    ]
    assert shown[-5:] == [f"vae, {part}" for part in parts]
