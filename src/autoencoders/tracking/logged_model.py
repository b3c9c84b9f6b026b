"""The model as MLflow stores it, loads it (`mlflow.pyfunc.load_model`) and registers it."""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import autoencoders
from autoencoders.tracking.store import existing

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

WEIGHTS = "autoencoders.weights_sha256"
"""Tag of a logged model: the hash of the weights."""
SELECTED_BY = "selected_by"
"""Tag of a model version that has an alias: the metric that chose it."""
NAME = "model"
"""Name of the logged model in its run: `runs:/<run id>/model`."""
CODE = (
    "errors.py", "files/reading.py", "model_folder/*.py", "models/*.py", "params/base.py",
    "params/models.py", "params/sections.py", "pyfunc.py", "runtime/memory.py",
)  # fmt: skip
"""What of this package a logged model needs and takes along."""

IMPORT = re.compile(rf"^( *(?:from|import) ){autoencoders.__name__}\b", re.MULTILINE)
"""The part of a line that takes something from this package."""


def registered_name(description: Mapping[str, Any]) -> str:
    """Return the name under which models of a data set are registered: one name, so that aliases tell the best."""
    return f"{description['dataset']['name']}-autoencoders"


def log_model(client: "MlflowClient", run_id: str, folder: Path, description: Mapping[str, Any]) -> str:
    """Log and register the model in `folder`, unless the run has it with these weights; returns its version.

    An upload that was broken off is taken up.
    """
    sha256 = description["weights_sha256"]
    logged = _logged(client, run_id, sha256)
    if logged is None:
        experiment = client.get_run(run_id).info.experiment_id
        logged = client.create_logged_model(experiment, NAME, run_id, {WEIGHTS: sha256, "model": description["name"]})
    if str(logged.status) != "READY":
        # a process that is told to go removes the folder while this thread may still write to it
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            save_pyfunc(Path(scratch), folder, description, run_id, logged)
            client.log_model_artifacts(logged.model_id, f"{scratch}/model")
        client.finalize_logged_model(logged.model_id, "READY")
    _link(client, run_id, logged.model_id)
    return _version(client, registered_name(description), run_id, logged.model_id, description)


def point_alias(client: "MlflowClient", name: str, alias: str, version: str, metric: str) -> str:
    """Point `alias` of the registered model `name` to `version`, unless the model that has it is better.

    Better is by the validation `metric` (`val/elbo`: higher, others: lower), among models of the same data and
    likelihood: an experiment that came out worse takes no alias away. Returns the version that has the alias now.
    """
    holder = _holder(client, name, alias)
    if holder is not None and holder.version != version:
        run, other = (_run_of(client, name, one) for one in (version, holder.version))
        if _comparable(run, other, metric) and _is_better(other, run, metric):
            return holder.version
        client.delete_model_version_tag(name, holder.version, SELECTED_BY)
    client.set_registered_model_alias(name, alias, version)
    client.set_model_version_tag(name, version, SELECTED_BY, metric)
    return version


def _holder(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    """Return the version that has the alias; None where none has, or its run was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return version if version.run_id and existing(client, version.run_id) else None


def _run_of(client: "MlflowClient", name: str, version: str) -> "Run":
    return client.get_run(str(client.get_model_version(name, version).run_id))


def _comparable(one: "Run", other: "Run", metric: str) -> bool:
    same_data = one.data.tags.get("data_hash") == other.data.tags.get("data_hash")
    same_likelihood = one.data.params.get("model.likelihood") == other.data.params.get("model.likelihood")
    both_have_it = all(f"best/{metric}" in run.data.metrics for run in (one, other))
    return same_data and (same_likelihood or metric != "val/elbo") and both_have_it


def _is_better(one: "Run", other: "Run", metric: str) -> bool:
    sign = 1 if metric == "val/elbo" else -1
    return sign * one.data.metrics[f"best/{metric}"] > sign * other.data.metrics[f"best/{metric}"]


def _logged(client: "MlflowClient", run_id: str, sha256: str) -> "LoggedModel | None":
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    return next((model for model in found if model.tags.get(WEIGHTS) == sha256), None)


def save_pyfunc(
    scratch: Path, folder: Path, description: Mapping[str, Any], run_id: str, logged: "LoggedModel"
) -> None:
    """Write an MLflow model to `scratch`/model: float32 (N, C, H, W) in [0, 1] → the same shape, with its code.

    The inference parameter `output`: "codes" has it answer with codes (N, latent) instead.
    """
    import numpy as np
    import torch
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    package = write_code(scratch)
    output = ParamSpec("output", "string", "reconstructions")
    spec = TensorSpec(np.dtype(np.float32), (-1, *description["shape"]))
    save_model(
        str(scratch / "model"),
        loader_module=f"{package.name}.pyfunc",
        data_path=str(folder),
        code_paths=[str(package)],
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            run_id=run_id,
            model_id=logged.model_id,
        ),
        signature=ModelSignature(Schema([spec]), Schema([spec]), ParamSchema([output])),
        input_example=np.random.default_rng(0).random((2, *description["shape"]), dtype=np.float32),
        pip_requirements=[
            f"torch=={torch.__version__.split('+')[0]}",
            f"numpy=={np.__version__}",
            "pydantic>=2.10",
            "safetensors",
        ],
    )


def write_code(folder: Path) -> Path:
    """Write what a logged model needs of this package to `folder`, as a package of another name; returns its place.

    The name is the code's own, by a hash of it: MLflow puts it first in `sys.path` of whoever loads the model, where it
    must stand in the way neither of this package nor of what another version logged.
    """
    source = Path(autoencoders.__file__).parent
    texts = {
        path.relative_to(source): path.read_text(encoding="utf-8")
        for pattern in CODE
        for path in sorted(source.glob(pattern))
    }
    digest = hashlib.sha256("\0".join(f"{path}\0{text}" for path, text in texts.items()).encode()).hexdigest()
    package = folder / f"{source.name}_{digest[:12]}"
    for path, text in texts.items():
        target = package / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(IMPORT.sub(rf"\1{package.name}", text), encoding="utf-8")
    for place in (package, *filter(Path.is_dir, package.iterdir())):
        (place / "__init__.py").touch()
    return package


def _link(client: "MlflowClient", run_id: str, model_id: str) -> None:
    """Make the model an output of the run."""
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    if model_id not in [output.model_id for output in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])


def _version(client: "MlflowClient", name: str, run_id: str, model_id: str, description: Mapping[str, Any]) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for version in client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'"):
        if version.source == f"models:/{model_id}" or version.model_id == model_id:
            return version.version
    tags = {"model": description["name"], "kind": description["model"]["kind"]}
    return client.create_model_version(name, f"models:/{model_id}", run_id, tags, model_id=model_id).version
