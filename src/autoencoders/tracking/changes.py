"""What a training changes: the names and notes by which runs in a row can be told apart."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError
from autoencoders.params import parse_params
from autoencoders.params.file import YamlError, read_yaml
from autoencoders.tracking.lineage import run_git
from autoencoders.tracking.store import experiment_ids

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_NAME = "mlflow.runName"
CHANGES = "changes"  # tag of a model's run: the parameters that its training changes, and against what
SYMBOLS = {"beta": "β"}
MAX_NAMED = 3  # changes in a run's name; the tag and the note have all

RunParams = Mapping[str, str]  # as a run has them


def run_params(model: Mapping[str, Any], train: Mapping[str, Any] | None, data: str) -> dict[str, str]:
    """Return what a run says of an entry of `models`, its training and the name of the data: `model.latent`, …"""
    params = {f"model.{key}": value for key, value in model.items() if key != "train"}
    params |= {f"train.{key}": value for key, value in (train or {}).items()}
    return {key: str(value) for key, value in {**params, "data.name": data}.items()}


def name_by_changes(client: "MlflowClient", description: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that name the run of a model by what its training changes, as in `vae β=4`.

    It is compared with params.yaml as it is committed, or, where there is no git, with the first run of that model that
    is of the same commit. A run of a DVC experiment that changes no parameter has the experiment's name.
    """
    name = description["name"]
    new = run_params(description["model"], description["train"], description["dataset"]["name"])
    old, origin = _committed(name) or _first_run(client, name, tags.get("git_commit")) or (new, "")
    changed = [key for key in new if key in old and old[key] != new[key]]
    if not changed:
        return {RUN_NAME: of_experiment(name, tags)}
    named = [f"{_short_key(key)}={_short(new[key])}" for key in changed]
    more = [f"+{len(named) - MAX_NAMED}"] if len(named) > MAX_NAMED else []
    listed = ", ".join(f"{key.partition('.')[2]} {_short(old[key])} → {_short(new[key])}" for key in changed)
    return {RUN_NAME: " ".join([name, *named[:MAX_NAMED], *more]), CHANGES: f"{listed} (against {origin})"}


def of_experiment(name: str, tags: Mapping[str, str]) -> str:
    """Return the `name` of a run with its DVC experiment, if it is of one: `report (beta-4)`."""
    experiment = tags.get("dvc_experiment")
    return f"{name} ({experiment})" if experiment else name


def _short_key(key: str) -> str:
    last = key.partition(".")[2]
    return "data" if key == "data.name" else SYMBOLS.get(last, last)


def _short(value: str) -> str:
    return "null" if value == "None" else value.removesuffix(".0").replace(", ", ",")


def _committed(name: str) -> tuple[RunParams, str] | None:
    """Return the parameters of the model `name` in params.yaml as it is committed, and where that is."""
    commit = run_git("rev-parse", "--verify", "--short", os.environ.get("DVC_EXP_BASELINE_REV") or "HEAD")
    text = commit and run_git("show", f"{commit}:./params.yaml")
    try:
        params = parse_params(read_yaml(text)) if text else None
        if params is None or name not in params.models:
            return None
    except (UserError, YamlError):  # of another version
        return None
    entry = params.model(name)
    train = params.training_of(name).model_dump() if entry.trained_in_steps else None
    return run_params(entry.model_dump(), train, params.data.name), f"params.yaml of commit {commit}"


def _first_run(client: "MlflowClient", name: str, commit: str | None) -> tuple[RunParams, str] | None:
    """Return the parameters of the oldest run of the model `name` that is of this commit, and its id."""
    having = f"tags.model = '{name}'" + (f" and tags.git_commit = '{commit}'" if commit else "")
    oldest = ["attributes.start_time ASC"]
    for run in client.search_runs(experiment_ids(client), having, max_results=1, order_by=oldest):
        return run.data.params, f"run {run.info.run_id}"
    return None


def is_random(name: str) -> bool:
    """Return whether MLflow made up the name of a run, such as `marvelous-shrike-474`."""
    from mlflow.utils.name_utils import _GENERATOR_NOUNS, _GENERATOR_PREDICATES

    first, *rest = name.split("-")
    return len(rest) == 2 and first in _GENERATOR_PREDICATES and rest[0] in _GENERATOR_NOUNS


def give_name(client: "MlflowClient", run_id: str, name: str) -> None:
    """Name a run that a launcher made, unless somebody has."""
    if is_random(client.get_run(run_id).info.run_name or ""):
        client.update_run(run_id, name=name)
