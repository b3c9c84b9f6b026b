"""What stages record in MLflow from folders; nothing here changes a stage's output."""

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from autoencoders import tracking
from autoencoders.data.prepared import PreparedData
from autoencoders.evaluation.measures import higher_is_better
from autoencoders.evaluation.results import read_errors, read_metrics
from autoencoders.evaluation.selection import best_models
from autoencoders.ladder.figures import draw_rung
from autoencoders.ladder.record import read_rung
from autoencoders.ladder.stories import render_story
from autoencoders.model_folder import load_trained, read_description
from autoencoders.params import Params
from autoencoders.report.pictures import model_figures

N_WORST = 10


def record_results(
    runs: tracking.RunPublisher, name: str, models: Path, evaluation: Path, figures: Path, data: PreparedData | None
) -> list[Future[bool]]:
    """Log measures, figures and worst reconstructions of the model `name` to its run, if their files exist.

    Each result is whether the run lacked any. `data` are the prepared images.
    """
    model, measured = models / name, evaluation / name
    logged = []
    if (measured / "metrics.json").exists():
        codes = measured / "codes" / "dimensions.csv"
        logged.append(runs.log_evaluation(model, read_metrics(measured), [codes] if codes.exists() else []))
    if data and has_errors(model, measured, data):
        logged.append(runs.log_worst(model, partial(worst_reconstructions, model, measured, data)))
    return [*logged, runs.log_figures(model, _figures_of(name, figures))]


def has_errors(model: Path, evaluation: Path, data: PreparedData) -> bool:
    """Return whether an evaluation has the errors of the test images of `data`, of which the model has learned."""
    same_data = read_description(model)["dataset"]["content_hash"] == data.info.content_hash
    return same_data and (evaluation / "codes" / "errors.npy").exists()


def worst_reconstructions(model: Path, evaluation: Path, data: PreparedData) -> dict[str, list[Any]]:
    """Return a table of the test images with the largest squared errors, as columns, each beside its reconstruction.

    Images are float32 (C, H, 2 W) in [0, 1]. MLflow lays the tables of several runs side by side: by the first column,
    it shows the second.
    """
    from autoencoders.report.examples import redrawn_by  # matplotlib

    test = data.split("test")
    errors = read_errors(evaluation, len(test.images))
    worst = np.argsort(-errors, kind="stable")[:N_WORST]
    images = test.images[worst].astype(np.float32) / np.float32(255)
    reconstructions = redrawn_by(load_trained(model).model, images)
    classes = [] if test.labels is None or not data.info.classes else [data.info.classes[i] for i in test.labels[worst]]
    return {
        "rank": list(range(1, len(worst) + 1)),
        "image and reconstruction": list(np.concatenate([images, reconstructions], axis=-1)),
        "test image": worst.tolist(),
        **({"class": classes} if classes else {}),
        "MSE": [float(f"{error:.4g}") for error in errors[worst]],
    }


def rung_result(folder: Path, figure: Path) -> tracking.RungResult:
    """Return the rung in `folder`, and its `figure`, as a run holds them."""
    record = read_rung(folder)
    return tracking.RungResult(folder, record, render_story(record, folder).markdown, figure)


def record_own_rung(experiment: str, folder: Path) -> None:
    """Record the rung in `folder` in the run that a launcher made for its stage alone; else `report` records it."""
    if tracking.launched_alone():
        with TemporaryDirectory() as scratch, tracking.RunPublisher(experiment) as runs:
            figure = Path(scratch) / "figure.png"
            draw_rung(folder, figure)
            runs.log_rung(rung_result(folder, figure), own=True)


def _figures_of(name: str, folder: Path) -> dict[str, Path]:
    """Return the figures that show the model `name`: those of all models, and its own without `--<model>`."""
    parts = ((path, *stem.partition("--")) for stem, path in model_figures(folder).items())
    return {f"{figure}.png": path for path, figure, _, model in parts if model in ("", name)}


def register_best(runs: tracking.RunPublisher, params: Params, models: Path) -> None:
    """Register the best models of the folder `models`, each under its alias, and print which they are and why.

    If an earlier run registered a better model of the same data, that model keeps the alias.
    """
    descriptions = {name: read_description(models / name) for name in params.models}
    registered = tracking.registered_name(next(iter(descriptions.values())))
    for alias, (name, metric) in best_models(params, descriptions).items():
        moved = runs.register(registered, models / name, alias, metric, higher_is_better(metric)).result()
        if not runs.offline:
            stays = f"stays where it is: that model is better than {name}"
            print(f"models:/{registered}@{alias} {f'is {name}' if moved else stays}, by {metric}")
