"""Bring MLflow up to date from the folders on disk: after an outage, or where models arrived without their runs."""

from pathlib import Path

from autoencoders import tracking
from autoencoders.errors import UserError
from autoencoders.params import Params
from autoencoders.stages.compare import read_metrics, register_best
from autoencoders.trained import read_description


def publish(
    params: Params,
    *,
    models: Path = Path("models"),
    evaluation: Path = Path("evaluation"),
    figures: Path = Path("reports/figures"),
) -> None:
    """Log what the folders hold and MLflow lacks; doing so twice changes nothing. Raises `UserError` on failure."""
    tracking.require_server()
    names = [name for name in params.models if (models / name / "model.json").exists()]
    if not names:
        raise UserError(f"{models} holds no trained model. Run `dvc repro` or `dvc pull` first.")
    with tracking.FolderRuns(params.tracking.experiment, warns=False) as runs:
        for name in names:
            runs.publish_model(models / name)
            if (evaluation / name / "metrics.json").exists():
                codes = evaluation / name / "codes" / "dimensions.csv"
                runs.log_evaluation(models / name, read_metrics(evaluation / name), [codes] if codes.exists() else [])
            runs.log_figures(models / name, tracking.figures_of(figures, name)).result()
            if runs.offline:
                raise UserError(f"MLflow failed ({runs.trouble}). Run `autoencoders publish` again once it answers.")
            print(f"{name}: published")
        if len(names) == len(params.models):
            register_best(runs, params, {name: read_description(models / name) for name in names}, models)
