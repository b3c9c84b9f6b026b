"""Record in MLflow what is missing there: after an outage, or for models from another machine."""

from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

from autoencoders import tracking
from autoencoders.data.prepared import PreparedData
from autoencoders.errors import UserError
from autoencoders.evaluation.results import read_errors, read_metrics
from autoencoders.ladder.record import RUNGS, figure_file, read_rung
from autoencoders.model_folder import read_description, read_reference
from autoencoders.model_folder.history import read_history
from autoencoders.params import Params
from autoencoders.stages.recording import has_errors, record_results, register_best, rung_result


def publish(
    params: Params,
    *,
    data: Path = Path("data/prepared"),
    models: Path = Path("models"),
    evaluation: Path = Path("evaluation"),
    figures: Path = Path("reports/figures"),
    ladder: Path = Path("reports/ladder"),
    report: Path = Path("reports/index.html"),
) -> None:
    """Record in MLflow what is missing there; a second call changes nothing.

    Without the images in `data`, models get a grey input example and no table of their worst reconstructions. Raise
    `UserError` on failure.
    """
    tracking.require_store(params.tracking.experiment)
    names = [name for name in params.models if (models / name / "model.json").exists()]
    if not names:
        raise UserError(f"{models} holds no trained model. Run `dvc repro` or `dvc pull` first.")
    rungs = [ladder / name for name in RUNGS if (ladder / name / "rung.json").exists()]
    prepared = PreparedData(data) if (data / "dataset.json").exists() else None
    _check(names, models, evaluation, rungs, prepared)
    with tracking.RunPublisher(params.tracking.experiment, prepared, warns=False) as runs:
        for name in names:
            logged = runs.publish_model(models / name)
            _confirm(runs, name, [logged, *record_results(runs, name, models, evaluation, figures, prepared)])
        for rung in rungs:
            _confirm(runs, rung.name, [runs.log_rung(rung_result(rung, figure_file(figures, rung.name)))])
        if report.exists():
            _confirm(runs, report.name, [runs.log_report(report)])
        if len(names) == len(params.models):
            register_best(runs, params, models)


def _check(
    names: Iterable[str], models: Path, evaluation: Path, rungs: Iterable[Path], data: PreparedData | None
) -> None:
    """Raise `UserError` where a file is damaged, before anything is logged."""
    for name in names:
        read_description(models / name)
        read_reference(models / name)
        read_history(models / name)
        if (evaluation / name / "metrics.json").exists():
            read_metrics(evaluation / name)
        if data and has_errors(models / name, evaluation / name, data):
            read_errors(evaluation / name, len(data.split("test").images))
    for rung in rungs:
        read_rung(rung)


def _confirm(runs: tracking.RunPublisher, name: str, logged: Iterable[Future[bool]]) -> None:
    """Wait for all that was logged, and print whether any of it was missing."""
    changed = [result.result() for result in logged]  # all of them: each may fail
    if runs.offline:
        raise UserError(f"MLflow failed ({runs.trouble}). Run `autoencoders publish` again once it answers.")
    print(f"{name}: {'published' if any(changed) else 'already there'}")
