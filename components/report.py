"""The component of the stage `report`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Model, Output

from components.base import component


@component
def report(
    device: str,
    data_params: dict,
    prepare_params: dict,
    train_params: dict,
    models_params: list,
    features_params: dict,
    evaluate_params: dict,
    plots_params: dict,
    ladder_seed: int,
    ladder_one_image_params: dict,
    ladder_one_hot_params: dict,
    ladder_auto_decoder_params: dict,
    ladder_linear_params: dict,
    ladder_generation_params: dict,
    ladder_beta_params: dict,
    data: Input[Dataset],
    card: Input[Artifact],
    models: Input[list[Model]],
    evaluation: Input[list[Metrics]],
    figures: Input[Artifact],
    comparison: Input[Artifact],
    one_image: Input[Artifact],
    one_hot: Input[Artifact],
    auto_decoder: Input[Artifact],
    linear: Input[Artifact],
    generation: Input[Artifact],
    beta: Input[Artifact],
    out: Output[HTML],
    runs: Output[Markdown],
) -> None:
    """Write everything that was run on one page, record it in MLflow, register the best models. Never cached.

    Args:
        device: Where the stages computed.
        data_params: Section `data` of params.yaml.
        prepare_params: Section `prepare`.
        train_params: Section `train`.
        models_params: Section `models`, entry by entry.
        features_params: Section `features`.
        evaluate_params: Section `evaluate`.
        plots_params: Section `plots`.
        ladder_seed: `ladder.seed`.
        ladder_one_image_params: `ladder.one_image`.
        ladder_one_hot_params: `ladder.one_hot`.
        ladder_auto_decoder_params: `ladder.auto_decoder`.
        ladder_linear_params: `ladder.linear`.
        ladder_generation_params: `ladder.generation`.
        ladder_beta_params: `ladder.beta`.
        data: What `prepare` left.
        card: The data card.
        models: What `train` left of each model.
        evaluation: What `evaluate` left of each model.
        figures: What `plots` drew.
        comparison: What `compare` left.
        one_image: The rung `one-image`.
        one_hot: The rung `one-hot`.
        auto_decoder: The rung `auto-decoder`.
        linear: The rung `linear`.
        generation: The rung `generation`.
        beta: The rung `beta`.

    Returns:
        out: The report, one self-contained page.
        runs: Links to all runs in MLflow.
    """
    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.report import report as stage

    ladder = [one_image, one_hot, auto_decoder, linear, generation, beta]
    kubeflow.run(
        stage,
        {
            "device": device,
            "data": data_params,
            "prepare": prepare_params,
            "train": train_params,
            "models": models_params,
            "features": features_params,
            "evaluate": evaluate_params,
            "plots": plots_params,
            "ladder.seed": ladder_seed,
            "ladder.one_image": ladder_one_image_params,
            "ladder.one_hot": ladder_one_hot_params,
            "ladder.auto_decoder": ladder_auto_decoder_params,
            "ladder.linear": ladder_linear_params,
            "ladder.generation": ladder_generation_params,
            "ladder.beta": ladder_beta_params,
        },
        data=data,
        card=card,
        models=models,
        evaluation=evaluation,
        figures=figures,
        comparison=comparison,
        ladder=ladder,
        out=out,
    )
    kubeflow_pages.show_runs(runs, models, ladder)
