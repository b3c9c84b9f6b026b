"""The shared style of all figures, functions that show images, and PNG files whose bytes depend on the data alone.

Figures are built with matplotlib's object interface: no pyplot, no current figure, no window system.
Every figure function has the decorator `@styled`; `save` draws under the same settings.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from autoencoders.plots.names import drawn, families, warn_undrawn

Array = NDArray[Any]
P = ParamSpec("P")

INK, MUTED, RULE = "#222222", "#666666", "#dddddd"
# Petroff (2021), arXiv:2107.02270: ten colours chosen by machine for colour-vision deficiency and for people's taste;
# in place of their second grey, which dots of the first one hide, stands the green of Okabe and Ito.
# Two darker ones follow, so that twelve models differ; figures never tell things apart by colour alone.
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#009e73", "#92dadd",
    "#1b4f72", "#2e7d32",
)  # fmt: skip
DPI = 150

NAME_SIZE, DETAIL_SIZE = 9, 7.5  # points, of row labels

RC = {
    "font.size": 9,
    "text.parse_math": False,  # names may have dollars, which are no formulas
    "text.color": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}


def look() -> AbstractContextManager[None]:
    """Return a context with this project's settings of matplotlib, whatever matplotlibrc says."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # some fonts have no bold of their own
    return matplotlib.style.context({**RC, "font.family": list(families)}, after_reset=True)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run the figure function `draw` under `look()`."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with look():
            return draw(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, title: str, note: str = "") -> Figure:
    """Return an empty figure with a title above and a small note below, both at left.

    It is `width` × `height` inches, or as wide as the title.
    """
    width = max(width, 0.11 * len(title) + 0.2)
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, x=0.1 / width, ha="left")
    if note:
        figure.supxlabel(note, x=0.1 / width, ha="left", fontsize=8, color=MUTED)
    return figure


def add_axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return new axes at a place in inches, in a figure in which all is placed by hand."""
    figure.set_layout_engine("none")
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as PNG: equal figures give equal bytes (no date, no software version)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with look():
        figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None}, bbox_inches="tight", pad_inches=0.12)
    warn_undrawn()


def colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name, by its position in `names`."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}


def subscripted(symbol: str, index: int) -> str:
    """Return e.g. ``z₁``."""
    return symbol + str(index).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def pixels(images: Array) -> Array:
    """Return images (n, C, H, W), floats in [0, 1] or uint8, as floats (n, H, W, C) clipped to [0, 1].

    Raise ValueError for another shape or a C other than 1 or 3.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"expected images of shape (n, 1 or 3, H, W), found {images.shape}")
    return np.clip(as_floats(images), 0, 1).transpose(0, 2, 3, 1)


def as_floats(images: Array) -> Array:
    """Return images, floats in [0, 1] or uint8, as floats of the same shape."""
    return images / 255.0 if images.dtype == np.uint8 else images.astype(np.float64)


def tiled(images: Array, columns: int, gap: int = 0) -> Array:
    """Return images (n, C, H, W) row by row in one picture with white gutters of `gap` pixels.

    The picture is (rows·H + gutters, columns·W + gutters, C); missing tiles of the last row are white.
    """
    tiles = pixels(images)
    count, height, width, channels = tiles.shape
    rows = -(-count // columns)
    picture = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels))
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        picture[top : top + height, left : left + width] = tile
    return picture


def nearly_square(images: Array) -> Array:
    """Return images (n, C, H, W) in one picture (H', W', C) of about as many columns as rows."""
    return tiled(images, math.ceil(math.sqrt(len(images))), gap=max(1, round(0.04 * images.shape[3])))


def show(axes: Axes, picture: Array, extent: tuple[float, float, float, float] | None = None) -> None:
    """Draw a picture (H, W, 1 or 3) in [0, 1] on `axes`, black 0 and white 1, without ticks or frame.

    `extent` is (left, right, bottom, top) in data units, by default the picture's pixels with row 0 on top.
    """
    grey = picture.shape[-1] == 1
    axes.imshow(picture[..., 0] if grey else picture, cmap="gray", vmin=0, vmax=1, extent=extent)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def note(axes: Axes, text: str, xy: tuple[float, float], offset: tuple[float, float], **options: Any) -> None:
    """Write a small text `offset` points from `xy`, a point in data units unless `options` name others."""
    options = {"fontsize": 8, "annotation_clip": False, **options}
    axes.annotate(text, xy, xytext=offset, textcoords="offset points", **options)


def row_label(axes: Axes, y: float, name: str, detail: str = "") -> None:
    """Write `name`, and `detail` small below it, to the left of `axes` at height `y` in data units."""
    place: dict[str, Any] = {"xy": (0, y), "xycoords": axes.get_yaxis_transform(), "ha": "right"}
    va = "bottom" if detail else "center"
    note(axes, drawn(name), offset=(-7, 1 if detail else 0), va=va, fontsize=NAME_SIZE, **place)
    if detail:
        note(axes, detail, offset=(-7, -1), va="top", fontsize=DETAIL_SIZE, color=MUTED, **place)


def image_panel(axes: Axes, images: Array, name: str, detail: str, **title: Any) -> None:
    """Draw images (n, C, H, W) as one nearly square picture, below `name`, with `detail` small between the two."""
    show(axes, nearly_square(images))
    axes.set_title(drawn(name), pad=16, **title)
    note(axes, detail, (0, 1), (0, 4), xycoords="axes fraction", color=MUTED)


def log_scale(axes: Axes, which: Literal["x", "y"], subs: Sequence[int] = (1, 2, 3, 5)) -> None:
    """Make one axis of `axes` logarithmic, with plain numbers (0.02, 30, 500) as tick labels.

    `subs` are the ticks of a decade.
    """
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())


def marked(count: int, max_count: int) -> Array:
    """Return at most `max_count` of the indices 0 … count − 1, with both ends, as evenly spread as possible."""
    last = max(count - 1, 1)
    even = next(step for step in range(1, last + 1) if last % step == 0 and last // step < max_count)
    if last // even >= max_count // 3:
        return np.arange(0, count, even)
    return np.unique(np.linspace(0, count - 1, min(count, max_count)).round().astype(int))


def text_width(text: str, size: float) -> float:
    """Return the width in inches of `text` set in the figures' font at `size` points."""
    if not text:  # which matplotlib has no path for
        return 0.0
    return float(TextPath((0, 0), text, size=size, prop=FontProperties(family=families)).get_extents().width) / 72


def panel_grid(count: int, max_columns: int) -> tuple[int, int]:
    """Return (rows, columns) for `count` panels in at most `max_columns` columns, the last row as full as possible."""
    rows = -(-count // max_columns)
    return rows, -(-count // rows)
