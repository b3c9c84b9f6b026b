"""What MLflow holds after a test, as the tests of tracking look at it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run


def in_one(folder: Path) -> dict[str, Path]:
    """What `publish` reads, all of it in one folder."""
    return {**dict.fromkeys(("models", "evaluation", "figures", "ladder"), folder), "report": folder / "index.html"}


def reference(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def run_in(client: MlflowClient, folder: Path) -> Run:
    return client.get_run(reference(folder)["run_id"])


def histories(client: MlflowClient, run_id: str, model: Path) -> None:
    """Assert that each of the history's metrics is in the run once a validation, at its time."""
    table = pd.read_csv(model / "history.csv")
    for column in set(table) - {"step", "timestamp"}:
        logged = client.get_metric_history(run_id, column if "/" in column else f"train/{column}")
        rows = table[table[column].notna()]  # at step 0 nothing was trained
        expected = zip(rows["step"], rows[column], (rows["timestamp"] * 1000).astype(int), strict=True)
        assert sorted((m.step, m.value, m.timestamp) for m in logged) == sorted(expected), column


def everything(client: MlflowClient) -> list[Run]:
    """All runs of all experiments."""
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def contents(client: MlflowClient) -> dict[str, Any]:
    """Everything that publishing twice must not change."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    found = {}
    for run in everything(client):
        run_id = run.info.run_id
        metrics = {key: client.get_metric_history(run_id, key) for key in run.data.metrics}
        found[run_id] = {
            "info": (run.info.status, run.info.start_time, run.info.end_time),
            "metrics": {
                key: sorted((m.step, repr(m.value), m.timestamp) for m in all_) for key, all_ in metrics.items()
            },
            "params and tags": (run.data.params, run.data.tags),
            "data sets": [(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs],
            "outputs": [output.model_id for output in run.outputs.model_outputs],
        }
    models = {(model.model_id, str(model.status)) for model in client.search_logged_models(experiments)}
    versions = {(v.name, v.version, v.run_id, tuple(v.aliases)) for v in client.search_model_versions()}
    return {"runs": found, "models": models, "versions": versions}
