"""Registering the pipeline with KFP, a version a commit, so that it can be started from KFP's page."""

import tempfile
from pathlib import Path

from autoencoders.errors import UserError
from pipeline.cluster.connection import Connection
from pipeline.cluster.failures import Refused
from pipeline.cluster.sending import equals


def upload(connection: Connection, compiled: str, name: str, version: str, description: str, about: str) -> int:
    """Upload a compiled pipeline as a version of the pipeline `name`, which is `about` something; print its page."""
    connection.require_namespace()
    pipeline = _pipeline(connection, name, about)
    query = {"page_size": 1, "filter": equals("display_name", version)}
    if connection.get(f"pipelines/{pipeline}/versions", **query).get("pipeline_versions"):
        raise _exists(name, version)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pipeline.yaml"
        file.write_text(compiled, encoding="utf-8")
        try:
            made = connection.upload(
                "pipelines/upload_version", file, name=version, pipelineid=pipeline, description=description
            )
        except Refused as error:
            raise (_exists(name, version) if error.status == CONFLICT else error) from None
    print(f"Pipeline {name}, version {version}\n{description}")
    page = f"{pipeline}/version/{made['pipeline_version_id']}"
    print(f"KFP:    {connection.page('pipelines', page)}")
    return 0


CONFLICT = 409


def _exists(name: str, version: str) -> UserError:
    return UserError(
        f"the pipeline {name} has a version {version} already, and versions do not change. Commit what is new, or name "
        "another with --version."
    )


def _pipeline(connection: Connection, name: str, about: str) -> str:
    """Return the id of KFP's pipeline of that name, which is made where there is none."""
    query = {"namespace": connection.namespace, "filter": equals("display_name", name)}
    found = connection.get("pipelines", **query).get("pipelines") or []
    space = {"namespace": connection.namespace} if connection.namespace else {}
    made = found[0] if found else connection.post("pipelines", {"display_name": name, "description": about, **space})
    return str(made["pipeline_id"])
