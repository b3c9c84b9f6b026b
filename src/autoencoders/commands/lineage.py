"""Show the origin of a trained model."""

from json import dumps

from autoencoders.errors import printable
from autoencoders.tracking.lineage import origins


def lineage(what: str, *, json: bool = False) -> None:
    """Print commit, data, parameters, image, hardware, versions, Kubeflow run and MLflow run of trained models.

    `what` is the folder of a trained model, the id of an MLflow run, or the id of a Kubeflow run (of all its models).
    """
    found = origins(what)
    if json:
        print(dumps(found, indent=2))
        return
    width = max(len(key) for origin in found for key in origin)
    blocks = ("\n".join(f"{key:{width}}  {_text(value)}" for key, value in origin.items()) for origin in found)
    print("\n\n".join(blocks))


def _text(value: str | dict[str, str]) -> str:
    return printable(value if isinstance(value, str) else ", ".join(f"{key} {each}" for key, each in value.items()))
