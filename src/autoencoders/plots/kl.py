"""The KL to the prior of each latent dimension."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoencoders.plots.names import drawn
from autoencoders.plots.style import MUTED, PALETTE, Array, new_figure, panel_grid, styled, subscripted

MIN_VARIANCE = 0.01  # of an active dimension
MAX_NAMED = 20  # bars that carry their dimension's name


@styled
def kl_per_dimension(kl_by_model: Mapping[str, Array], variance_by_model: Mapping[str, Array]) -> Figure:
    """Draw each model's KL(q(z_j|x) ‖ N(0, 1)) (k,), mean over the test set in nats, as bars from large to small.

    Active, as in the metric `active_units`, are dimensions whose posterior mean has a variance (k,) over the test set
    of more than `MIN_VARIANCE` (Burda et al. 2015). All panels share one scale.
    """
    rows, columns = panel_grid(len(kl_by_model), max_columns=3)
    figure = new_figure(
        max(columns * 3.6, 4.8), rows * 2.5 + 0.8, "KL per latent dimension",
        f"Means over the test set. Active (blue): variance of μ over {MIN_VARIANCE:g}.",
    )  # fmt: skip
    top = max(max(float(np.max(kl)) for kl in kl_by_model.values()), 0.01)
    for i, (name, kl) in enumerate(kl_by_model.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        active = np.asarray(variance_by_model[name]) > MIN_VARIANCE
        _bars(axes, np.asarray(kl), active)
        axes.set_ylim(0, 1.05 * top)
        axes.set_title(f"{drawn(name)}: {int(active.sum())} of {len(kl)} active")
        if i % columns == 0:
            axes.set_ylabel("KL (nats)")
        else:
            axes.tick_params(axis="y", labelleft=False)
        if i + columns >= len(kl_by_model):
            axes.set_xlabel("latent dimension, sorted by KL")
    return figure


def _bars(axes: Axes, kl: Array, active: Array) -> None:
    order = np.argsort(-kl, kind="stable")
    rank = np.arange(1, len(kl) + 1)
    colours = np.where(active[order], PALETTE[0], MUTED).tolist()
    axes.bar(rank, kl[order], width=min(0.8, 0.15 * len(kl)), color=colours)
    axes.set_xlim(0.3, len(kl) + 0.7)
    axes.grid(axis="y")
    if len(kl) <= MAX_NAMED:
        axes.set_xticks(rank, [subscripted("z", int(j) + 1) for j in order])
        axes.tick_params(axis="x", length=0, labelsize=8 if len(kl) <= 12 else 6.5)
