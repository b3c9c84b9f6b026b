"""Images drawn from each model's prior."""

import math
from collections.abc import Mapping

from matplotlib.figure import Figure

from autoencoders.plots.names import drawn
from autoencoders.plots.style import MUTED, Array, new_figure, panel_grid, show, styled, tiled
from autoencoders.text import format_number

PANEL = 2.7  # inches


@styled
def prior_samples(by_model: Mapping[str, Array], frechet: Mapping[str, float] | None = None) -> Figure:
    """Draw each model's images (n, C, H, W), decoded from z ~ N(0, I), as one square-ish panel, side by side.

    `frechet`: Fréchet distance of the model's samples to the test set, written under its name.
    """
    rows, columns = panel_grid(len(by_model), most=4)
    _, _, height, width = next(iter(by_model.values())).shape
    panel_height = min(PANEL * height / width, 2 * PANEL)
    figure = new_figure(
        columns * (PANEL + 0.2), rows * (panel_height + 0.6) + 0.4, "Samples: decoded draws from N(0, I)"
    )
    for i, (name, images) in enumerate(by_model.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        across = math.ceil(math.sqrt(len(images)))
        show(axes, tiled(images, across, gap=max(1, round(0.04 * width))))
        detail = f"Fréchet distance {format_number(frechet[name])}" if frechet and name in frechet else ""
        axes.set_title(drawn(name), pad=16 if detail else 5)
        if detail:
            axes.annotate(
                detail, (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
                fontsize=8, color=MUTED, annotation_clip=False,
            )  # fmt: skip
    return figure
