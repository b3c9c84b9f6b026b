"""The component of the stage `beta`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import component


@component
def beta(
    ladder_seed: int,
    ladder_beta_params: dict,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    out: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Train a small VAE for each weight of the KL.

    Args:
        ladder_seed: `ladder.seed` of params.yaml.
        ladder_beta_params: `ladder.beta`.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.

    Returns:
        out: A folder of the rung's name: rate, distortion and active units by β, the picture, the story.
        page: The rung to look at.
    """
    from pathlib import Path

    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.beta import beta as stage

    kubeflow.run(
        stage,
        {"ladder.seed": ladder_seed, "ladder.beta": ladder_beta_params, "device": device},
        data=data,
        out=Path(out.path) / "beta",
    )
    kubeflow_pages.show_rung(page, out)
