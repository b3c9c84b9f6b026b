"""The latent plane: the codes of the test set in it, and the images that its points decode to."""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from autoencoders.plots.labels import repel
from autoencoders.plots.names import drawn
from autoencoders.plots.style import (
    INK,
    MUTED,
    PALETTE,
    RULE,
    Array,
    marked,
    new_figure,
    show,
    styled,
    subscripted,
    tiled,
)

N_HUES = 10  # class colours; further classes take another marker
MARKERS = "o^sDvP*Xph"
SIDE = 6.0  # inches, of the plane
MAX_LEGEND_ROWS = 20
MIN_TAGGED = 10
"""Points of a class whose name stands among them; fewer would be hidden by it."""


@styled
def prediction(
    codes: Array,
    labels: Array | None = None,
    classes: list[str] | None = None,
    title: str = "Test set in the latent plane",
    unit_gaussian: bool = False,
) -> Figure:
    """Draw `codes` (N, k) as points coloured and marked by `labels` (N,), with the name of each class of
    `MIN_TAGGED` points or more at its median.

    k = 2 is drawn directly, k > 2 by the first two principal components, k = 1 along one axis. `unit_gaussian`
    draws the prior's 1σ and 2σ circles where k = 2. Raise ValueError for another shape, or codes that are not finite.
    """
    points, axis_names = _plane(np.asarray(codes, dtype=float))
    circles = unit_gaussian and codes.shape[1] == 2
    names = _class_names(labels, classes)
    short = are_short(names)
    entries = {c: name if short or name == str(c) else f"{c}  {name}" for c, name in names.items()}
    columns = -(-len(names) // MAX_LEGEND_ROWS)
    legend_width = columns * (0.5 + 0.075 * max(map(len, entries.values()), default=0))
    note = "Circles: 1σ and 2σ of the prior N(0, I)." if circles else ""
    figure = new_figure(SIDE + 0.9 + legend_width, SIDE + 0.9 + 0.2 * circles, title, note)
    axes = figure.add_subplot()
    corner, span = square_around(points, at_least=2.2 if circles else 0.0)
    axes.set(xlim=(corner[0], corner[0] + span), ylim=(corner[1], corner[1] + span), aspect="equal")
    axes.grid(True)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    if circles:
        for radius in (1, 2):
            axes.add_patch(Circle((0, 0), radius, fill=False, color=INK, linewidth=0.9, linestyle=(0, (4, 3))))
    _scatter(axes, points, labels)
    if labels is not None and names:
        _tag_classes(axes, points, labels, class_tags(labels, names), corner, span)
        handles = [_marker(c, entry) for c, entry in entries.items()]
        figure.legend(handles=handles, loc="outside right upper", ncols=columns, title="class", alignment="left")
    return figure


def _plane(codes: Array) -> tuple[Array, tuple[str, str]]:
    """Return the codes in two dimensions, and the names of the axes."""
    if codes.ndim != 2 or codes.shape[1] < 1:
        raise ValueError(f"expected codes (N, k), found {codes.shape}")
    if not np.isfinite(codes).all():
        raise ValueError("codes are not finite")
    if codes.shape[1] == 1:
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, codes.shape) * np.ptp(codes)
        return np.hstack([codes, noise]), (subscripted("z", 1), "random, to part the points")
    if codes.shape[1] == 2:
        return codes, (subscripted("z", 1), subscripted("z", 2))
    points, share = principal_plane(codes)
    first, second = (f"principal component {i + 1} ({100 * share[i]:.1f}% of variance)" for i in range(2))
    return points, (f"{first} of z, {codes.shape[1]} dimensions", second)


def principal_plane(codes: Array) -> tuple[Array, Array]:
    """Return the first two principal components (N, 2) of `codes` (N, k) and their shares (2,) of the variance.

    A component's sign is such that its largest loading is positive.
    """
    centred = codes - codes.mean(0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(codes))
    top = directions[:, [-1, -2]]
    top = top * np.sign(top[np.abs(top).argmax(0), [0, 1]])
    return centred @ top, np.clip(variances[[-1, -2]], 0, None) / max(variances.sum(), np.finfo(float).tiny)


def _class_names(labels: Array | None, classes: list[str] | None) -> dict[int, str]:
    """Return the names of the classes that occur, by label."""
    if labels is None:
        return {}
    found = [int(label) for label in np.unique(labels)]
    return {label: drawn(classes[label], 16, instead=str(label)) if classes else str(label) for label in found}


def square_around(points: Array, at_least: float = 0.0) -> tuple[Array, float]:
    """Return the lower corner (2,) and the side of a square around all points (N, 2), and around ±`at_least`."""
    low = np.minimum(points.min(0), -at_least) if at_least else points.min(0)
    high = np.maximum(points.max(0), at_least) if at_least else points.max(0)
    span = 1.06 * float((high - low).max()) or 1.0
    return (low + high - span) / 2, span


def are_short(names: Mapping[int, str]) -> bool:
    """Return whether names of classes fit on the plane; otherwise it shows the classes' numbers."""
    return all(len(name) <= 3 for name in names.values())


def class_tags(labels: Array, names: Mapping[int, str]) -> dict[int, str]:
    """Return what stands on the plane for each class with enough points, by label."""
    counts, short = np.bincount(np.asarray(labels).astype(int)), are_short(names)
    return {label: name if short else str(label) for label, name in names.items() if counts[label] >= MIN_TAGGED}


