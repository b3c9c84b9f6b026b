import json
from pathlib import Path
from typing import Any

import pytest
from artifacts import Artifact
from gathered import PARAMS

from autoencoders.kubeflow import artifacts


@pytest.fixture
def artifact(tmp_path) -> Any:
    return lambda name: Artifact(str(tmp_path / name))


@pytest.fixture
def measured(artifact) -> list[Artifact]:
    """What `evaluate` leaves of two models."""
    left = []
    for entry in PARAMS:
        [name] = entry
        model, result = artifact(f"model of {name}"), artifact(f"result of {name}")
        (Path(model.path) / name).mkdir(parents=True)
        (Path(model.path) / name / "model.json").write_text(json.dumps({"name": name}))
        (Path(model.path) / name / "run.json").write_text(json.dumps({"run_id": name * 8}))
        trained, folder = artifacts.add_model(result, model)
        assert json.loads((trained / "model.json").read_text()) == {"name": name}
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"mse": 0.1, "kl": 3.0}))
        left.append(result)
    return left
