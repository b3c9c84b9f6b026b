"""What Kubeflow Pipelines shows beside the tasks: models, the comparison, figures, rungs, and links to MLflow."""

import base64
import html
import json
from collections.abc import Iterable
from pathlib import Path

from autoencoders.errors import without_password
from autoencoders.kubeflow import Artifact, only


def show_model(out: Artifact) -> None:
    """Put on KFP's page of a trained model what tells which it is, and where its run and the pipeline's are."""
    from autoencoders.tracking import tracking_uri
    from autoencoders.tracking.links import pages

    run_id = _run_of(out)
    described = json.loads((only(out) / "model.json").read_text(encoding="utf-8"))
    out.metadata.update(
        model=described["name"],
        weights_sha256=described["weights_sha256"],
        mlflow_run=run_id,
        mlflow=without_password(tracking_uri()),
        **{f"mlflow_page_{name}": page for name, page in pages({"run": run_id}).items()},
        **described["validation"],
    )


def show_comparison(table: Artifact, out: Artifact, models: Iterable[Artifact]) -> None:
    """Write the comparison for KFP's page of the task, and below it links to the models' runs in MLflow.

    The pipeline's is not among them: the page may be one that an earlier pipeline made.
    """
    from autoencoders.tracking.links import ABOVE, pages

    runs = {only(one).name: _run_of(one) for one in models}
    links = [f"[{name}]({page})" for name, page in pages(runs).items() if name != ABOVE]
    text = (Path(out.path) / "comparison.md").read_text(encoding="utf-8")
    Path(table.path).write_text(f"{text}\nIn MLflow: {' · '.join(links)}\n" if links else text, encoding="utf-8")


def show_runs(page: Artifact, models: Iterable[Artifact], rungs: Iterable[Artifact]) -> None:
    """Write, for KFP's page of the report, links to all runs in MLflow that it is about."""
    from autoencoders.tracking import tracking_uri
    from autoencoders.tracking.links import pages
    from autoencoders.tracking.pages import identity

    runs = {only(one).name: _run_of(one) for one in models} | {only(one).name: identity(only(one)) for one in rungs}
    links = [f"- [{name}]({page})" for name, page in pages(runs).items()]
    told = ["The runs in MLflow:", "", *links] if links else [f"The runs are in {without_password(tracking_uri())}."]
    Path(page.path).write_text("\n".join([*told, ""]), encoding="utf-8")


def _run_of(model: Artifact) -> str:
    return str(json.loads((only(model) / "run.json").read_text(encoding="utf-8"))["run_id"])


def show_figures(page: Artifact, folder: Path) -> None:
    """Write an HTML page of all figures in `folder`, which KFP shows beside the task."""
    figures = [f"<h2>{html.escape(path.stem)}</h2>\n{_image(path)}" for path in sorted(folder.glob("*.png"))]
    _write_page(page, figures)


def show_rung(page: Artifact, out: Artifact) -> None:
    """Write an HTML page of the rung that a stage of the ladder left in `out`."""
    from autoencoders.ladder.record import read_rung

    folder = only(out)
    rung = read_rung(folder)
    parts = [f"<h1>{html.escape(rung['title'])}</h1>", f"<p><em>{html.escape(rung['claim'])}</em></p>"]
    parts += [_image(figure, rung["alt"]) for figure in folder.glob("figure.png")]
    _write_page(page, parts + [f"<p>{html.escape(paragraph)}</p>" for paragraph in rung["story"]])


def _image(path: Path, alt: str = "") -> str:
    encoded = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:image/png;base64,{encoded}" alt="{html.escape(alt or path.stem)}" style="max-width:100%">'


def _write_page(page: Artifact, body: list[str]) -> None:
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><body style="font-family:sans-serif;max-width:60rem">'
    Path(page.path).parent.mkdir(parents=True, exist_ok=True)
    Path(page.path).write_text("\n".join([head, *body, "</body></html>", ""]), encoding="utf-8")
