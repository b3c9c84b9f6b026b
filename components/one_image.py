"""The component of the stage `one-image`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import component


@component
def one_image(
    ladder_seed: int,
    ladder_one_image_params: dict,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    out: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Store one image in the weights of a network.

    Args:
        ladder_seed: `ladder.seed` of params.yaml.
        ladder_one_image_params: `ladder.one_image`.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.

    Returns:
        out: A folder of the rung's name: PSNR against steps and weights, the picture, the story.
        page: The rung to look at.
    """
    from pathlib import Path

    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.one_image import one_image as stage

    kubeflow.run(
        stage,
        {"ladder.seed": ladder_seed, "ladder.one_image": ladder_one_image_params, "device": device},
        data=data,
        out=Path(out.path) / "one-image",
    )
    kubeflow_pages.show_rung(page, out)
