"""The component of the stage `features`."""

from kfp.dsl import Dataset, Input, Model, Output

from components.base import Digest, component


@component
def features(
    features_params: dict, device: str, data: Input[Dataset], data_digest: str, extractor: Output[Model]
) -> Digest:
    """Train the classifier whose features the Fréchet distance uses.

    Args:
        features_params: Section `features` of params.yaml.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.

    Returns:
        extractor: The classifier's weights, or principal components where there are no labels.
        digest: Of `extractor`.
    """
    from autoencoders.kubeflow import artifacts, launch

    launch.run("features", {"features": features_params, "device": device}, data=data, out=extractor)
    return Digest(artifacts.digest(extractor))
