"""The component of the stage `prepare`."""

from typing import NamedTuple

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components.base import component


class Digests(NamedTuple):
    """What the component returns beside its artifacts."""

    digest: str
    card_digest: str


@component
def prepare(
    data_params: dict,
    prepare_params: dict,
    raw: Input[Dataset],
    raw_digest: str,
    data: Output[Dataset],
    card: Output[Artifact],
    page: Output[HTML],
) -> Digests:
    """Split the images into train, val and test.

    Args:
        data_params: Section `data` of params.yaml.
        prepare_params: Section `prepare`.
        raw: What `download` left.
        raw_digest: Its digest.

    Returns:
        data: images.npy and labels.npy per split, and dataset.json.
        card: The numbers of the data card.
        page: The card to look at.
        digest: Of `data`.
        card_digest: Of `card`.
    """
    from autoencoders.kubeflow import artifacts, launch, pages

    launch.run("prepare", {"data": data_params, "prepare": prepare_params}, raw=raw, out=data, card=card)
    pages.show_data_card(page, card, data)
    return Digests(artifacts.digest(data), artifacts.digest(card))
