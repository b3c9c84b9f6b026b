"""What tasks hand each other under Kubeflow Pipelines, and what its page shows of it."""

import base64
import io
import json
import re
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from artifacts import Artifact
from gathered import PARAMS
from PIL import Image

from autoencoders.data.card import write_card
from autoencoders.data.prepared import PreparedData
from autoencoders.kubeflow import artifacts, pages
from autoencoders.ladder.record import RUNGS, read_rung
from autoencoders.ladder.stories import render_story


def test_metrics_say_of_which_model_they_are(artifact, measured):
    metrics = artifact("metrics")
    pages.show_metrics(metrics, Path(measured[0].path) / "evaluation" / "vae")
    assert metrics.metadata == {"display_name": "metrics: vae", "Model": "vae", "mse": 0.1, "kl": 3.0}


@pytest.fixture
def results(artifact, measured) -> Artifact:
    """What `compare` gathers and writes."""
    gathered = artifact("results")
    _, _, comparison = artifacts.merge_folders(gathered, measured, PARAMS)
    comparison.mkdir()
    table = pd.DataFrame({"kind": ["vae", "autoencoder"], "latent": [2, 16], "mse": [0.03, 0.00789], "kl": [6.5, None],
                          "train_seconds": [12.0, 30.5]}, index=pd.Index(["vae", "ae"], name="model"))  # fmt: skip
    table.to_csv(comparison / "comparison.csv")
    (comparison / "comparison.md").write_text("| a table |\n\nTest split. MSE per pixel.\n\nae is worse than PCA.\n")
    return gathered


def test_the_comparison_has_a_column_a_model_and_cells_that_keep_apart(artifact, results):
    """KFP's page gives cells no padding, and is narrow."""
    table, metrics = artifact("table"), artifact("metrics")
    pages.show_comparison(table, metrics, results)
    lines = Path(table.path).read_text().replace("\u00a0", "~").splitlines()
    assert lines[:5] == [
        "| ~~~ | vae~~~ | ae~~~ |",
        "|---|--:|--:|",
        "| latent~~~ | 2~~~ | 16~~~ |",
        "| MSE~~~ | 0.03000~~~ | 0.00789*~~~ |",
        "| KL~~~ | 6.5~~~ | –~~~ |",
    ]
    assert lines[-3:] == ["Test split. MSE per pixel.", "", "ae is worse than PCA."]


def test_two_runs_compare_in_one_column_a_model_and_measure(artifact, results):
    metrics = artifact("metrics")
    pages.show_comparison(artifact("table"), metrics, results)
    assert metrics.metadata == {
        "display_name": "metrics: all models",
        "vae mse": 0.03, "vae kl": 6.5, "vae train_seconds": 12.0, "ae mse": 0.00789, "ae train_seconds": 30.5,
    }  # fmt: skip


def test_a_training_shows_its_results_and_its_curve(artifact, trained):
    model, summary = artifact("model"), artifact("summary.md")
    copy(trained / "vae", model)
    pages.show_training(summary, model)
    described = json.loads((trained / "vae" / "model.json").read_text())
    run_id = json.loads((trained / "vae" / "run.json").read_text())["run_id"]
    assert model.metadata == {"display_name": "model: vae", "mlflow_run": run_id}
    text = Path(summary.path).read_text().replace("\u00a0", " ")
    assert text.startswith(
        f"# vae\n\n{described['model']['latent']} latent dimensions, {described['parameters']:,} para"
    )
    assert f"the weights kept are of step {described['best_step']}." in text
    assert re.search(r"\| elbo +\| −\d", text)
    found = re.search(r"!\[Loss by step\]\(data:image/png;base64,([^)]+)\)", text)
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as curve:
        assert curve.width <= 900, "KFP's panel is narrow"
    assert text.rstrip().endswith(f"In MLflow: run `{run_id}`")
    assert len(text) < 400_000, "KFP cuts longer Markdown off"


def test_a_model_that_was_not_trained_in_steps_has_no_curve(artifact, trained):
    model, summary = artifact("model"), artifact("summary.md")
    copy(trained / "pca", model)
    pages.show_training(summary, model)
    text = Path(summary.path).read_text()
    assert "Fitted to the training images" in text
    assert "![" not in text


def copy(folder: Path, into: Artifact) -> None:
    shutil.copytree(folder, Path(into.path) / folder.name)


def test_the_page_of_the_ladder_shows_all_rungs_in_their_order(artifact, rungs):
    page = artifact("page/page.html")
    pages.show_ladder(page, Artifact(str(rungs)))
    text = unescape(Path(page.path).read_text())
    stories = [render_story(read_rung(rungs / name), rungs / name) for name in RUNGS]
    assert re.findall("<h2>(.*?)</h2>", text) == [story.title for story in stories]
    assert re.findall('alt="(.*?)" width', text) == [story.alt for story in stories if story.alt]
    assert len(re.findall("<img src", text)) == len(RUNGS) - 1  # `generation` has nothing to compare
    last = stories[-1]
    assert text.index(last.title) < text.index(last.alt) < text.index("<p>A VAE minimises the sum")


def test_the_page_of_the_data_shows_its_card(artifact, prepared):
    page, card = artifact("page/page.html"), artifact("card")
    Path(card.path).mkdir()
    write_card(Path(card.path), PreparedData(prepared), seed=0, remarks={})
    pages.show_data_card(page, card, Artifact(str(prepared)))
    [source] = re.findall(r'<img src="data:image/webp;base64,([^"]+)"', Path(page.path).read_text())
    with Image.open(io.BytesIO(base64.b64decode(source))) as figure:
        assert min(figure.size) > 500


def test_figures_stand_above_their_captions_not_under_their_files_names(artifact, results):
    figures, page = artifact("figures"), artifact("page.html")
    Path(figures.path).mkdir()
    for name in ("data_card", "loss", "prediction--vae"):
        Image.new("RGB", (300, 150)).save(Path(figures.path) / f"{name}.png")
    pages.show_figures(page, figures, results)
    captions = re.findall("<figcaption>(.*?)</figcaption>", Path(page.path).read_text())
    assert captions[0].startswith("Losses by step.")
    assert captions[1:] == ["The test set in the latent plane of vae (VAE, 2-dimensional)."]


@pytest.mark.parametrize("uri", ["sqlite:///runs.db", "http://me:secret@127.0.0.1:9"])
def test_without_pages_in_mlflow_there_are_no_links(artifact, results, monkeypatch, uri):
    """A database that nobody serves, a server that does not answer: nothing fails, and nothing leads nowhere."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("AUTOENCODERS_MLFLOW_PAGES", "https://mlflow.example" if uri.startswith("sqlite") else "")
    rungs, runs, table = artifact("rungs"), artifact("runs.md"), artifact("table.md")
    for name in RUNGS:
        (Path(rungs.path) / name).mkdir(parents=True)
        (Path(rungs.path) / name / "rung.json").write_text("{}")
    pages.show_comparison(table, artifact("metrics"), results)
    assert "MLflow" not in Path(table.path).read_text()
    pages.show_runs(runs, results, rungs)
    where = "http://127.0.0.1:9" if uri.startswith("http") else f"sqlite:///{Path.cwd() / 'runs.db'}"
    assert Path(runs.path).read_text() == f"The runs are in {where}.\n"
