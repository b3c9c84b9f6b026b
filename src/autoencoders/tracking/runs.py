"""The runs of what is a folder already: trained models, rungs, the report."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any

from autoencoders.model_folder import read_description, read_reference
from autoencoders.model_folder.history import read_history
from autoencoders.tracking import content, logged_model
from autoencoders.tracking.kfp_status import finish_pipeline, run_above, task_name
from autoencoders.tracking.launch import injected_run, kubeflow_run, launched_alone
from autoencoders.tracking.pages import log_report, log_rung
from autoencoders.tracking.recorder import PATIENCE, Recorder
from autoencoders.tracking.store import SOURCE_RUN, create_run, existing, recreated

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "kfp_model."
"""Beginning of the tags of a Kubeflow pipeline's run that name the run of each of its models."""


class RunPublisher(Recorder):
    """The runs of finished models, for the stages after training."""

    def __init__(self, experiment: str, warns: bool = True) -> None:
        super().__init__()
        self._experiment = experiment
        self.warns = warns

    def __enter__(self) -> "RunPublisher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.finish(tell=kind is None, timeout=None if kind is None else PATIENCE)

    def log_evaluation(
        self, model: Path, metrics: Mapping[str, float], files: Iterable[Path] = (), own: str | None = None
    ) -> "Future[Any]":
        """Log a model's `test/*` metrics and `files` to its run, and the metrics to the evaluation's `own` run."""

        def action(client: "MlflowClient") -> None:
            run_id = run_of(client, model, self._experiment)
            named = {f"test/{key}": value for key, value in metrics.items()}
            content.log_metrics(client, run_id, named)
            content.log_files(client, run_id, files, "evaluation")
            if own:
                content.log_metrics(client, own, named)

        return self.attempt(action)

    def log_figures(self, model: Path, figures: Mapping[str, Path]) -> "Future[Any]":
        """Log figures to a model's run under the names given, the same in all runs, so that MLflow compares them."""

        def action(client: "MlflowClient") -> None:
            run_id = run_of(client, model, self._experiment)
            content.log_files_as(client, run_id, figures, "figures")

        return self.attempt(action)

    def log_rung(self, folder: Path, figure: Path, *, own: bool = False) -> "Future[Any]":
        """Record the rung in `folder`, and its PNG `figure` if there is one.

        In the run that has it, with `own` the injected run, or a new one.
        """

        def action(client: "MlflowClient") -> None:
            parent = None if own else run_above(client, self._experiment, task_name())
            log_rung(client, folder, figure, self._experiment, injected_run() if own else None, parent)

        return self.attempt(action)

    def name_models(self, models: Iterable[Path], of_task: str = "") -> "Future[Any]":
        """Name the runs of the models that a Kubeflow pipeline is about in its run: they may be of another one.

        `of_task` is the model that this process's task is about, if it is about one.
        """

        def action(client: "MlflowClient") -> None:
            pipeline = os.environ.get("KFP_RUN_ID")
            above = run_above(client, self._experiment, task_name(of_task)) if pipeline else None
            if above:
                named = {f"{MODEL}{model.name}": run_of(client, model, self._experiment) for model in models}
                content.set_tags(client, above, {"kfp_run": str(pipeline), **named})

        return self.attempt(action)

    def log_report(self, file: Path) -> "Future[Any]":
        """Record the page `file`: in the run that has it, an injected run, that of the Kubeflow pipeline, or a new one.

        The Kubeflow pipeline's is then finished: the report is its last task.
        """

        def action(client: "MlflowClient") -> None:
            injected = injected_run()
            pipeline = None if injected else kubeflow_run(client, self._experiment)
            log_report(client, file, self._experiment, injected or pipeline)
            if pipeline:
                finish_pipeline(client, pipeline)

        return self.attempt(action)

    def publish_model(self, model: Path) -> "Future[Any]":
        """Bring the run of the model in the folder `model` up to date, and mark it finished."""
        return self.attempt(lambda client: _publish(client, model, self._experiment))

    def complete_model(self, model: Path) -> "Future[Any]":
        """Do the same where the run lacks something: MLflow was away while, or when, the training ended."""

        def action(client: "MlflowClient") -> None:
            run_id = find(client, model)
            if run_id is None or not _is_complete(client, run_id, model):
                _publish(client, model, self._experiment)

        return self.attempt(action)

    def register(self, name: str, model: Path, alias: str, metric: str) -> "Future[Any]":
        """Point `alias` of the registered model `name` to the model, unless the one that has it is better by `metric`.

        The result is whether it was not, and so the alias is the model's now.
        """

        def action(client: "MlflowClient") -> bool:
            description, _ = read_folder(model)
            version = logged_model.log_model(client, run_of(client, model, self._experiment), model, description)
            return logged_model.point_alias(client, name, alias, version, metric) == version

        return self.attempt(action)


def log_own_rung(experiment: str, folder: Path) -> None:
    """Record the rung in `folder` where a launcher made a run for just its stage; else `report` records it."""
    if launched_alone():
        from autoencoders.ladder.figures import draw_rung

        with TemporaryDirectory() as scratch, RunPublisher(experiment) as runs:
            figure = Path(scratch) / "figure.png"
            draw_rung(folder, figure)
            runs.log_rung(folder, figure, own=True)


def run_of(client: "MlflowClient", folder: Path, experiment: str) -> str:
    """Return the run of the model in `folder`; one that this store lacks is re-created from the folder."""
    return find(client, folder) or _publish(client, folder, experiment)


def find(client: "MlflowClient", folder: Path) -> str | None:
    """Return the run of the model in `folder`, or one that was re-created for it, or None where the store has none."""
    source = read_folder(folder)[1]["run_id"]
    return existing(client, source) or recreated(client, source)


def _publish(client: "MlflowClient", folder: Path, experiment: str) -> str:
    """Bring the run of the model in `folder` up to date, whatever of it there is, and return its id."""
    description, reference = read_folder(folder)
    start, end = content.times(read_history(folder))
    run_id = find(client, folder)
    if run_id is None:
        tags = {**reference.get("tags", {}), SOURCE_RUN: reference["run_id"]}
        run_id = create_run(client, experiment, description["name"], tags, start=start)
    content.describe(client, run_id, description)
    sync(client, run_id, folder)
    if client.get_run(run_id).info.status != "FINISHED":
        client.set_terminated(run_id, "FINISHED", end)
    return run_id


def _is_complete(client: "MlflowClient", run_id: str, folder: Path) -> bool:
    """Tell whether the run of the model in `folder` has ended well and holds what a training logs last."""
    run, (description, _) = client.get_run(run_id), read_folder(folder)
    results = {f"best/{key}" for key in description["validation"]}
    logged = run.outputs and run.outputs.model_outputs
    return bool(run.info.status == "FINISHED" and results <= run.data.metrics.keys() and logged)


def sync(client: "MlflowClient", run_id: str, folder: Path) -> None:
    """Log what `folder` holds and the run lacks: history, validation results, the model itself."""
    description, _ = read_folder(folder)
    content.log_training(client, run_id, folder, description)
    logged_model.log_model(client, run_id, folder, description)


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `model.json` and `run.json` of a trained model say; without the latter, the weights name the run."""
    return read_description(folder), read_reference(folder)


def figures_of(folder: Path, model: str) -> dict[str, Path]:
    """Return the figures that show `model` by name: those of all models, and its own without `--<model>`."""
    parts = ((path, *path.stem.partition("--")) for path in sorted(folder.glob("*.png")))
    return {f"{name}.png": path for path, name, _, of in parts if of in ("", model)}
