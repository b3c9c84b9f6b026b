"""Record in MLflow what is missing there: after an outage, or for models from another machine."""

from collections.abc import Iterable
from pathlib import Path

from autoencoders import tracking
from autoencoders.errors import UserError
from autoencoders.evaluation.results import read_metrics
from autoencoders.ladder.record import RUNGS, figure_file, read_rung
from autoencoders.model_folder import read_description, read_reference
from autoencoders.model_folder.history import read_history
from autoencoders.params import Params
from autoencoders.stages.recording import record_results, register_best, rung_result


def publish(
    params: Params,
    *,
    models: Path = Path("models"),
    evaluation: Path = Path("evaluation"),
    figures: Path = Path("reports/figures"),
    ladder: Path = Path("reports/ladder"),
    report: Path = Path("reports/index.html"),
) -> None:
    """Record in MLflow what is missing there; a second call changes nothing. Raise `UserError` on failure."""
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
    """Raise `UserError` where a file is damaged, before anything is logged."""
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
