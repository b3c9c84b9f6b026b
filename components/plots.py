"""The component of the stage `plots`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import component


@component
def plots(
    plots_params: dict,
    data: Input[Dataset],
    data_digest: str,
    card: Input[Artifact],
    card_digest: str,
    results: Input[Artifact],
    results_digest: str,
    rungs: Input[Artifact],
    rungs_digest: str,
    figures: Output[Artifact],
    curves: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Draw the data card, and the figures of all models and rungs.

    Args:
        plots_params: Section `plots` of params.yaml.
        data: What `prepare` left.
        data_digest: Its digest.
        card: The numbers of the data card.
        card_digest: Their digest.
        results: What `compare` gathered: the models, their parameters, and what was measured of them.
        results_digest: Its digest.
        rungs: The rungs of the ladder.
        rungs_digest: Their digest.

    Returns:
        figures: One PNG a figure.
        curves: Loss by step and KL by latent dimension, one CSV a model.
        page: The figures to look at.
    """
    from autoencoders.kubeflow import artifacts, launch, pages

    models, evaluation, _ = artifacts.gathered(results)
    launch.run(
        "plots",
        {"plots": plots_params, "models": artifacts.models_of(results)},
        data=data,
        card=card,
        models=models,
        evaluation=evaluation,
        ladder=rungs,
        out=figures,
        curves=curves,
    )
    pages.show_figures(page, figures, results)
