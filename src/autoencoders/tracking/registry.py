"""The model as MLflow stores, registers, loads (`mlflow.pyfunc.load_model`) and downloads it."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError, first_line, without_password
from autoencoders.tracking.client import connect, local_database, no_database, require_server, tracking_uri
from autoencoders.tracking.store import existing, is_missing

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

WEIGHTS = "autoencoders.weights_sha256"  # tag of a logged model: the hash of the weights
SELECTED_BY = "selected_by"  # tag of a model version that has an alias: the metric that chose it
NAME = "model"  # name of the logged model in its run: `runs:/<run id>/model`
CODE = (
    "errors.py", "files/reading.py", "model_folder/*.py", "models/*.py", "params/base.py",
    "params/models.py", "params/sections.py", "pyfunc.py", "runtime/memory.py",
)  # fmt: skip
"""The modules of this package that a logged model contains."""
PACKAGE = Path(__file__).parents[1]
IMPORT = re.compile(rf"^( *(?:from|import) ){PACKAGE.name}\b", re.MULTILINE)
"""The part of a line that imports from this package."""


def registered_name(description: Mapping[str, Any]) -> str:
    """Return the name under which all models of a data set are registered, so that an alias names the best of them."""
    return f"{description['dataset']['name']}-autoencoders"


def log_model(client: "MlflowClient", run_id: str, folder: Path, description: Mapping[str, Any]) -> str:
    """Log and register the model in `folder`, unless the run has it with these weights; return its version.

    An interrupted upload is resumed.
    """
    sha256 = description["weights_sha256"]
    run = client.get_run(run_id)
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    logged = next((model for model in found if model.tags.get(WEIGHTS) == sha256), None)
    if logged is None:
        tags = {WEIGHTS: sha256, "model": description["name"]}
        logged = client.create_logged_model(run.info.experiment_id, NAME, run_id, tags)
    if str(logged.status) != "READY":
        # a process that is stopped removes the folder while this thread may still write to it
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            save_pyfunc(Path(scratch), folder, description, run_id, logged)
            client.log_model_artifacts(logged.model_id, f"{scratch}/model")
        client.finalize_logged_model(logged.model_id, "READY")
    _add_output(client, run, logged.model_id)
    return _version(client, registered_name(description), run_id, logged.model_id, description)


def _add_output(client: "MlflowClient", run: "Run", model_id: str) -> None:
    """Make the model an output of the run."""
    from mlflow.entities import LoggedModelOutput

    if model_id not in [output.model_id for output in (run.outputs.model_outputs if run.outputs else [])]:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])


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


def point_alias(
    client: "MlflowClient", name: str, alias: str, version: str, metric: str, higher_is_better: bool
) -> str:
    """Point `alias` of the registered model `name` to `version`, unless the model that has it is better.

    Models of the same data are compared by the validation `metric`; by `val/elbo` only those of one likelihood. Return
    the version that has the alias now.
    """
    holder = _holder(client, name, alias)
    if holder is not None and holder.version != version:
        new = client.get_run(str(client.get_model_version(name, version).run_id))
        current = client.get_run(str(holder.run_id))
        if _is_better(current, new, metric, higher_is_better):
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
        if is_missing(error):
            return None
        raise
    return version if version.run_id and existing(client, version.run_id) else None


def _is_better(run: "Run", other: "Run", metric: str, higher_is_better: bool) -> bool:
    """Return whether `run` is better than `other` by a metric that both have and that is comparable."""
    key = f"best/{metric}"
    same_data = run.data.tags.get("data_hash") == other.data.tags.get("data_hash")
    same_likelihood = run.data.params.get("model.likelihood") == other.data.params.get("model.likelihood")
    is_comparable = same_data and (same_likelihood or metric != "val/elbo")
    if not is_comparable or key not in run.data.metrics.keys() & other.data.metrics:
        return False
    value, reference = run.data.metrics[key], other.data.metrics[key]
    return value > reference if higher_is_better else value < reference


def save_pyfunc(
    scratch: Path, folder: Path, description: Mapping[str, Any], run_id: str, logged: "LoggedModel"
) -> None:
    """Write an MLflow model to `scratch`/model: float32 (N, C, H, W) in [0, 1] → the same shape, with its code.

    With the inference parameter `output` = "codes" it returns codes (N, latent) instead.
    """
    import numpy as np
    import torch
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    package, torch_pin = write_code(scratch), f"torch=={torch.__version__.split('+')[0]}"
    output = ParamSpec("output", "string", "reconstructions")
    spec = TensorSpec(np.dtype(np.float32), (-1, *description["shape"]))
    save_model(
        str(scratch / "model"),
        loader_module=f"{package.name}.pyfunc",
        data_path=str(folder),
        code_paths=[str(package)],
        mlflow_model=Model(
            artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run_id, model_id=logged.model_id
        ),
        signature=ModelSignature(Schema([spec]), Schema([spec]), ParamSchema([output])),
        input_example=np.random.default_rng(0).random((2, *description["shape"]), dtype=np.float32),
        pip_requirements=[torch_pin, f"numpy=={np.__version__}", "pydantic>=2.10", "safetensors"],
    )


def write_code(folder: Path) -> Path:
    """Write the modules that a logged model needs to `folder`, as a package of another name; return its path.

    The name holds a hash of the code. MLflow puts the package first in `sys.path` of the process that loads the model,
    where it must hide neither this package nor one that another version logged.
    """
    texts = {
        path.relative_to(PACKAGE): path.read_text(encoding="utf-8")
        for pattern in CODE
        for path in sorted(PACKAGE.glob(pattern))
    }
    digest = hashlib.sha256("\0".join(f"{path}\0{text}" for path, text in texts.items()).encode()).hexdigest()
    package = folder / f"{PACKAGE.name}_{digest[:12]}"
    for path, text in texts.items():
        target = package / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(IMPORT.sub(rf"\1{package.name}", text), encoding="utf-8")
    for directory in (package, *filter(Path.is_dir, package.iterdir())):
        (directory / "__init__.py").touch()
    return package


@contextmanager
def downloaded(uri: str) -> Iterator[Path]:
    """Download the trained model at `uri` (`models:/name@alias`, `runs:/run/model`), and yield its temporary folder.

    Raise `UserError` where MLflow does not answer, has no such model, or has one that this package did not log.
    """
    require_server()
    file = local_database()
    if file and not file.exists():
        raise no_database(uri, file)
    with tempfile.TemporaryDirectory() as scratch:
        _download(uri, scratch)
        found = [path.parent for path in Path(scratch).rglob("model.json")]
        if not found and (missing := _missing_folder(uri)):
            raise UserError(f"the files of {uri} are missing: there are none in {missing}. Restore that folder.")
        if len(found) != 1:
            raise UserError(f"{uri} is no model that this package logged (it holds {len(found)} files model.json).")
        yield found[0]


def _download(uri: str, target: str) -> None:
    connect()
    from mlflow.artifacts import download_artifacts

    try:
        download_artifacts(artifact_uri=uri, dst_path=target, tracking_uri=tracking_uri())
    except ImportError as error:
        raise UserError(
            f"{uri} needs the Python package {error.name}. Install it, or download the model and name its folder."
        ) from None
    except Exception as error:  # MLflow's readers of the many kinds of address raise what they like
        where = without_password(tracking_uri())
        raise UserError(
            f"{without_password(uri)} cannot be downloaded from MLflow at {where}: {first_line(error).rstrip('.')}. "
            "Name a folder, models:/name@alias, models:/name/version or runs:/run/model."
        ) from None


def _missing_folder(uri: str) -> Path | None:
    """Return the local folder in which MLflow stores the model at `uri`, if it is empty or missing."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        files = get_artifact_repository(uri, tracking_uri())
    except MlflowException:
        return None
    while inner := getattr(files, "repo", None):
        files = inner
    folder = getattr(files, "artifact_dir", None)
    return Path(folder) if folder and not any(Path(folder).glob("*")) else None
