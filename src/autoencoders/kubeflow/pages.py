"""What Kubeflow Pipelines shows beside the tasks: trainings, metrics, the comparison, figures, rungs, links to MLflow.

KFP puts HTML into a frame without an address (`srcdoc`) and Markdown into a narrow panel; both load the whole file.
"""

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from autoencoders.errors import without_password
from autoencoders.kubeflow.artifacts import Artifact, gathered, models_of, single_subfolder
from autoencoders.kubeflow.inputs import from_kfp_inputs
from autoencoders.ladder.record import RUNGS, read_rung
from autoencoders.text import format_number, typeset

if TYPE_CHECKING:
    from autoencoders.report.pictures import Picture

NO_BREAK = "\u00a0"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;max-width:60rem;margin:1.5rem auto;"
    "padding:0 1rem}h1{font-size:1.5rem}figure{margin:1.5rem 0}img{max-width:100%;height:auto}figcaption{color:#555}"
)
CURVE_DPI = 80
"""Few: KFP's panel is narrow, and the picture is part of the Markdown."""


def show_training(summary: Artifact, model: Artifact) -> None:
    """Write how the training in `model` went for KFP's page of the task, and name the artifact after the model."""
    from autoencoders.tracking.lineage import run_urls

    folder = single_subfolder(model)
    description, run_id = json.loads((folder / "model.json").read_text(encoding="utf-8")), _run_of(folder)
    name = description["name"]
    # Each task that reads the model carries this in its pod's description: only what identifies it.
    model.metadata.update(display_name=f"model: {name}", mlflow_run=run_id)
    measured = description["validation"].items()
    validation = [(key.removeprefix("val/"), format_number(value)) for key, value in measured]
    lines = [
        f"# {name}",
        "",
        typeset(_training_paragraph(description, folder)),
        "",
        *_markdown_table(["validation", "value"], validation),
    ]
    if (folder / "history.csv").exists():
        lines += ["", f"![Loss by step](data:image/png;base64,{_curve(description, folder)})"]
    links = [f"[{what}]({page})" for what, page in run_urls({"the model's run": run_id}).items()]
    where = f"In MLflow: {' · '.join(links)}" if links else f"In MLflow: run `{run_id}`"
    _write(summary, "\n".join([*lines, "", where, ""]))


def _training_paragraph(description: Mapping[str, Any], folder: Path) -> str:
    entry, settings = description["model"], description["train"]
    size = f"{entry['latent']} latent dimensions, {description['parameters']:,} parameters"
    if settings is None:
        return f"Fitted to the training images: {size}."
    from autoencoders.model_folder.history import read_history

    rows = read_history(folder)
    seconds = sum(row.get("seconds", 0.0) for row in rows)
    return (
        f"{size}. {rows[-1]['step']:,.0f} of {settings['steps']:,} steps in {format_number(seconds)} seconds on "
        f"{description['hardware']}; the weights kept are of step {description['best_step']:,}."
    )


def _curve(description: Mapping[str, Any], folder: Path) -> str:
    """Return the losses by step as PNG, in base 64."""
    import pandas as pd

    from autoencoders.plots.curves import loss_curves, loss_unit

    name = description["name"]
    figure = loss_curves({name: pd.read_csv(folder / "history.csv")}, {name: loss_unit(description["model"])})
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=CURVE_DPI)
    return base64.b64encode(file.getvalue()).decode()


def show_metrics(metrics: Any, folder: Path) -> None:
    """Log what was measured of the model that `folder` is named after, for KFP's pages of the task and of runs."""
    metrics.metadata.update(display_name=f"metrics: {folder.name}", Model=folder.name)
    for name, value in json.loads((folder / "metrics.json").read_text(encoding="utf-8")).items():
        metrics.log_metric(name, value)


def show_comparison(table: Artifact, metrics: Any, results: Artifact) -> None:
    """Write the comparison for KFP's page of the task, a column a model, and log it as `<model> <measure>`.

    Below the table are links to the models' runs in MLflow. The pipeline's is not among them: the page may be one that
    an earlier pipeline made.
    """
    import pandas as pd

    from autoencoders.evaluation.measures import COMPARISON_COLUMNS
    from autoencoders.report.comparison import comparison
    from autoencoders.stages.compare import read_comparison, table_as_text
    from autoencoders.tracking.lineage import PIPELINE_RUN, run_urls

    models, _, compared = gathered(results)
    measured = read_comparison(compared / "comparison.csv")
    metrics.metadata.update(display_name="metrics: all models")
    for name, row in measured.iterrows():
        for column in COMPARISON_COLUMNS:
            if column != "latent" and column in measured and pd.notna(row[column]):
                metrics.log_metric(f"{name} {column}", float(row[column]))
    shown = table_as_text(comparison(measured)).T
    lines = _markdown_table(["", *shown.columns], [(str(heading), *cells) for heading, cells in shown.iterrows()])
    note = (compared / "comparison.md").read_text(encoding="utf-8").strip().partition("\n\n")[2]
    links = [f"[{name}]({page})" for name, page in run_urls(_runs(models)).items() if name != PIPELINE_RUN]
    _write(table, "\n".join([*lines, "", note, "", *([f"In MLflow: {' · '.join(links)}", ""] if links else [])]))


