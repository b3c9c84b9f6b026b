"""Write the report of the whole run as one page, and record in MLflow what is missing there."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from autoencoders import tracking
from autoencoders.data.prepared import DatasetInfo, PreparedData
from autoencoders.errors import UserError
from autoencoders.evaluation.measures import still_pca
from autoencoders.evaluation.results import ALWAYS_MEASURED, read_codes, read_errors
from autoencoders.evaluation.selection import best_models
from autoencoders.files.results import atomic_file, replaceable_file
from autoencoders.ladder.record import RUNGS, figure_file, read_rung
from autoencoders.ladder.stories import render_story
from autoencoders.model_folder import load_trained, read_description, read_reference
from autoencoders.params import KINDS, Params
from autoencoders.plots.model_figures import chosen_images
from autoencoders.report import comparison as table
from autoencoders.report.examples import N_TILES, draw_strips, examples, reconstruction_strips
from autoencoders.report.explore import explorable
from autoencoders.report.page import Page, RungSection, Usage, parameters_as_yaml, render, rung_section
from autoencoders.report.pictures import data_card, figures_of, picture, shared_figures
from autoencoders.report.planes import legend
from autoencoders.report.provenance import RunDuration, leading_sentences, run_duration
from autoencoders.report.references import references_for
from autoencoders.stages.compare import read_comparison
from autoencoders.stages.recording import record_results, register_best, rung_result
from autoencoders.tracking.lineage import run_urls

Records = Mapping[str, dict[str, Any]]


MLFLOW_UI = "http://127.0.0.1:5000"  # where `mlflow ui` shows runs that are on no server
TITLE = "<title>Autoencoders on "  # this line near the top identifies an earlier page


def report(
    params: Params,
    *,
    data: Path,
    models: Path,
    evaluation: Path,
    figures: Path,
    comparison: Path,
    ladder: Path,
    out: Path,
) -> None:
    """Write the page `out`, a self-contained HTML file, from the folders that earlier stages wrote.

    Record evaluations, figures, rungs and page in MLflow, and register the best models. This is one stage, because
    importing MLflow takes longer than most evaluations. Raise `UserError` if something is missing, damaged, or was
    measured on other data than `data`.
    """
    replaceable_file(out, TITLE.encode())
    tracking.require_store(params.tracking.experiment)
    prepared = PreparedData(data)
    with tracking.RunPublisher(params.tracking.experiment, prepared) as runs:
        descriptions = {name: _read(read_description, models / name, prepared.info) for name in params.models}
        rungs = {name: _read(read_rung, ladder / name, prepared.info) for name in RUNGS}
        measured = _measured(comparison / "comparison.csv", params)
        references = references_for(prepared.info.name)
        loaded = {name: load_trained(models / name).model for name in params.models}
        test, classes = prepared.split("test"), prepared.info.classes
        n_test = len(test.images)
        codes = {name: read_codes(evaluation / name, (n_test, model.latent)) for name, model in loaded.items()}
        errors = {name: read_errors(evaluation / name, n_test) for name in loaded}
        chosen = chosen_images(test, min(params.plots.images, N_TILES))
        samplers = {name: model for name, model in loaded.items() if KINDS[params.models[name].kind].can_sample}
        page = Page(
            dataset=prepared.info,
            made=datetime.now(UTC),
            origin=tracking.run_context(),
            lead=leading_sentences(
                prepared.info, measured, still_pca(params.models, dict(measured.get("best_step", {})))
            ),
            table=table.comparison(measured),
            runs=_runs(params, models),
            references=table.reference_table(references),
            reconstructions=reconstruction_strips(loaded, test.images[chosen]),
            draws=draw_strips(samplers, params.plots.seed),
            examples=examples(loaded, errors, test, classes),
            explorable=explorable(params, loaded, codes, prepared, chosen),
            legend=legend(test.labels, classes),
            rungs=[_rung(rung, ladder / name, figure_file(figures, name)) for name, rung in rungs.items()],
            figures=shared_figures(figures, params.models),
            figures_by_model={name: figures_of(name, entry, figures) for name, entry in params.models.items()},
            mlflow=tracking.server_address(),
            usage=_usage(params, descriptions),
            hardware=sorted({record["hardware"] for record in [*descriptions.values(), *rungs.values()]}),
            versions={"PyTorch": version("torch"), "autoencoders": version("autoencoders")},
            card=data_card(figures / "data_card.png", prepared.info),
            durations=_durations(descriptions, models, measured, rungs),
            parameters=parameters_as_yaml(params),
        )
        with atomic_file(out) as draft:
            draft.write_text(render(page), encoding="utf-8")
        _record(runs, params, prepared, models, evaluation, figures, ladder, out)
    print(f"report: {out}, {out.stat().st_size / 1e6:.1f} MB")


def _record(
    runs: tracking.RunPublisher,
    params: Params,
    data: PreparedData,
    models: Path,
    evaluation: Path,
    figures: Path,
    ladder: Path,
    out: Path,
) -> None:
    for name in params.models:
        runs.publish_model(models / name)
        record_results(runs, name, models, evaluation, figures, data)
    for rung in RUNGS:
        runs.log_rung(rung_result(ladder / rung, figure_file(figures, rung)))
    runs.name_models([models / name for name in params.models])
    runs.log_report(out)
    register_best(runs, params, models)


def _read(read: Any, folder: Path, info: DatasetInfo) -> dict[str, Any]:
    """Read the record of a model or a rung, and check that it is of the data set of the page."""
    record: dict[str, Any] = read(folder)
    if record["dataset"]["content_hash"] != info.content_hash:
        raise UserError(f"{folder} is of other data than {info.title}, as it is prepared now. Run `dvc repro`.")
    return record


def _measured(path: Path, params: Params) -> pd.DataFrame:
    """Return the comparison, a row for each model."""
    measured = read_comparison(path, ALWAYS_MEASURED)
    if list(measured.index) != list(params.models):
        raise UserError(f"{path} compares other models than params.yaml names. Run the `compare` stage.")
    return measured


def _durations(
    descriptions: Records, models: Path, measured: pd.DataFrame, rungs: Records
) -> list[tuple[str, list[RunDuration]]]:
    seconds = measured.get("train_seconds", pd.Series(dtype=float))
    trainings = [
        run_duration(name, seconds.get(name), model["hardware"], read_reference(models / name).get("tags", {}))
        for name, model in descriptions.items()
    ]
    rung_times = [run_duration(name, rung["seconds"], rung["hardware"], rung["tags"]) for name, rung in rungs.items()]
    return [("Trainings", trainings), ("Rungs of the ladder", rung_times)]


def _runs(params: Params, models: Path) -> dict[str, str]:
    """Return the address of each model's run; empty where the server that shows the runs does not answer."""
    run_ids = {name: read_reference(models / name)["run_id"] for name in params.models}
    if tracking.server_address():
        return {name: url for name, url in run_urls(run_ids).items() if name in run_ids}
    return {name: f"{MLFLOW_UI}/#/runs/{run_id}" for name, run_id in run_ids.items()}


def _rung(record: Mapping[str, Any], folder: Path, figure: Path) -> RungSection:
    story = render_story(record, folder)
    return rung_section(record, story, picture(figure, story.alt) if record["metrics"] else None)


def _usage(params: Params, descriptions: Records) -> Usage:
    """Return one of the models, one that draws from a posterior if there is one."""
    with_posterior = [name for name, entry in params.models.items() if KINDS[entry.kind].has_posterior]
    name = next(iter([*with_posterior, *params.models]))
    source = f"models/{name}"
    if tracking.server_address() and (aliases := best_models(params, descriptions)):  # no folder of the reader's
        alias = "best-vae" if with_posterior else next(iter(aliases))
        source = f"models:/{tracking.registered_name(descriptions[name])}@{alias}"
    return Usage(source, descriptions[name]["shape"], samples=bool(with_posterior))
