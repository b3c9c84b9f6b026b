"""The component of the stage `download`."""

from kfp.dsl import Dataset, Output

from components.base import Digest, component


@component
def download(data_params: dict, raw: Output[Dataset]) -> Digest:
    """Fetch the images from the first source that has them and verify every file.

    Args:
        data_params: Section `data` of params.yaml.

    Returns:
        raw: The files as published, or a list of the folder's images.
        digest: Of `raw`.
    """
    from autoencoders.kubeflow import artifacts, launch

    launch.run("download", {"data": data_params}, out=raw)
    return Digest(artifacts.digest(raw))