def _markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines of a table whose cells keep apart in KFP's page, which gives them no padding."""
    padded = [[_cell(text) for text in row] for row in [heading, *rows]]
    aligned = ["---", *["--:"] * (len(heading) - 1)]
    return [f"|{'|'.join(row)}|" for row in [padded[0], aligned, *padded[1:]]]


def _cell(text: str) -> str:
    plain = str(text).replace("|", "\\|").replace(" ", NO_BREAK)
    return f" {plain}{NO_BREAK * 3} "


def show_runs(page: Artifact, results: Artifact, rungs: Artifact) -> None:
    """Write, for KFP's page of the report, links to all runs in MLflow that it is about."""
    from autoencoders.tracking import tracking_uri
    from autoencoders.tracking.ladder_content import rung_id
    from autoencoders.tracking.lineage import run_urls

    models, _, _ = gathered(results)
    runs = _runs(models) | {name: rung_id(Path(rungs.path) / name) for name in RUNGS}
    links = [f"- [{name}]({address})" for name, address in run_urls(runs).items()]
    lines = ["The runs in MLflow:", "", *links] if links else [f"The runs are in {without_password(tracking_uri())}."]
    _write(page, "\n".join([*lines, ""]))


def show_data_card(page: Artifact, card: Artifact, data: Artifact) -> None:
    """Write the data card as a page, which KFP shows beside the task."""
    from autoencoders.data.card import read_card
    from autoencoders.data.prepared import PreparedData
    from autoencoders.plots.data_card import data_card
    from autoencoders.plots.style import save
    from autoencoders.report.pictures import picture

    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "data_card.png"
        save(data_card(read_card(Path(card.path), PreparedData(Path(data.path)))), file)
        shown = picture(file, "The data card: pixels, sample images, images in each split.")
    _write_page(page, "Data card", [_figure(shown)])


def show_figures(page: Artifact, figures: Artifact, results: Artifact) -> None:
    """Write a page of all figures, each under its caption, which KFP shows beside the task."""
    from autoencoders.report.pictures import pictures

    models = from_kfp_inputs({"models": models_of(results)}).models
    _write_page(page, "Figures", [_figure(shown) for shown in pictures(Path(figures.path), models)])


def show_ladder(page: Artifact, rungs: Artifact) -> None:
    """Write a page of the rungs of the ladder: claim, picture and story of each."""
    from autoencoders.ladder.figures import draw_rung
    from autoencoders.ladder.stories import render_story
    from autoencoders.report.pictures import picture

    parts = []
    for name in RUNGS:
        folder = Path(rungs.path) / name
        story = render_story(read_rung(folder), folder)
        parts += [f"<h2>{html.escape(story.title)}</h2>", f"<p><em>{html.escape(story.claim)}</em></p>"]
        with TemporaryDirectory() as scratch:
            if draw_rung(folder, file := Path(scratch) / f"{name}.png"):
                parts.append(_figure(picture(file, story.alt)))
        parts += [f"<p>{html.escape(typeset(paragraph))}</p>" for paragraph in story.paragraphs]
    _write_page(page, "The ladder", parts)


def _run_of(folder: Path) -> str:
    return str(json.loads((folder / "run.json").read_text(encoding="utf-8"))["run_id"])


def _runs(models: Path) -> dict[str, str]:
    """Return the MLflow run of each model."""
    return {folder.name: _run_of(folder) for folder in sorted(models.iterdir())}


def _figure(shown: "Picture") -> str:
    caption = f"<figcaption>{html.escape(shown.caption)}</figcaption>" if shown.caption else ""
    size = f'width="{shown.width}" height="{shown.height}"'
    return f'<figure><img src="{shown.source}" alt="{html.escape(shown.alt)}" {size}>{caption}</figure>'


def _write_page(page: Artifact, title: str, body: list[str]) -> None:
    name = html.escape(title)
    head = f'<head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head>'
    start = f'<!doctype html><html lang="en">{head}'
    _write(page, "\n".join([start, f"<body><h1>{name}</h1>", *body, "</body></html>", ""]))


def _write(artifact: Artifact, text: str) -> None:
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
