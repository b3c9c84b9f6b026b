"""The component of the stage `compare`."""

from kfp.dsl import Artifact, Input, Markdown, Metrics, Model, Output

from components.base import component


@component
def compare(
    models_params: list,
    models: Input[list[Model]],
    models_digests: list,
    evaluation: Input[list[Metrics]],
    evaluation_digests: list,
    out: Output[Artifact],
    table: Output[Markdown],
) -> None:
    """Write the comparison table.

    Args:
        models_params: Section `models` of params.yaml, entry by entry.
        models: What `train` left of each model.
        models_digests: Their digests.
        evaluation: What `evaluate` left of each model.
        evaluation_digests: Their digests.

    Returns:
        out: The table as CSV, Markdown and text.
        table: The table to look at, with links to MLflow.
    """
    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.compare import compare as stage

    kubeflow.run(stage, {"models": models_params}, models=models, evaluation=evaluation, out=out)
    kubeflow_pages.show_comparison(table, out, models)
