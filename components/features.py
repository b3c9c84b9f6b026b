"""The component of the stage `features`."""

from kfp.dsl import Dataset, Input, Model, Output

from components.base import component


@component
def features(features_params: dict, device: str, data: Input[Dataset], data_digest: str, out: Output[Model]) -> str:
    """Train the classifier whose features the Fréchet distance uses.

    Args:
        features_params: Section `features` of params.yaml.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.

    Returns:
        out: The classifier's weights, or principal components where there are no labels.
        Output: Digest of `out`.
    """
    from autoencoders import kubeflow
    from autoencoders.stages.features import features as stage

    kubeflow.run(stage, {"features": features_params, "device": device}, data=data, out=out)
    return kubeflow.digest(out)
