"""The component of the stage `download`."""

from kfp.dsl import Dataset, Output

from components.base import Digest, component


@component
def download(data_params: dict, raw: Output[Dataset]) -> Digest:
    """Fetch the images from the nearest source that has them and verify every file.

    Args:
        data_params: Section `data` of params.yaml.

    Returns:
        raw: The files as published, or a list of the folder's images.
        digest: Of `raw`.
    """
    from autoencoders import kubeflow
    from autoencoders.stages.download import download as stage

    kubeflow.run(stage, {"data": data_params}, out=raw)
    return Digest(kubeflow.digest(raw))
