"""The component of the ladder: its rungs, which are stages of their own under DVC, one after another.

Six tasks would each be six nodes of Argo's, with the description of their pod in each: more than KFP's task list bears.
"""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import component


@component
def ladder(
    ladder_seed: int,
    ladder_one_image_params: dict,
    ladder_one_hot_params: dict,
    ladder_auto_decoder_params: dict,
    ladder_linear_params: dict,
    ladder_generation_params: dict,
    ladder_beta_params: dict,
    evaluate_params: dict,
    features_params: dict,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    results: Input[Artifact],
    results_digest: str,
    rungs: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Climb the ladder, from a network that stores one picture to the VAE.

    Args:
        ladder_seed: `ladder.seed` of params.yaml.
        ladder_one_image_params: `ladder.one_image`.
        ladder_one_hot_params: `ladder.one_hot`.
        ladder_auto_decoder_params: `ladder.auto_decoder`.
        ladder_linear_params: `ladder.linear`.
        ladder_generation_params: `ladder.generation`.
        ladder_beta_params: `ladder.beta`.
        evaluate_params: Section `evaluate`.
        features_params: Section `features`.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.
        results: What `compare` gathered: the models, their parameters, and what was measured of them.
        results_digest: Its digest.

    Returns:
        rungs: A folder a rung: what was measured, the picture, the story.
        page: The rungs to look at.
    """
    from autoencoders.kubeflow import artifacts, launch, pages

    launch.climb(
        {
            "ladder.seed": ladder_seed,
            "ladder.one_image": ladder_one_image_params,
            "ladder.one_hot": ladder_one_hot_params,
            "ladder.auto_decoder": ladder_auto_decoder_params,
            "ladder.linear": ladder_linear_params,
            "ladder.generation": ladder_generation_params,
            "ladder.beta": ladder_beta_params,
            "evaluate": evaluate_params,
            "features": features_params,
            "models": artifacts.models_of(results),
            "device": device,
        },
        data=data,
        results=results,
        out=rungs,
    )
    pages.show_ladder(page, rungs)
