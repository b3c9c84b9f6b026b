"""Small parts of pages for tests."""

from collections.abc import Sequence

import numpy as np

from autoencoders.data.prepared import DatasetInfo, Split
from autoencoders.report.examples import Example
from autoencoders.report.explore import Explorable
from autoencoders.report.pictures import Picture
from autoencoders.report.planes import Plane, dots
from autoencoders.report.sliders import Sliders
from autoencoders.report.thumbnails import tiles

PIXEL = Picture("pixel", "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=", 1, 1, "one pixel")
TILES = tiles(np.zeros((2, 1, 3, 3)))
EXAMPLE = Example(7, "one", "0.100", TILES)


def explorable(
    planes: Sequence[Plane] = (),
    labels: "np.ndarray | None" = None,
    classes: Sequence[str] | None = None,
    sliders: Sliders | None = None,
    without_plane: Sequence[str] = (),
    without_sliders: Sequence[str] = (),
    images: "np.ndarray | None" = None,
) -> Explorable:
    """What decodes in a page; the planes' test images are `images`, by default black."""
    shown = None
    if planes:
        shape = planes[0].decoder.shape
        count = len(labels) if labels is not None else 20
        test = Split(np.zeros((count, *shape), np.uint8) if images is None else images, labels)
        shown = dots(test, DatasetInfo("tiny", shape, {"train": 9, "val": 9, "test": count}, classes, "0" * 64))
    return Explorable(planes, shown, sliders, without_plane, without_sliders)
