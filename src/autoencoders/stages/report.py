"""Write the report, one page with everything that was run, and record in MLflow what is not there yet."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from autoencoders import tracking
from autoencoders.data.prepared import DatasetInfo, PreparedData
from autoencoders.errors import UserError
from autoencoders.evaluation.results import MEASURED
from autoencoders.files.results import atomic_file, replaceable_file
from autoencoders.ladder.record import RUNGS, figure_file, read_rung
from autoencoders.ladder.stories import tell
from autoencoders.model_folder import read_description, read_reference
from autoencoders.params import KINDS, Params
from autoencoders.report import comparison as table
from autoencoders.report.page import Page, RungSection, Usage, parameters_as_yaml, render, rung_section
from autoencoders.report.pictures import data_card, overview, picture, pictures
from autoencoders.report.planes import legend, planes_of
from autoencoders.report.provenance import RunDuration, leading_sentences, run_duration
from autoencoders.report.references import references_for
from autoencoders.stages.compare import read_comparison
from autoencoders.stages.publish import best_models, record_results, register_best, rung_result

Described = Mapping[str, dict[str, Any]]


TITLE = "<title>Autoencoders on "
"""What the page begins with, as the template has it."""


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
    """Write the page `out`, an HTML file that needs no other, from what the stages before left in their folders.

    Records evaluations, figures, rungs and page in MLflow, and registers the best models: all here, since importing
    MLflow costs a process more than most evaluations.
    Raises `UserError` where something is missing, damaged, or was measured on other data than `data` holds.
    """
    replaceable_file(out, TITLE.encode())
    tracking.require_store(params.tracking.experiment)
    with tracking.RunPublisher(params.tracking.experiment) as runs:
        prepared = PreparedData(data)
        descriptions = {name: _read(read_description, models / name, prepared.info) for name in params.models}
        rungs = {name: _read(read_rung, ladder / name, prepared.info) for name in RUNGS}
        measured = _measured(comparison / "comparison.csv", params)
        references = references_for(prepared.info.name)
        planes, too_large = planes_of(params, prepared, models, evaluation)
        page = Page(
            dataset=prepared.info,
            made=datetime.now(UTC),
            origin=tracking.run_context(),
            lead=leading_sentences(prepared.info, measured),
            hardware=sorted({described["hardware"] for described in [*descriptions.values(), *rungs.values()]}),
            durations=_durations(descriptions, models, measured, rungs),
            parameters=parameters_as_yaml(params),
            card=data_card(figures / "data_card.png", prepared.info),
            table=table.comparison(measured, references, _incomparable(params)),
            references=table.reference_table(references),
            overview=overview(figures / "comparison.png"),
            planes=planes,
            too_large=too_large,
            legend=legend(prepared.split("test").labels, prepared.info.classes),
            rungs=[_rung(rung, ladder / name, figure_file(figures, name)) for name, rung in rungs.items()],
            figures=pictures(figures, params.models, leave_out=["comparison"]),
            mlflow=tracking.server_address(),
            usage=_usage(params, descriptions),
        )
        with atomic_file(out) as draft:
            draft.write_text(render(page), encoding="utf-8")
        for name in params.models:
            runs.complete_model(models / name)
            record_results(runs, name, models, evaluation, figures)
        for name in rungs:
            runs.log_rung(rung_result(ladder / name, figure_file(figures, name)))
        runs.name_models([models / name for name in params.models])
        runs.log_report(out)
        register_best(runs, params, models)
    print(f"report: {out}, {out.stat().st_size / 1e6:.1f} MB")


def _read(read: Any, folder: Path, info: DatasetInfo) -> dict[str, Any]:
    """Read what describes a model or a rung, and see that it is of the data set that the page is about."""
    described: dict[str, Any] = read(folder)
    if described["dataset"]["content_hash"] != info.content_hash:
        raise UserError(f"{folder} is of other data than {info.title}, as it is prepared now. Run `dvc repro`.")
    return described


def _measured(path: Path, params: Params) -> pd.DataFrame:
    """Return the comparison, a row a model."""
    measured = read_comparison(path, MEASURED)
    if list(measured.index) != list(params.models):
        raise UserError(f"{path} compares other models than params.yaml names. Run the `compare` stage.")
    return measured


def _durations(
    descriptions: Described, models: Path, measured: pd.DataFrame, rungs: Described
) -> list[tuple[str, list[RunDuration]]]:
    seconds = measured.get("train_seconds", pd.Series(dtype=float))
    trainings = [
        run_duration(name, seconds.get(name), model["hardware"], read_reference(models / name).get("tags", {}))
        for name, model in descriptions.items()
    ]
    climbed = [run_duration(name, rung["seconds"], rung["hardware"], rung["tags"]) for name, rung in rungs.items()]
    return [("Trainings", trainings), ("Rungs of the ladder", climbed)]


def _incomparable(params: Params) -> list[str]:
    """Densities and probabilities are not of one kind."""
    likelihoods = {
        entry.model_dump()["likelihood"] for entry in params.models.values() if KINDS[entry.kind].has_posterior
    }
    return ["neg_elbo", "nll"] if len(likelihoods) > 1 else []


def _rung(described: Mapping[str, Any], folder: Path, figure: Path) -> RungSection:
    story = tell(described, folder)
    return rung_section(described, story, picture(figure, story.alt) if described["metrics"] else None)


def _usage(params: Params, descriptions: Described) -> Usage:
    """Return one of the models, one that draws from a posterior if there is one."""
    with_posterior = [name for name, entry in params.models.items() if KINDS[entry.kind].has_posterior]
    name = next(iter([*with_posterior, *params.models]))
    source = f"models/{name}"
    if tracking.server_address() and (aliases := best_models(params, descriptions)):  # no folder of the reader's
        alias = "best-vae" if with_posterior else next(iter(aliases))
        source = f"models:/{tracking.registered_name(descriptions[name])}@{alias}"
    return Usage(source, descriptions[name]["shape"], samples=bool(with_posterior))
