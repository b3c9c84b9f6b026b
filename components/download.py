"""The component of the stage `download`."""

from kfp.dsl import Dataset, Output

from components.base import component


@component
def download(data_params: dict, out: Output[Dataset]) -> str:
    """Fetch the images from the nearest source that has them and verify every file.

    Args:
        data_params: Section `data` of params.yaml.

    Returns:
        out: The files as published, or a list of the folder's images.
        Output: Digest of `out`.
    """
    from autoencoders import kubeflow
    from autoencoders.stages.download import download as stage

    kubeflow.run(stage, {"data": data_params}, out=out)
    return kubeflow.digest(out)
