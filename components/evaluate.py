"""The component of the stage `evaluate`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.base import component


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
    out: Output[Metrics],
) -> str:
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
        out: A folder of the model's name: metrics.json and the codes of the test images.
        Output: Digest of `out`.
    """
    import json
    from pathlib import Path

    from autoencoders import kubeflow
    from autoencoders.stages.evaluate import evaluate as stage

    trained = kubeflow.only(model)
    measured = Path(out.path) / trained.name
    kubeflow.run(
        stage,
        {"evaluate": evaluate_params, "device": device},
        model=trained,
        data=data,
        features=features,
        out=measured,
    )
    for name, value in json.loads((measured / "metrics.json").read_text()).items():
        out.log_metric(name, value)
    return kubeflow.digest(out)
