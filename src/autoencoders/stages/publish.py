"""Bring MLflow up to date from the folders on disk: after an outage, or where models arrived without their runs."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from autoencoders import tracking
from autoencoders.errors import UserError
from autoencoders.evaluation.results import read_metrics
from autoencoders.ladder.record import RUNGS, figure_file, read_rung
from autoencoders.ladder.stories import tell
from autoencoders.model_folder import read_description, read_reference
from autoencoders.model_folder.history import read_history
from autoencoders.params import KINDS, Params
from autoencoders.report.pictures import model_figures


def publish(
    params: Params,
    *,
    models: Path = Path("models"),
    evaluation: Path = Path("evaluation"),
    figures: Path = Path("reports/figures"),
    ladder: Path = Path("reports/ladder"),
    report: Path = Path("reports/index.html"),
) -> None:
    """Log what the folders hold and MLflow lacks; doing so twice changes nothing. Raise `UserError` on failure."""
    tracking.require_store(params.tracking.experiment)
    names = [name for name in params.models if (models / name / "model.json").exists()]
    if not names:
        raise UserError(f"{models} holds no trained model. Run `dvc repro` or `dvc pull` first.")
    rungs = [ladder / name for name in RUNGS if (ladder / name / "rung.json").exists()]
    _check(names, models, evaluation, rungs)
    with tracking.RunPublisher(params.tracking.experiment, warns=False) as runs:
        for name in names:
            runs.publish_model(models / name)
            record_results(runs, name, models, evaluation, figures).result()
            _confirm(runs, name)
        for rung in rungs:
            runs.log_rung(rung_result(rung, figure_file(figures, rung.name))).result()
            _confirm(runs, rung.name)
        if report.exists():
            runs.log_report(report).result()
            _confirm(runs, report.name)
        if len(names) == len(params.models):
            register_best(runs, params, models)


def _check(names: Iterable[str], models: Path, evaluation: Path, rungs: Iterable[Path]) -> None:
    """Raise `UserError` where a file is damaged: before anything is logged, so that nothing is logged in part."""
    for name in names:
        read_description(models / name)
        read_reference(models / name)
        read_history(models / name)
        if (evaluation / name / "metrics.json").exists():
            read_metrics(evaluation / name)
    for rung in rungs:
        read_rung(rung)


def _confirm(runs: tracking.RunPublisher, name: str) -> None:
    if runs.offline:
        raise UserError(f"MLflow failed ({runs.trouble}). Run `autoencoders publish` again once it answers.")
    print(f"{name}: published")


def record_results(
    runs: tracking.RunPublisher, name: str, models: Path, evaluation: Path, figures: Path
) -> Future[Any]:
    """Log what was measured and drawn of the model `name` to its run, as far as it is there."""
    if (evaluation / name / "metrics.json").exists():
        codes = evaluation / name / "codes" / "dimensions.csv"
        runs.log_evaluation(models / name, read_metrics(evaluation / name), [codes] if codes.exists() else [])
    return runs.log_figures(models / name, _figures_of(name, figures))


def rung_result(folder: Path, figure: Path) -> tracking.RungResult:
    """Return the rung in `folder`, whose figure is `figure`, as it is recorded."""
    record = read_rung(folder)
    return tracking.RungResult(folder, record, tell(record, folder).markdown, figure)


def _figures_of(name: str, folder: Path) -> dict[str, Path]:
    """Return the figures that show the model `name`: those of all models, and its own without `--<model>`."""
    parts = ((path, *stem.partition("--")) for stem, path in model_figures(folder).items())
    return {f"{figure}.png": path for path, figure, _, model in parts if model in ("", name)}


def register_best(runs: tracking.RunPublisher, params: Params, models: Path) -> None:
    """Register the best models of the folder `models`, each under its alias, and say which they are and why.

    An alias stays with a better model of the same data that an earlier run registered.
    """
    descriptions = {name: read_description(models / name) for name in params.models}
    registered = tracking.registered_name(next(iter(descriptions.values())))
    for alias, (name, metric) in best_models(params, descriptions).items():
        moved = runs.register(registered, models / name, alias, metric).result()
        if not runs.offline:
            stays = f"stays where it is: that model is better than {name}"
            print(f"models:/{registered}@{alias} {f'is {name}' if moved else stays}, by {metric}")


def best_models(params: Params, descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return alias → (model, metric): the best autoencoder and the best VAE by the validation split.

    Autoencoders by val/mse; VAEs by val/elbo, or by val/mse where their ELBOs do not compare.
    """
    chosen = {}
    for alias, has_posterior in (("best-autoencoder", False), ("best-vae", True)):
        entries = {
            name: entry
            for name, entry in params.models.items()
            if KINDS[entry.kind].can_sample and KINDS[entry.kind].has_posterior == has_posterior
        }
        if not entries:
            continue
        by_elbo = has_posterior and len({entry.comparable for entry in entries.values()}) == 1
        metric, sign = ("val/elbo", -1) if by_elbo else ("val/mse", 1)
        best = min(entries, key=lambda name: sign * descriptions[name]["validation"][metric])
        chosen[alias] = (best, metric)
    return chosen
