"""The component of the stage `ladder`: all rungs, one after another.

Six tasks would each be six nodes of Argo's, with the description of their pod in each: more than KFP's task list bears.
"""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import Digest, component


@component
def ladder(
    ladder_params: dict,
    evaluate_params: dict,
    features_params: dict,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    results: Input[Artifact],
    results_digest: str,
    rungs: Output[Artifact],
    page: Output[HTML],
) -> Digest:
    """Climb the ladder, from a network that stores one picture to the VAE.

    Args:
        ladder_params: Section `ladder` of params.yaml.
        evaluate_params: Section `evaluate`.
        features_params: Section `features`.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.
        results: What `compare` gathered: the models, their parameters, and what was measured of them.
        results_digest: Its digest.

    Returns:
        rungs: A folder a rung: what was measured, and the arrays that its figure shows.
        page: The rungs to look at.
        digest: Of `rungs`.
    """
    from autoencoders.kubeflow import artifacts, launch, pages

    launch.climb(
        {
            "ladder": ladder_params,
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
    return Digest(artifacts.digest(rungs))
