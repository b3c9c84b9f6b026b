"""The component of the stage `compare`, which also gathers what the models left, for the tasks after it."""

from kfp.dsl import Artifact, Dataset, Input, Markdown, Metrics, Output

from components.base import Digest, component


@component
def compare(
    models_params: list,
    data: Input[Dataset],
    measured: Input[list[Artifact]],
    digests: list,
    results: Output[Artifact],
    table: Output[Markdown],
    metrics: Output[Metrics],
) -> Digest:
    """Write the comparison table.

    Args:
        models_params: Section `models` of params.yaml, entry by entry.
        data: What `prepare` left. Not read: KFP opens the store of an earlier run by an input that is no list.
        measured: What `evaluate` left of each model.
        digests: Their digests.

    Returns:
        results: All models and what was measured of them, a folder each, and the table: models, evaluation, comparison.
        table: The table to look at, with links to MLflow.
        metrics: The main measures of all models, for KFP's comparisons.
        digest: Of the models and what was measured of them.
    """
    from autoencoders.kubeflow import artifacts, launch, pages

    launch.begin()
    models, evaluation, comparison = artifacts.merge_folders(results, measured, models_params)
    digest = artifacts.digest(results)
    launch.run("compare", {"models": models_params}, models=models, evaluation=evaluation, out=comparison)
    pages.show_comparison(table, metrics, results)
    return Digest(digest)
