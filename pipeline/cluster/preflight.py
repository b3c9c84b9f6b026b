"""What is looked at before a run is sent: the server, MLflow, and what the profile names in the cluster."""

import re
import sys
from collections.abc import Iterator

from autoencoders.errors import UserError
from components import component_names
from pipeline.cluster import in_mlflow
from pipeline.cluster.connection import Connection
from pipeline.cluster.kube import Kube
from pipeline.profiles import Profile

MADE_FOR = (2, 17)
"""KFP's version from which on everything here works."""
KFP_NAMESPACE = "kubeflow"


def check(connection: Connection, profile: Profile) -> None:
    """Raise `UserError`, a line for each reason, where the run could not start; warn of what may not work."""
    connection.require_namespace()
    in_mlflow.require_server()
    kube = Kube(connection.pods_namespace)
    if lines := list(_missing(kube, Kube(KFP_NAMESPACE) if connection.has_users else kube, profile)):
        raise UserError("\nerror: ".join(lines))
    if warning := old_version(connection):
        print(f"warning: {warning}", file=sys.stderr)


def old_version(connection: Connection) -> str:
    """Return what a server that is older than this project's KFP does not do; empty where it does not say its age."""
    found = re.match(r"v?(\d+)\.(\d+)", connection.version)
    if not found or (int(found[1]), int(found[2])) >= MADE_FOR:
        return ""
    return (
        f"{connection.name} is KFP {connection.version}. Before {MADE_FOR[0]}.{MADE_FOR[1]}, a pod that is lost while "
        "KFP prepares a task is not tried again, and settings of pods that are newer are refused."
    )


def _missing(kube: Kube, kfp: Kube, profile: Profile) -> Iterator[str]:
    """Yield a line for each thing that the profile names and that the cluster certainly lacks.

    Only where KFP is in the cluster to which the kube config leads: it may well lead to another.
    """
    here = f"is not in namespace {kube.namespace}"
    if kfp.lacks("services", "ml-pipeline"):
        return
    for claim, used in _claims(profile).items():
        if kube.lacks("persistentvolumeclaims", claim):
            yield (
                f"the claim {claim} {here}: pods could not start. Create it (docs/kubernetes.md, step 4), or correct "
                f"`{used}` in the profile."
            )
    for secret in sorted(_secrets(profile)):
        if kube.lacks("secrets", secret):
            yield (
                f"the secret {secret} {here}: pods could not start. Create it (docs/kubernetes.md, step 3), or correct "
                "`secret_env` in the profile."
            )
    if profile.service_account and kube.lacks("serviceaccounts", profile.service_account):
        yield f"the service account {profile.service_account} {here}. Correct `service_account` in the profile."


def _claims(profile: Profile) -> dict[str, str]:
    """Return the claims that the profile's pods mount, and the key under which each is named."""
    volumes = {volume.claim: "volumes" for stage in component_names() for volume in profile.of(stage).volumes}
    kept = profile.checkpoints.claim if profile.checkpoints else None
    return {**volumes, **({kept: "checkpoints"} if kept else {})}


def _secrets(profile: Profile) -> set[str]:
    """Return the secrets without which pods do not start."""
    return {one.secret for stage in component_names() for one in profile.of(stage).secret_env if not one.optional}
