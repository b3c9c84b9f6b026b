"""One page that shows what a trained model made of the user's images, beside the single pictures."""

import math
from collections.abc import Sequence
from itertools import zip_longest

import matplotlib
from matplotlib.figure import Figure

from autoencoders.plots.image_rows import interpolation_rows
from autoencoders.plots.names import drawn
from autoencoders.plots.style import (
    MUTED,
    NAME_SIZE,
    Array,
    add_axes_at,
    nearly_square,
    new_figure,
    pixels,
    row_label,
    show,
    styled,
    text_width,
    tiled,
)

MAX_IMAGES = 100
"""On a sheet."""
MAX_QUERIES = 10
"""Of images whose neighbours are drawn."""
MAX_STRANGE = 10
"""Of images whose errors are drawn."""
N_COLUMNS = 10
"""Of pairs."""
TILE = 0.75  # inches, of an image's longer side
MAX_TITLE_LENGTH = 100
CAPTION_SIZE = 7  # points
TITLE, NOTE, MARGIN, GAP = 0.5, 0.35, 0.1, 0.16  # inches


@styled
def sheet(images: Array, title: str, total: int) -> Figure:
    """Draw the first 100 of `images` (n, C, H, W) row by row in a nearly square panel; there are `total` in all."""
    shown = images[:MAX_IMAGES]
    picture, inch = nearly_square(shown), TILE / max(shown.shape[2:])
    figure = new_figure(
        picture.shape[1] * inch + 0.2,
        picture.shape[0] * inch + TITLE + NOTE,
        drawn(title, MAX_TITLE_LENGTH),
        _note(len(shown), total),
    )
    show(figure.add_subplot(), picture)
    return figure


@styled
def pairs(originals: Array, reconstructions: Array, name: str, total: int) -> Figure:
    """Draw the first 100 `originals` (n, C, H, W) in rows of ten, each row over its `reconstructions` by `name`.

    `total` is how many images there are in all. Raise ValueError where the two differ in shape.
    """
    if originals.shape != reconstructions.shape:
        raise ValueError(f"reconstructions {reconstructions.shape} do not match originals {originals.shape}")
    originals, reconstructions = originals[:MAX_IMAGES], reconstructions[:MAX_IMAGES]
    count, _, height, width = originals.shape
    inch, gap = TILE / max(height, width), max(1, round(0.06 * width))
    left = 0.25 + text_width("reconstruction", NAME_SIZE)
    columns = min(count, N_COLUMNS)
    strip, pitch = (columns * (width + gap) - gap) * inch, height * inch + 0.05
    groups = math.ceil(count / N_COLUMNS)
    body = groups * (2 * pitch + GAP) - GAP
    title = f"Reconstructions by {drawn(name)}"
    figure = new_figure(left + strip + MARGIN, TITLE + body + NOTE, title, _note(count, total))
    axes = add_axes_at(figure, left, NOTE, strip, body)  # data units are inches, as in `retrieved`
    for group in range(groups):
        part = slice(group * N_COLUMNS, (group + 1) * N_COLUMNS)
        for row, (label, images) in enumerate({"original": originals, "reconstruction": reconstructions}.items()):
            picture = tiled(images[part], columns, gap)
            top = group * (2 * pitch + GAP) + row * pitch
            show(axes, picture, (0, strip, top + height * inch, top))
            row_label(axes, top + height * inch / 2, label)
    axes.set(xlim=(0, strip), ylim=(body, 0))
    return figure


@styled
def transition(ends: Array, images: Array, names: tuple[str, str], model: str) -> Figure:
    """Draw `images` (steps, C, H, W) on the way between `ends` (2, C, H, W) below the blend of the ends' pixels."""
    title = f"From {drawn(names[0])} to {drawn(names[1])}"
    label = "t, from the one (0) to the other (1)"
    return interpolation_rows(title, {model: images}, ends, "the files at the ends", label, max_ticks=11)


