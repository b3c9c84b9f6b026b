"""The component of the stage `one-hot`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import component


@component
def one_hot(
    ladder_seed: int,
    ladder_one_hot_params: dict,
    device: str,
    data: Input[Dataset],
    data_digest: str,
    out: Output[Artifact],
    page: Output[HTML],
) -> None:
    """Store several images in one network, told apart by one-hot inputs.

    Args:
        ladder_seed: `ladder.seed` of params.yaml.
        ladder_one_hot_params: `ladder.one_hot`.
        device: Where to compute.
        data: What `prepare` left.
        data_digest: Its digest.

    Returns:
        out: A folder of the rung's name: MSE and PSNR against the number of images, the picture, the story.
        page: The rung to look at.
    """
    from pathlib import Path

    from autoencoders import kubeflow, kubeflow_pages
    from autoencoders.stages.one_hot import one_hot as stage

    kubeflow.run(
        stage,
        {"ladder.seed": ladder_seed, "ladder.one_hot": ladder_one_hot_params, "device": device},
        data=data,
        out=Path(out.path) / "one-hot",
    )
    kubeflow_pages.show_rung(page, out)
