"""The component of the stage `prepare`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import Digest, component


@component
def prepare(
    data_params: dict,
    prepare_params: dict,
    raw: Input[Dataset],
    raw_digest: str,
    data: Output[Dataset],
    card: Output[Artifact],
    page: Output[HTML],
) -> Digest:
    """Split the images into train, val and test.

    Args:
        data_params: Section `data` of params.yaml.
        prepare_params: Section `prepare`.
        raw: What `download` left.
        raw_digest: Its digest.

    Returns:
        data: images.npy and labels.npy per split, and dataset.json.
        card: The data card, a figure and its numbers.
        page: The card to look at.
        digest: Of `data`.
    """
    from autoencoders.kubeflow import artifacts, launch, pages

    launch.run("prepare", {"data": data_params, "prepare": prepare_params}, raw=raw, out=data, card=card)
    pages.show_data_card(page, card)
    return Digest(artifacts.digest(data))