def place_tags(
    points: Array, labels: Array, tags: Mapping[int, str], sizes: Array, corner: Array, span: float
) -> tuple[Array, Array]:
    """Return the median (n, 2) of each class of `tags`, and the centre of its tag, moved where it would cover another.

    `sizes` (n, 2) are the tags' own; `corner` and `span` are those of the plane.
    """
    medians = np.array([np.median(points[labels == label], axis=0) for label in tags])
    return medians, repel(medians - corner, sizes, 0.0, span) + corner


def _scatter(axes: Axes, points: Array, labels: Array | None) -> None:
    """Draw the points in a shuffled order, so that the last class does not cover the others."""
    order = np.random.default_rng(0).permutation(len(points))
    size = float(np.clip(60_000 / max(len(points), 1), 6, 30))
    alpha = float(np.clip(6_000 / max(len(points), 1), 0.2, 0.9))
    kinds = np.zeros(len(points), dtype=int) if labels is None else np.asarray(labels).astype(int)
    for shape in np.unique(kinds // N_HUES):
        chosen = order[kinds[order] // N_HUES == shape]
        hues = [PALETTE[hue] for hue in kinds[chosen] % N_HUES]
        x, y = points[chosen].T
        axes.scatter(x, y, s=size, c=hues, alpha=alpha, marker=MARKERS[shape % len(MARKERS)], linewidths=0)


def _marker(label: int, text: str) -> Line2D:
    shape = MARKERS[label // N_HUES % len(MARKERS)]
    return Line2D([], [], linestyle="", marker=shape, markersize=6, color=PALETTE[label % N_HUES], label=text)


def _tag_classes(axes: Axes, points: Array, labels: Array, tags: dict[int, str], corner: Array, span: float) -> None:
    """Write each class's tag at its median, moved where it would cover another and then joined to it by a line."""
    if not tags:
        return
    font = 13 if len(tags) <= 12 else 9
    inches = span / SIDE
    sizes = np.array([[0.8 * len(tag) + 0.3, 1.3] for tag in tags.values()]) * font / 72 * inches
    medians, placed = place_tags(points, labels, tags, sizes, corner, span)
    halo = [patheffects.withStroke(linewidth=3, foreground="white")]
    for tag, median, place in zip(tags.values(), medians, placed, strict=True):
        if np.abs(place - median).max() > 0.08 * inches:
            axes.plot(*np.stack([median, place]).T, color=INK, linewidth=0.7, zorder=4)
        x, y = place
        axes.text(x, y, tag, ha="center", va="center", fontsize=font, fontweight="bold", path_effects=halo, zorder=5)


def plane_grid(across: Array, up: Array) -> Array:
    """Return the points (g·g, 2) of the plane with z₁ of `across` (g,) and z₂ of `up` (g,), both ascending.

    Row by row as one reads: z₁ grows to the right, z₂ upward, so that the first point is the top left one,
    (lowest, highest), and the last the bottom right one, (highest, lowest).
    """
    right, upward = np.meshgrid(across, up[::-1])
    return np.stack([right.ravel(), upward.ravel()], axis=1)


def normal_quantiles(probabilities: Array) -> Array:
    """Return the unit Gaussian's quantiles; `scipy.stats` has them too, but takes a second to import."""
    return np.array([NormalDist().inv_cdf(probability) for probability in probabilities])


@styled
def learned_distribution(
    decoded: Array,
    quantiles: Array,
    values: tuple[Array, Array],
    title: str = "Learned distribution",
    axis_names: tuple[str, str] = ("z₁", "z₂"),
    of_codes: bool = False,
) -> Figure:
    """Draw `decoded` (g·g, C, H, W), in the order of `plane_grid`, as one picture over the plane.

    `quantiles` (g,): the probabilities along each axis, ascending; `values`: their z along either axis, (g,) each,
    quantiles of N(0, 1), or with `of_codes` those of a model's own codes. Ticks show both.
    Raise ValueError for another number of images.
    """
    g = len(quantiles)
    if len(decoded) != g * g:
        raise ValueError(f"expected {g}² = {g * g} images, found {len(decoded)}")
    _, _, height, width = decoded.shape
    unit = 7.0 / (g * max(height, width))
    figure = new_figure(g * width * unit + 1.3, g * height * unit + 1.45, title)
    axes = figure.add_subplot()
    show(axes, tiled(decoded, g), (0, g, 0, g))
    axes.set_aspect(height / width)
    rulers = (
        (axis_names[0], values[0], axes.xaxis, axes.secondary_xaxis("top").xaxis, g * width * unit / 0.45),
        (axis_names[1], values[1], axes.yaxis, axes.secondary_yaxis("right").yaxis, g * height * unit / 0.25),
    )
    for name, along, axis, probabilities, room in rulers:
        at = marked(g, max(2, min(15, int(room))))
        z = [f"{value:.2f}".replace("-", "−") for value in along[at].round(2) + 0.0]
        _rule(axis, at + 0.5, z, name, INK)
        meaning = f"share of the codes with a lower {name}" if of_codes else f"Φ({name}), cumulative probability"
        _rule(probabilities, at + 0.5, [f"{q:.2f}" for q in quantiles[at]], meaning, MUTED)
    for ruler in axes.child_axes:
        ruler.spines[:].set_visible(False)
    return figure


def _rule(axis: Axis, at: Array, texts: list[str], label: str, colour: str) -> None:
    axis.set_ticks(at, texts, fontsize=7)
    axis.set_tick_params(length=2, color=RULE)
    axis.set_label_text(label, color=colour)
