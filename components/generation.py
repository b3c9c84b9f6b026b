"""The component of the stage `generation`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from components.base import component


@component
def generation(
    evaluate_params: dict,
    features_params: dict,
    ladder_generation_params: dict,
    models_params: list,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    models: Input[list[Model]],
    models_digests: list,
    evaluation: Input[list[Metrics]],
    evaluation_digests: list,
    out: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Draw images from an autoencoder and a VAE.

    Args:
        evaluate_params: Section `evaluate` of params.yaml.
        features_params: Section `features`.
        ladder_generation_params: `ladder.generation`.
        models_params: Section `models`, entry by entry.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.
        models: What `train` left of each model.
        models_digests: Their digests.
        evaluation: What `evaluate` left of each model.
        evaluation_digests: Their digests.

    Returns:
        out: A folder of the rung's name: where codes lie, draws beside test images, the story.
        page: The rung to look at.
    """
    from pathlib import Path

    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.generation import generation as stage

    kubeflow.run(
        stage,
        {
            "evaluate": evaluate_params,
            "features": features_params,
            "ladder.generation": ladder_generation_params,
            "models": models_params,
            "device": device,
        },
        data=data,
        models=models,
        evaluation=evaluation,
        out=Path(out.path) / "generation",
    )
    kubeflow_pages.show_rung(page, out)
