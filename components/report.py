"""The component of the stage `report`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Output

from components.base import component


@component
def report(
    device: str,
    data_params: dict,
    prepare_params: dict,
    train_params: dict,
    features_params: dict,
    evaluate_params: dict,
    plots_params: dict,
    ladder_params: dict,
    data: Input[Dataset],
    results: Input[Artifact],
    figures: Input[Artifact],
    rungs: Input[Artifact],
    report: Output[HTML],
    runs: Output[Markdown],
) -> None:
    """Write the report of the run as one page, record it in MLflow, register the best models. Never cached.

    Args:
        device: Where the stages computed.
        data_params: Section `data` of params.yaml.
        prepare_params: Section `prepare`.
        train_params: Section `train`.
        features_params: Section `features`.
        evaluate_params: Section `evaluate`.
        plots_params: Section `plots`.
        ladder_params: Section `ladder`.
        data: What `prepare` left.
        results: What `compare` gathered: the models, their parameters, what was measured of them, the table.
        figures: What `plots` drew.
        rungs: The rungs of the ladder.

    Returns:
        report: The report, one self-contained page.
        runs: Links to all runs in MLflow.
    """
    from autoencoders.kubeflow import artifacts, launch, pages

    models, evaluation, comparison = artifacts.gathered(results)
    launch.run(
        "report",
        {
            "device": device,
            "data": data_params,
            "prepare": prepare_params,
            "train": train_params,
            "models": artifacts.models_of(results),
            "features": features_params,
            "evaluate": evaluate_params,
            "plots": plots_params,
            "ladder": ladder_params,
        },
        data=data,
        models=models,
        evaluation=evaluation,
        figures=figures,
        comparison=comparison,
        ladder=rungs,
        out=report,
    )
    pages.show_runs(runs, results, rungs)
