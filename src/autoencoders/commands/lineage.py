"""Show the origin of a trained model."""

from json import dumps

from autoencoders.errors import printable
from autoencoders.tracking.lineage import origins


def lineage(what: str, *, json: bool = False) -> None:
    """Print commit, data, parameters, image, Kubeflow run and MLflow run of trained models.

    `what` is the folder of a trained model, the id of an MLflow run, or the id of a Kubeflow run (of all its models).
    """
    found = origins(what)
    if json:
        named = [{key or "parameter values": value for key, value in origin.items()} for origin in found]
        print(dumps(named, indent=2))
        return
    width = max(len(key) for origin in found for key in origin)
    print(
        "\n\n".join(
            "\n".join(f"{key:{width}}  {printable(value)}" for key, value in origin.items()) for origin in found
        )
    )
