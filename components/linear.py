"""The component of the stage `linear`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from components.base import component


@component
def linear(
    ladder_seed: int,
    ladder_linear_params: dict,
    models_params: list,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    evaluation: Input[list[Metrics]],
    evaluation_digests: list,
    out: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Train linear autoencoders and compare them with PCA, and PCA with the nonlinear autoencoders.

    Args:
        ladder_seed: `ladder.seed` of params.yaml.
        ladder_linear_params: `ladder.linear`.
        models_params: Section `models`, entry by entry.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.
        evaluation: What `evaluate` left of each model.
        evaluation_digests: Their digests.

    Returns:
        out: A folder of the rung's name: errors, angles between the spaces, the picture, the story.
        page: The rung to look at.
    """
    from pathlib import Path

    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.linear import linear as stage

    kubeflow.run(
        stage,
        {
            "ladder.seed": ladder_seed,
            "ladder.linear": ladder_linear_params,
            "models": models_params,
            "device": device,
        },
        data=data,
        evaluation=evaluation,
        out=Path(out.path) / "linear",
    )
    kubeflow_pages.show_rung(page, out)
