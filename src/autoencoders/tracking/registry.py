"""The model as MLflow stores, registers, loads (`mlflow.pyfunc.load_model`) and downloads it."""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders.errors import UserError, first_line, without_password
from autoencoders.tracking.client import connect, local_database, no_database, require_server, tracking_uri
from autoencoders.tracking.notes import NOTE, logged_note, registered_note
from autoencoders.tracking.store import existing, is_missing

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion
    from numpy.typing import NDArray

WEIGHTS = "autoencoders.weights_sha256"  # tag of a logged model: the hash of the weights
VERSIONS = "mlflow.modelVersions"  # tag of a logged model: the versions that it is registered as, in JSON
SELECTED_BY = "selected_by"  # tag of a model version that has an alias: the metric that chose it
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


def best_metric(key: str) -> str:
    """Return the name in a run of the validation result `key` of the weights kept: `val/best/mse` of `val/mse`."""
    return key.replace("val/", "val/best/", 1)


def logged_model(client: "MlflowClient", run: "Run", sha256: str) -> "LoggedModel | None":
    """Return the model that a run logged with the weights of this hash."""
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    return next((model for model in found if model.tags.get(WEIGHTS) == sha256), None)


def log_model(
    client: "MlflowClient",
    run_id: str,
    folder: Path,
    description: Mapping[str, Any],
    params: Mapping[str, str],
    example: "NDArray[np.float32] | None" = None,
) -> str:
    """Log and register the model in `folder`, unless the run has it with these weights; return its version.

    Its name in the run is its own: `runs:/<run id>/vae`. (In runs of earlier versions it is `model`.) `params` are what
    its page shows, and `example` is its input example. An interrupted upload is resumed, and files that are gone are
    uploaded again.
    """
    run = client.get_run(run_id)
    logged = logged_model(client, run, description["weights_sha256"])
    if logged is None:
        tags = {WEIGHTS: description["weights_sha256"], "model": description["name"]}
        logged = client.create_logged_model(run.info.experiment_id, description["name"], run_id, tags)
    if str(logged.status) != "READY" or not client.list_logged_model_artifacts(logged.model_id):
        # a process that is stopped removes the folder while this thread may still write to it
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            save_pyfunc(Path(scratch), folder, description, run_id, logged, example)
            client.log_model_artifacts(logged.model_id, f"{scratch}/model")
        client.finalize_logged_model(logged.model_id, "READY")
    if not logged.params:
        client.log_model_params(logged.model_id, dict(params))
    if NOTE not in logged.tags:
        client.set_logged_model_tags(logged.model_id, {NOTE: logged_note(description)})
    _add_output(client, run, logged.model_id)
    return _version(client, registered_name(description), run, logged, description)


def _add_output(client: "MlflowClient", run: "Run", model_id: str) -> None:
    """Make the model an output of the run."""
    from mlflow.entities import LoggedModelOutput

    if model_id not in [output.model_id for output in (run.outputs.model_outputs if run.outputs else [])]:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])


def _version(
    client: "MlflowClient", name: str, run: "Run", logged: "LoggedModel", description: Mapping[str, Any]
) -> str:
    """Return the version of the registered model `name` that is the logged model; make it where there is none.

    Descriptions that somebody has written stay. The tag of the logged model is what its page shows of the version.
    """
    from mlflow.exceptions import MlflowException

    note = registered_note(description["dataset"]["name"])
    try:
        client.create_registered_model(name, description=note)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, note)
    run_id, model_id = run.info.run_id, logged.model_id
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    version = next((v for v in found if v.source == f"models:/{model_id}" or v.model_id == model_id), None)
    if version is None:
        tags = {"model": description["name"], "kind": description["model"]["kind"]}
        version = client.create_model_version(name, f"models:/{model_id}", run_id, tags, model_id=model_id)
    if not version.description:
        client.update_model_version(name, version.version, f"{run.info.run_name}: {logged_note(description)}")
    shown = json.dumps([{"name": name, "version": str(version.version)}])
    if logged.tags.get(VERSIONS) != shown:
        client.set_logged_model_tags(model_id, {VERSIONS: shown})
    return version.version


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
    value, reference = (_best(found, metric) for found in (run, other))
    same_data = run.data.tags.get("data_hash") == other.data.tags.get("data_hash")
    same_likelihood = run.data.params.get("model.likelihood") == other.data.params.get("model.likelihood")
    is_comparable = same_data and (same_likelihood or metric != "val/elbo")
    if not is_comparable or value is None or reference is None:
        return False
    return value > reference if higher_is_better else value < reference


def _best(run: "Run", metric: str) -> float | None:
    """Return a validation result of a run's model; earlier versions named it `best/val/mse`."""
    found: float | None = run.data.metrics.get(best_metric(metric), run.data.metrics.get(f"best/{metric}"))
    return found


def save_pyfunc(
    scratch: Path,
    folder: Path,
    description: Mapping[str, Any],
    run_id: str,
    logged: "LoggedModel",
    example: "NDArray[np.float32] | None" = None,
) -> None:
    """Write an MLflow model to `scratch`/model: float32 (N, C, H, W) in [0, 1] → the same shape, with its code.

    With the inference parameter `output` = "codes" it returns codes (N, latent) instead. Without an `example`, the
    input example is a grey image.
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
        input_example=np.full((1, *description["shape"]), 0.5, np.float32) if example is None else example,
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
    """Download the trained model at `uri` (`models:/name@alias`, `runs:/run/vae`), and yield its temporary folder.

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
        if re.match("https?:", uri) and "/mlflow-artifacts/artifacts/" not in uri:
            raise ValueError("this is no address of an artifact")  # MLflow's own words are about unpacking values
        download_artifacts(artifact_uri=uri, dst_path=target, tracking_uri=tracking_uri())
    except ImportError as error:
        raise UserError(
            f"{uri} needs the Python package {error.name}. Install it, or download the model and name its folder."
        ) from None
    except Exception as error:  # MLflow's readers of the many kinds of address raise what they like
        where = without_password(tracking_uri())
        raise UserError(
            f"{without_password(uri)} cannot be downloaded from MLflow at {where}: {first_line(error).rstrip('.')}. "
            "Name a folder, models:/name@alias, models:/name/version or runs:/<run id>/<model>."
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
