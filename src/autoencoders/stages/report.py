"""Write the report, one page with everything that was run, and record in MLflow what is not there yet."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from autoencoders import tracking
from autoencoders.data.prepared import DatasetInfo, PreparedData
from autoencoders.errors import UserError, without_password
from autoencoders.evaluation.results import MEASURED, read_codes
from autoencoders.files.results import atomic_file, replaceable_file
from autoencoders.ladder.record import RUNGS, read_rung
from autoencoders.model_folder import load_trained, read_description, read_reference
from autoencoders.params import Params, Vae
from autoencoders.report import comparison as table
from autoencoders.report.page import Page, RungSection, render, rung_section
from autoencoders.report.pictures import SHARED, Picture, picture, pictures
from autoencoders.report.planes import MOST_WEIGHTS, Plane, count_weights, legend, plane
from autoencoders.report.provenance import Part, leading_sentences, part
from autoencoders.report.references import references_for
from autoencoders.stages.compare import read_comparison
from autoencoders.stages.publish import best_models, record_results, register_best

Described = Mapping[str, dict[str, Any]]


TITLE = "<title>Autoencoders on "
"""What the page begins with, as the template has it."""


def report(
    params: Params,
    *,
    data: Path,
    card: Path,
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
        planes, too_large = _planes(params, prepared, models, evaluation)
        page = Page(
            dataset=prepared.info,
            made=datetime.now(UTC),
            origin=tracking.run_context(),
            lead=leading_sentences(prepared.info, measured),
            hardware=sorted({one["hardware"] for one in [*descriptions.values(), *rungs.values()]}),
            durations=_durations(descriptions, models, measured, rungs),
            parameters=_as_yaml(params),
            card=_card(card / "data_card.png", prepared.info),
            table=table.comparison(measured, references, _incomparable(params)),
            references=table.reference_table(references),
            overview=_overview(figures / "comparison.png"),
            planes=planes,
            too_large=too_large,
            legend=legend(prepared.split("test").labels, prepared.info.classes),
            rungs=[_rung(ladder / name, one) for name, one in rungs.items()],
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
            runs.log_rung(ladder / name)
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
) -> list[tuple[str, list[Part]]]:
    seconds = measured.get("train_seconds", pd.Series(dtype=float))
    trainings = [
        part(name, seconds.get(name), one["hardware"], read_reference(models / name).get("tags", {}))
        for name, one in descriptions.items()
    ]
    climbed = [part(name, one["seconds"], one["hardware"], one["tags"]) for name, one in rungs.items()]
    return [("Trainings", trainings), ("Rungs of the ladder", climbed)]


def _as_yaml(params: Params) -> str:
    values = params.model_dump(mode="json", exclude={"tracking"})
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=64)
    return without_password(text)


def _incomparable(params: Params) -> list[str]:
    """Densities and probabilities are not of one kind."""
    likelihoods = {entry.likelihood for entry in params.models.values() if isinstance(entry, Vae)}
    return ["neg_elbo", "nll"] if len(likelihoods) > 1 else []


def _card(path: Path, info: DatasetInfo) -> Picture:
    by_class = f", some of each of its {len(info.classes)} classes" if info.classes else ""
    alt = (
        f"The data card of {info.title}: the mean training image, pixel mean and standard deviation, sample images"
        f"{by_class}, and the number of images in each split."
    )
    return picture(path, alt, "What the models learned from.")


def _overview(path: Path) -> Picture | None:
    caption, alt = SHARED["comparison"]
    return picture(path, alt, caption) if path.exists() else None


def _planes(params: Params, prepared: PreparedData, models: Path, evaluation: Path) -> tuple[list[Plane], list[str]]:
    """Return the planes of the models of two dimensions, and the names of those for which the page has no room."""
    labels, shown, left_out, used = prepared.split("test").labels, [], [], 0
    for name in (name for name, entry in params.models.items() if entry.latent == 2):
        model = load_trained(models / name).model
        used += count_weights(model)
        if used > MOST_WEIGHTS:
            used -= count_weights(model)
            left_out.append(name)
            continue
        codes = read_codes(evaluation / name, (prepared.info.counts["test"], 2))
        shown.append(plane(name, model, codes, labels, prepared.info.classes))
    return shown, left_out


def _rung(folder: Path, described: Mapping[str, Any]) -> RungSection:
    figure = folder / "figure.png"
    return rung_section(described, picture(figure, described["alt"]) if figure.exists() else None)


def _usage(params: Params, descriptions: Described) -> str:
    """Return a few lines of Python for one of the models, a VAE if there is one."""
    name = next((name for name, entry in params.models.items() if isinstance(entry, Vae)), next(iter(params.models)))
    channels, height, width = descriptions[name]["shape"]
    samples = isinstance(params.models[name], Vae)
    source = f"models/{name}"
    if tracking.server_address() and (aliases := best_models(params, descriptions)):  # no folder of the reader's
        alias = "best-vae" if samples else next(iter(aliases))
        source = f"models:/{tracking.registered_name(descriptions[name])}@{alias}"
    lines = [
        *(["import torch"] if samples else []),
        "from autoencoders import load_model",
        "",
        f'model = load_model("{source}")',
        f"# images: float32 (N, {channels}, {height}, {width}) in [0, 1], a tensor or an array",
        "z = model.encode(images)",
        "redrawn = model.decode(z)",
    ]
    if samples:
        lines.append("new = model.sample(64, torch.Generator().manual_seed(0))")
    return "\n".join(lines)
