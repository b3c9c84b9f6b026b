"""Draw the data card, and the figures of all models and rungs; all models show the same test images."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from autoencoders.data.card import read_card
from autoencoders.data.prepared import PreparedData
from autoencoders.evaluation.results import ALWAYS_MEASURED, read_codes, read_dimensions, read_errors, read_metrics
from autoencoders.files.results import apart, replaceable, result_folder
from autoencoders.ladder.figures import draw_rung, read_drawable
from autoencoders.ladder.record import RUNGS, figure_file
from autoencoders.model_folder import load_trained
from autoencoders.model_folder.history import read_history_table
from autoencoders.params import KINDS, Params
from autoencoders.plots.data_card import data_card
from autoencoders.plots.model_figures import EvaluatedModel, figures_of_all, figures_of_one
from autoencoders.plots.style import save
from autoencoders.runtime.progress import progress
from autoencoders.stages.compare import comparison_table

CONTENTS = (
    "data_card.png",
    *(f"{name}.png" for name in ("reconstructions", "samples", "comparison", "errors", "interpolations", "loss", "kl")),
    *(f"{name}--*.png" for name in ("prediction", "learned_distribution")),
    "ladder/*.png",
)
CURVES = ("loss.csv", "kl.csv")


@torch.inference_mode()
def plots(
    params: Params,
    *,
    data: Path,
    card: Path,
    models: Path,
    evaluation: Path,
    ladder: Path,
    out: Path,
    curves: Path,
) -> None:
    """Draw the data card and the figures of `params.models` into `out`, of the rungs into its subfolder ladder.

    The data of DVC's own plots goes to `curves`. `report` records the figures in MLflow.
    """
    apart(out, curves)
    for place, contents in ((out, CONTENTS), (curves, CURVES)):
        replaceable(place, contents)
    prepared = PreparedData(data)
    described = read_card(card, prepared)
    evaluated = [_read(name, params, models / name, evaluation / name, prepared) for name in params.models]
    for rung in RUNGS:
        read_drawable(ladder / rung)  # damaged results end the stage before it has drawn anything
    table = comparison_table(params, {model.name: model.metrics for model in evaluated})
    test, classes = prepared.split("test"), prepared.info.classes
    with result_folder(curves, CURVES) as curves_draft, result_folder(out, CONTENTS) as draft:
        _write_curves(evaluated, curves_draft)
        figures = figures_of_all(evaluated, table, test, classes, params.plots)
        for model in evaluated:
            figures |= figures_of_one(model, test, classes, params.plots)
        figures["data_card"] = data_card(described)
        drawings: list[Callable[[], object]] = [
            partial(save, figure, draft / f"{name}.png") for name, figure in figures.items()
        ]
        drawings += [partial(draw_rung, ladder / rung, figure_file(draft, rung)) for rung in RUNGS]
        for draw in progress(drawings, desc="plots", unit="figure", delay=1):
            draw()
    print(f"plots: {len(list(out.rglob('*.png')))} figures in {out}")


def _write_curves(models: list[EvaluatedModel], folder: Path) -> None:
    """Write what DVC's own plots show, one table of all models each; without rows where no model has such a curve."""
    losses = {model.name: model.history[["step", "val/loss"]] for model in models if model.history is not None}
    kl = {model.name: model.dimensions[["dimension", "kl"]] for model in models if "kl" in model.dimensions}
    for name, by_model in {"loss": losses, "kl": kl}.items():
        if by_model:
            table = pd.concat(by_model, names=["model"]).reset_index("model")
            table.to_csv(folder / f"{name}.csv", index=False)


def _read(name: str, params: Params, folder: Path, evaluation: Path, prepared: PreparedData) -> EvaluatedModel:
    """Read a model and its results on the test images."""
    entry, model, n_test = params.models[name], load_trained(folder).model, prepared.info.counts["test"]
    columns = ["variance", "kl"] if KINDS[entry.kind].has_posterior else ["variance"]
    return EvaluatedModel(
        name,
        entry,
        model,
        read_history_table(folder),
        read_metrics(evaluation, ALWAYS_MEASURED),
        read_codes(evaluation, (n_test, model.latent)),
        read_errors(evaluation, n_test),
        read_dimensions(evaluation, model.latent, columns),
    )