@styled
def retrieved(
    queries: Array, found: Array, distances: Array, classes: Sequence[str], name: str, labels: Sequence[int] = ()
) -> Figure:
    """Draw each of `queries` (q, C, H, W) beside its nearest images `found` (q, count, C, H, W), nearest first.

    Below each stands its class, of `classes` (q · count, row by row; empty where there are none), and its distance,
    of `distances` (q, count). `labels` number the `classes`, for those whose names cannot be drawn.
    """
    rows, count, _, height, width = found.shape
    captions = [
        f"{drawn(class_, 16, instead=label)}\n{distance:.2f}".strip()
        for class_, label, distance in zip_longest(classes, map(str, labels), distances.flat, fillvalue="")
    ]
    inch = TILE / max(height, width)
    high, wide = height * inch, width * inch
    cell = max(wide, *(text_width(line, CAPTION_SIZE) for caption in captions for line in caption.split("\n"))) + 0.1
    start, pitch = wide + 0.3, high + (0.42 if classes else 0.28)
    across = start + count * cell
    title = f"Nearest test images by {drawn(name)}"
    note = f"Left of the line: as given. Below: {'class and ' if classes else ''}distance of the codes"
    figure = new_figure(max(across, text_width(note, 8)) + 2 * MARGIN, TITLE + rows * pitch + NOTE, title, note)
    axes = add_axes_at(figure, MARGIN, NOTE, across, rows * pitch)
    for row in range(rows):
        top = row * pitch
        show(axes, tiled(queries[row : row + 1], 1), (0, wide, top + high, top))
        for column, image in enumerate(found[row]):
            centre = start + (column + 0.5) * cell
            show(axes, tiled(image[None], 1), (centre - wide / 2, centre + wide / 2, top + high, top))
            axes.text(
                centre, top + high + 0.03, captions[row * count + column],
                ha="center", va="top", fontsize=CAPTION_SIZE, color=MUTED, linespacing=1.1,
            )  # fmt: skip
    axes.axvline(wide + 0.15, color=MUTED, linewidth=0.8)
    axes.set(xlim=(0, across), ylim=(rows * pitch, 0))
    return figure


@styled
def strangest(
    originals: Array, reconstructions: Array, captions: Sequence[tuple[str, str]], name: str, threshold: float
) -> Figure:
    """Draw `originals` (n, C, H, W) over their `reconstructions` by `name`, over the squared errors of their pixels.

    Below each stand its two captions, of which the first is cut where it is too long. `threshold` is that of the mean
    squared error above which an image is flagged. All errors have one scale.
    """
    errors = (pixels(originals) - pixels(reconstructions)) ** 2
    largest = float(errors.mean(-1).max()) or 1.0
    maps = matplotlib.colormaps["magma"](errors.mean(-1) / largest)[..., :3].transpose(0, 3, 1, 2)
    count, _, height, width = originals.shape
    inch = TILE / max(height, width)
    high, wide = height * inch, width * inch
    cell = max(wide, *(text_width(second, CAPTION_SIZE) for _, second in captions)) + 0.1
    left, pitch = 0.25 + text_width("reconstruction", NAME_SIZE), high + 0.05
    body = 3 * pitch + 0.25
    note = (
        f"Error: squared difference of each pixel, from 0 (black) to {largest:.2g} (brightest). "
        f"* MSE above the threshold {threshold:.5f}"
    )
    across = count * cell
    figure = new_figure(
        max(left + across + MARGIN, text_width(note, 8) + 0.4),
        TITLE + body + NOTE,
        f"Most unusual to {drawn(name)}",
        note,
    )
    axes = add_axes_at(figure, left, NOTE, across, body)  # data units are inches, as in `retrieved`
    for row, (label, images) in enumerate(
        {"original": originals, "reconstruction": reconstructions, "error": maps}.items()
    ):
        row_label(axes, row * pitch + high / 2, label)
        for column, image in enumerate(images):
            start = column * cell + (cell - 0.1 - wide) / 2
            show(axes, tiled(image[None], 1), (start, start + wide, row * pitch + high, row * pitch))
    for column, (first, second) in enumerate(captions):
        axes.text(
            column * cell + (cell - 0.1) / 2, 3 * pitch, f"{drawn(first, 12)}\n{second.strip()}",
            ha="center", va="top", fontsize=CAPTION_SIZE, color=MUTED, linespacing=1.1,
        )  # fmt: skip
    axes.set(xlim=(0, across), ylim=(body, 0))
    return figure


def _note(shown: int, total: int) -> str:
    return f"the first {shown} of {total:,} images" if total > shown else ""
