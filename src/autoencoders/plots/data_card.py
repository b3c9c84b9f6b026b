"""The data card: what a prepared set looks like, and how many images it has of what."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autoencoders.data.card import CardNumbers, DataCard
from autoencoders.data.prepared import SPLITS
from autoencoders.plots.names import drawn, shortened
from autoencoders.plots.style import INK, MUTED, PALETTE, add_axes_at, pixels, row_label, show, styled
from autoencoders.text import format_number

COLOURS = {"train": PALETTE[0], "val": PALETTE[9], "test": PALETTE[1]}
LEFT, BARS = 1.8, 2.6  # inches, of the columns with the mean image and the numbers, and with the counts
MAX_NAME_LENGTH, MAX_TITLE_LENGTH, MAX_REMARK_LENGTH = 18, 60, 120
REMARKS = {  # by field of the card's numbers
    "several_pictures": "of {} files with several pictures the first is taken",
    "full_scale": "{} is white in files of 16 bits",
    "padded": "images of another aspect ratio, with a border: {}",
    "cropped": "images of another aspect ratio, cropped: {}",
    "stretched": "images of another aspect ratio, stretched: {}",
    "in_no_subfolder": "no classes: {} in no subfolder",
}


@styled
def data_card(card: DataCard) -> Figure:
    """Draw the mean training image and the numbers, sample images, and the count of each class.

    A note says where there are more classes than rows of samples, another one what is odd about the files.
    """
    info, samples = card.info, card.samples
    rows, columns = len(samples), max(1, max(len(row) for row in samples))
    classes = [drawn(name, MAX_NAME_LENGTH, instead=str(label)) for label, name in enumerate(info.classes or ())]
    _, height, width = info.shape
    tile = 0.4 if rows <= 30 else 0.27
    sheet = (columns * tile * width / height, rows * tile)
    names = 0.35 + 0.08 * max(map(len, classes), default=0)
    size = (LEFT + names + sheet[0] + 0.2 + BARS, max(sheet[1], 3.7) + 0.8)
    figure = Figure(figsize=size)

    def place(left: float, width: float, height: float, down: float = 0.0) -> Axes:
        """Return axes below the title: pixels stay square and text keeps its room."""
        return add_axes_at(figure, left, size[1] - 0.8 - down - height, width, height)

    _title(figure, card)
    scale = LEFT / max(height, width)
    mean = place(0, scale * width, scale * height)
    show(mean, pixels(card.mean_image[np.newaxis])[0])
    mean.set_title("mean training image", size=9)
    _facts(place(0, LEFT, 1.6, down=scale * height + 0.1), card.numbers)
    _samples(place(LEFT + names, *sheet), samples, columns, classes)
    if counts := card.numbers.class_counts:
        _counts(place(LEFT + names + sheet[0] + 0.2, BARS, sheet[1]), counts, rows)
    return figure


def _title(figure: Figure, card: DataCard) -> None:
    info = card.info
    channels, height, width = info.shape
    kind = "grey" if channels == 1 else "colour"
    up = figure.get_figheight()
    figure.text(0, 1, drawn(info.title, MAX_TITLE_LENGTH, instead=info.name), size=16, weight="bold", va="top")
    line = f"{sum(info.counts.values()):,} images, {height}×{width}, {kind}"
    figure.text(0, 1 - 0.3 / up, line, size=10, color=MUTED, va="top")
    remarks = {key: value for key in REMARKS if (value := getattr(card.numbers, key)) is not None}
    copies = _copies(card.numbers)
    if remarks or copies:
        texts = [REMARKS[key].format(drawn(str(value), MAX_REMARK_LENGTH)) for key, value in remarks.items()]
        line = "; ".join(shortened(text, MAX_REMARK_LENGTH) for text in [*texts, *copies])
        figure.text(0, 1 - 0.5 / up, line, size=7.5, color=MUTED, va="top")


def _copies(numbers: CardNumbers) -> list[str]:
    if not numbers.exact_copies + numbers.near_copies:
        return []
    before, across = numbers.copies_across_by_chance, numbers.copies_across_splits
    split = f"{across:,} across splits" + (f" ({before:,} by chance)" if before and before != across else "")
    return [f"copies: {numbers.exact_copies:,} exact, {numbers.near_copies:,} near, {split}"]


def _facts(axes: Axes, numbers: CardNumbers) -> None:
    """Write a small table: names to the left, values to the right."""
    table = [(split, f"{numbers.counts[split]:,}") for split in SPLITS]
    table += [("", ""), ("pixel mean", _by_channel(numbers.pixel_mean)), ("pixel std", _by_channel(numbers.pixel_std))]
    table += [("hash", numbers.content_hash[:12])]
    for row, (name, value) in enumerate(table):
        axes.text(0, row, name, color=MUTED)
        axes.text(1, row, value, ha="right")
    axes.set(xlim=(0, 1), ylim=(len(table), -0.6))
    axes.set_axis_off()


def _by_channel(values: Sequence[float]) -> str:
    return " ".join(format_number(value) if len(values) == 1 else f"{value:.2f}" for value in values)


def _samples(axes: Axes, samples: Sequence[NDArray[np.uint8]], columns: int, classes: Sequence[str]) -> None:
    """Draw all samples as one picture; a row is one unit high, so that the bars beside it line up."""
    rows, (channels, height, width) = len(samples), samples[0].shape[1:]
    gap = max(1, round(0.08 * min(height, width)))
    sheet = np.ones((rows * (height + gap), columns * (width + gap), channels))
    for row, images in enumerate(samples):
        for column, image in enumerate(pixels(images)):
            y, x = row * (height + gap) + gap // 2, column * (width + gap) + gap // 2
            sheet[y : y + height, x : x + width] = image
    show(axes, sheet, extent=(0, columns, rows - 0.5, -0.5))
    axes.set_aspect("auto")  # the axes already have the picture's proportions
    axes.set_title("training images", size=9)
    for row, name in enumerate(classes[:rows]):
        row_label(axes, row, name)
    if classes and rows < len(classes):
        axes.set_xlabel(f"the first {rows} of {len(classes)} classes", size=8, color=MUTED, loc="left")


def _counts(axes: Axes, counts: Mapping[str, Mapping[str, int]], rows: int) -> None:
    ends = np.zeros(rows)
    for split in SPLITS:
        widths = np.array(list(counts[split].values())[:rows])
        axes.barh(range(rows), widths, left=ends, height=0.62, color=COLOURS[split], label=split)
        ends = ends + widths
    for row, end in enumerate(ends):
        axes.text(end, row, f" {end:,.0f}", size=8, color=INK, va="center_baseline")
    axes.set(xlim=(0, 1.25 * max(1, ends.max())), ylim=(rows - 0.5, -0.5), yticks=[], xticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title("images per class", size=9)
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, 0), ncols=3, handlelength=1, handleheight=1, columnspacing=1.2,
        borderaxespad=0.4, borderpad=0,
    )  # fmt: skip
