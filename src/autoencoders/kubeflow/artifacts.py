"""Folders as artifacts of Kubeflow Pipelines: what is in them, how they are put together, and their digests."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from autoencoders.errors import UserError
from autoencoders.files.results import checksum

FILES_OF_ONE_RUN = ("run.json", "history.csv", "rung.json")
"""Files that say when and where something ran: equal results differ in them."""
MODELS_FILE = "models.json"
"""File in what `compare` gathers: the models' parameters."""


class Artifact(Protocol):
    """Of KFP's artifacts, what is used here."""

    path: str
    metadata: dict[str, Any]


def single_subfolder(artifact: Artifact) -> Path:
    """Return the one named folder in an artifact; raise `UserError` if it holds anything else."""
    found = sorted(Path(artifact.path).iterdir()) if Path(artifact.path).is_dir() else []
    if len(found) != 1:
        raise UserError(
            f"{artifact.path} must hold one folder, found {len(found)}. Run the stage that writes it again."
        )
    return found[0]


def add_model(result: Artifact, model: Artifact) -> tuple[Path, Path]:
    """Copy the model into the results of `evaluate`; return its folder there, and the folder for its measures."""
    trained, root = single_subfolder(model), Path(result.path)
    shutil.copytree(trained, root / "models" / trained.name)
    return root / "models" / trained.name, root / "evaluation" / trained.name


def merge_folders(
    results: Artifact, measured: Iterable[Artifact], models_params: list[dict[str, Any]]
) -> tuple[Path, Path, Path]:
    """Copy the results of all `evaluate` into one artifact, beside the models' parameters; return `gathered`."""
    for artifact in measured:
        shutil.copytree(artifact.path, results.path, dirs_exist_ok=True)
    (Path(results.path) / MODELS_FILE).write_text(json.dumps(models_params, sort_keys=True), encoding="utf-8")
    return gathered(results)


def gathered(results: Artifact) -> tuple[Path, Path, Path]:
    """Return the folders of models, evaluations and comparison in what `compare` gathered."""
    root = Path(results.path)
    return root / "models", root / "evaluation", root / "comparison"


def models_of(results: Artifact) -> list[dict[str, Any]]:
    """Return section `models` of params.yaml, entry by entry, as it was when `compare` gathered the results."""
    entries: list[dict[str, Any]] = json.loads((Path(results.path) / MODELS_FILE).read_text(encoding="utf-8"))
    return entries


def digest(artifact: Artifact) -> str:
    """Return 64 bits, in hex, of a hash of the names and contents of an artifact's files, except `FILES_OF_ONE_RUN`.

    KFP's cache key holds the names of artifacts, not their contents. So a task that reads an artifact takes its digest
    as well.
    """
    root, total = Path(artifact.path), hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.name not in FILES_OF_ONE_RUN):
        total.update(f"{path.relative_to(root).as_posix()} {checksum(path, 'sha256')}\n".encode())
    return total.hexdigest()[:16]
