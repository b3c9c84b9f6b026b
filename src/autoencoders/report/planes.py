"""Models of two latent dimensions for the page: the plane with the codes of test images, and their decoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.prepared import DatasetInfo, Split
from autoencoders.models import Model
from autoencoders.plots.latent_plane import N_HUES, are_short, class_tags, place_tags, square_around
from autoencoders.plots.names import shortened
from autoencoders.plots.style import PALETTE
from autoencoders.report.decoders import Decoder, as_base64, decoder
from autoencoders.report.thumbnails import Sprite, sprite, sprite_size

MAX_CODES = 5000
MARKS = "●▲■◆✚"  # the first `N_HUES` classes have the first one, further classes the next
MIN_EXTENT = 2.2  # the plane shows at least ±`MIN_EXTENT`, where N(0, I) has nearly everything


@dataclass(frozen=True)
class Plane:
    """What the page needs of one model."""

    name: str
    kind: str  # as tables name it: PCA, AE or VAE
    decoder: Decoder
    codes: str  # (n, 2), row by row, base64 of little-endian float32
    tags: list[dict[str, Any]]  # a class's name on the plane, `text`, and where, `x` and `y`
    corner: tuple[float, float]  # the lowest z₁ and z₂ that the plane shows
    span: float  # its side


@dataclass(frozen=True)
class Dots:
    """The test images whose codes are the dots of each plane, in the order of the codes."""

    indices: list[int]  # within the test split
    labels: list[int]  # their classes; empty where there are none
    names: dict[int, str]  # of the classes
    sprite: Sprite


def dots(test: Split, info: DatasetInfo) -> Dots:
    """Return the test images that the planes show."""
    chosen = thinned(len(test.images), info.shape)
    labels = [] if test.labels is None else [int(label) for label in test.labels[chosen]]
    names = {} if test.labels is None else class_names(test.labels, info.classes)
    return Dots(chosen.tolist(), labels, names, sprite(test.images[chosen]))


def plane(
    name: str, kind: str, model: Model, codes: NDArray[Any], labels: NDArray[Any] | None, classes: Sequence[str] | None
) -> Plane:
    """Return the plane of a model of two latent dimensions, with the test `codes` (N, 2) and `labels` (N,).

    `kind` as tables name it, such as AE.
    """
    low, span = square_around(codes, MIN_EXTENT)
    corner = low.astype(np.float64)
    shown = codes[thinned(len(codes), model.shape)]
    return Plane(
        name=name,
        kind=kind,
        decoder=decoder(model, shown),
        codes=as_base64(shown, "<f4"),
        tags=[] if labels is None else _tags(codes, labels, classes, corner, span),
        corner=(float(corner[0]), float(corner[1])),
        span=span,
    )


def thinned(count: int, shape: Sequence[int]) -> NDArray[np.intp]:
    """Return the indices of at most `MAX_CODES` of so many images of `shape` (C, H, W): as many as the sprite holds.

    They are shuffled, so that no class covers the others.
    """
    *_, most = sprite_size(shape)
    return np.random.default_rng(0).permutation(count)[: min(MAX_CODES, most)]


def legend(labels: NDArray[Any] | None, classes: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return label, mark, colour and text of each class that occurs."""
    if labels is None:
        return []
    names = class_names(labels, classes)
    short = are_short(names)
    return [
        {
            "label": label,
            "mark": MARKS[label // N_HUES % len(MARKS)],
            "colour": PALETTE[label % N_HUES],
            "text": name if short else f"{label} {name}",
        }
        for label, name in names.items()
    ]


def class_names(labels: NDArray[Any], classes: Sequence[str] | None) -> dict[int, str]:
    """Return the name of each class that occurs, by label; its number where there are no names."""
    found = (int(label) for label in np.unique(labels))
    return {label: shortened(classes[label]) if classes else str(label) for label in found}


def _tags(
    codes: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None, corner: NDArray[Any], span: float
) -> list[dict[str, Any]]:
    """Return a tag at the median of each class with enough points, moved where it would cover another."""
    tags = class_tags(labels, class_names(labels, classes))
    if not tags:
        return []
    letter = 0.06 * span  # the height of a line on the plane
    sizes = np.array([[letter * max(0.6 * len(text), 0.8), letter] for text in tags.values()])
    _, placed = place_tags(codes, labels, tags, sizes, corner, span)
    return [{"text": text, "x": x, "y": y} for text, (x, y) in zip(tags.values(), placed.tolist(), strict=True)]
