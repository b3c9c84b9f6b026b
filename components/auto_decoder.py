"""The component of the stage `auto-decoder`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import component


@component
def auto_decoder(
    ladder_seed: int,
    ladder_auto_decoder_params: dict,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    out: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Draw images from random vectors, and from vectors learned with the decoder.

    Args:
        ladder_seed: `ladder.seed` of params.yaml.
        ladder_auto_decoder_params: `ladder.auto_decoder`.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.

    Returns:
        out: A folder of the rung's name: MSE with both, the picture, the story.
        page: The rung to look at.
    """
    from pathlib import Path

    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.auto_decoder import auto_decoder as stage

    kubeflow.run(
        stage,
        {"ladder.seed": ladder_seed, "ladder.auto_decoder": ladder_auto_decoder_params, "device": device},
        data=data,
        out=Path(out.path) / "auto-decoder",
    )
    kubeflow_pages.show_rung(page, out)
