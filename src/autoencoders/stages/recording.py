"""What stages record in MLflow from folders; nothing here changes a stage's output."""

from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autoencoders import tracking
from autoencoders.evaluation.measures import higher_is_better
from autoencoders.evaluation.results import read_metrics
from autoencoders.evaluation.selection import best_models
from autoencoders.ladder.figures import draw_rung
from autoencoders.ladder.record import read_rung
from autoencoders.ladder.stories import render_story
from autoencoders.model_folder import read_description
from autoencoders.params import Params
from autoencoders.report.pictures import model_figures


def record_results(
    runs: tracking.RunPublisher, name: str, models: Path, evaluation: Path, figures: Path
) -> Future[Any]:
    """Log the measures and figures of the model `name` to its run, if their files exist."""
    if (evaluation / name / "metrics.json").exists():
        codes = evaluation / name / "codes" / "dimensions.csv"
        runs.log_evaluation(models / name, read_metrics(evaluation / name), [codes] if codes.exists() else [])
    return runs.log_figures(models / name, _figures_of(name, figures))


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
