"""The component of the stage `evaluate`."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components.base import Digest, component


@component
def evaluate(
    evaluate_params: dict,
    device: str,
    model: Input[Model],
    model_digest: str,
    data: Input[Dataset],
    data_digest: str,
    features: Input[Model],
    features_digest: str,
    result: Output[Artifact],
    metrics: Output[Metrics],
) -> Digest:
    """Measure one model on the test split.

    Args:
        evaluate_params: Section `evaluate` of params.yaml.
        device: Where to compute.
        model: What `train` left.
        model_digest: Its digest.
        data: What `prepare` left.
        data_digest: Its digest.
        features: What `features` left.
        features_digest: Its digest.

    Returns:
        result: The model, and metrics.json and the codes of the test images: models/<name> and evaluation/<name>.
        metrics: What was measured, for KFP's comparisons.
        digest: Of `result`.
    """
    from autoencoders.kubeflow import artifacts, launch, pages

    launch.begin()
    trained, measured = artifacts.add_model(result, model)
    launch.run(
        "evaluate",
        {"evaluate": evaluate_params, "device": device},
        model=trained,
        data=data,
        features=features,
        out=measured,
    )
    pages.show_metrics(metrics, measured)
    return Digest(artifacts.digest(result))
