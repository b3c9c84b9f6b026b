"""Fetching a trained model from MLflow by its URI."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoencoders.errors import UserError, first_line, without_password
from autoencoders.tracking.client import connect, database, require_server, tracking_uri
from autoencoders.tracking.moved import missing_folder


@contextmanager
def downloaded(uri: str) -> Iterator[Path]:
    """Give the folder of the trained model at `uri` (`models:/name@alias`, `runs:/run/model`), removed at the end.

    Raises `UserError` where MLflow has no such thing, or does not answer, or what it has is no model of this package.
    """
    require_server()
    file = database()
    if file and not file.exists():
        raise UserError(
            f"{uri}: MLflow's database {file} does not exist. Run from the repository root, or set MLFLOW_TRACKING_URI."
        )
    with tempfile.TemporaryDirectory() as scratch:
        _download(uri, scratch)
        found = [path.parent for path in Path(scratch).rglob("model.json")]
        if not found and (missing := missing_folder(uri, tracking_uri())):
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
            f"{without_password(uri)} cannot be had from MLflow at {where}: {first_line(error).rstrip('.')}. "
            "Name a folder, models:/name@alias, models:/name/version or runs:/run/model."
        ) from None
