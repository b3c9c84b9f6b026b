"""The component of the stage `plots`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from components.base import component


@component
def plots(
    plots_params: dict,
    models_params: list,
    data: Input[Dataset],
    data_digest: str,
    models: Input[list[Model]],
    models_digests: list,
    evaluation: Input[list[Metrics]],
    evaluation_digests: list,
    out: Output[Artifact],
    curves: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Draw the figures of all models.

    Args:
        plots_params: Section `plots` of params.yaml.
        models_params: Section `models`, entry by entry.
        data: What `prepare` left.
        data_digest: Its digest.
        models: What `train` left of each model.
        models_digests: Their digests.
        evaluation: What `evaluate` left of each model.
        evaluation_digests: Their digests.

    Returns:
        out: One PNG a figure.
        curves: Loss by epoch and KL by latent dimension, one CSV a model.
        page: The figures to look at.
    """
    from pathlib import Path

    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.plots import plots as stage

    kubeflow.run(
        stage,
        {"plots": plots_params, "models": models_params},
        data=data,
        models=models,
        evaluation=evaluation,
        out=out,
        curves=curves,
    )
    kubeflow_pages.show_figures(page, Path(out.path))
