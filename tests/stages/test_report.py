import errno
import json
import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from autoencoders.errors import UserError
from autoencoders.ladder.record import RUNGS, read_rung
from autoencoders.report import explore
from autoencoders.report.page import parameters_as_yaml
from autoencoders.stages import report as stage
from autoencoders.stages.publish import publish
from autoencoders.stages.report import report
from autoencoders.tracking.store import create_run


def runs_named(client: MlflowClient, name: str) -> list:
    experiments = [found.experiment_id for found in client.search_experiments()]
    return [run for run in client.search_runs(experiments) if run.info.run_name == name]


def pages(client: MlflowClient, run_id: str) -> list[str]:
    return [file.path for file in client.list_artifacts(run_id, "report")]


def test_the_page_holds_everything_that_was_run(params, outputs, capsys):
    report(params, **outputs)
    size = outputs["out"].stat().st_size / 1_000_000
    assert f"report: {outputs['out']}, {size:.1f} MB\n" in capsys.readouterr().out
    html = outputs["out"].read_text(encoding="utf-8")
    assert not list(outputs["out"].parent.glob(".*"))
    sections = re.findall(r'<section id="([a-z]+)"', html)
    assert sections == ["comparison", "explore", "plane", "ladder", "figures", "use", "made"]
    assert re.findall(r'<li><a href="#([a-z]+)"', html) == sections
    assert re.findall(r'<details id="rung-([\w-]+)"', html) == [*RUNGS]
    assert "60 for training, 20 for validation, 20 for testing" in html
    assert re.findall(r"<b>(\w+)</b> <span class=\"unit\">(\w+)</span></figcaption>", html) == [
        ("pca", "PCA"), ("ae", "AE"), ("vae", "VAE"),
    ]  # fmt: skip
    figures = 1 + 5 + 3  # card, rungs but one, those of models
    thumbnails = 4 + 2 + 3 * 20  # reconstructions with the originals, draws, best and worst of each model
    assert html.count("<img ") == figures + thumbnails
    psnr = read_rung(outputs["ladder"] / "one-image")["metrics"]["flower/psnr"]
    assert f"{psnr:.1f} dB for the colour photograph" in html
    assert f"<td>{psnr:.1f}</td>" in html
    assert "learning_rate: 0.01" in html
    assert 'load_model("models/vae")' in unescape(html)


def test_the_best_is_marked_for_eyes_and_ears(params, outputs):
    report(params, **outputs)
    html = outputs["out"].read_text(encoding="utf-8")
    assert re.findall(r'class="best" data-value="0.01">(.*?)<span class="hidden">(.*?)</span>', html)[0] == (
        "0.01000",
        " (best)",
    )


def test_nothing_that_is_missing_goes_unnoticed(params, outputs):
    broken = {
        outputs["data"] / "nowhere": ("data", "holds no prepared data"),
        outputs["models"] / "vae" / "model.json": ("", r"vae is no trained model"),
        outputs["evaluation"] / "ae" / "codes" / "test.npy": ("", r"test\.npy is missing or damaged"),
        outputs["evaluation"] / "ae" / "codes" / "errors.npy": (
            "",
            r"errors\.npy is missing.*Run the `evaluate` stage",
        ),
        outputs["comparison"] / "comparison.csv": ("", r"comparison\.csv is missing or damaged"),
        outputs["figures"] / "data_card.png": ("", r"data_card\.png is missing or damaged.*Run the `plots` stage"),
        outputs["ladder"] / "beta" / "rung.json": ("", r"rung\.json is missing.*Run .* `autoencoders ladder beta`"),
    }
    for path, (argument, message) in broken.items():
        hidden = path.with_name("hidden")
        if argument:
            arguments = {**outputs, argument: path}
        else:
            path.rename(hidden)
            arguments = outputs
        with pytest.raises(UserError, match=message):
            report(params, **arguments)
        if hidden.exists():
            hidden.rename(path)
        assert not outputs["out"].exists()


@pytest.mark.parametrize(("folder", "file"), [("models", "vae/model.json"), ("ladder", "beta/rung.json")])
def test_results_of_other_data_are_refused(params, outputs, folder, file):
    path = outputs[folder] / file
    described = json.loads(path.read_text())
    described["dataset"]["content_hash"] = "0" * 64
    path.write_text(json.dumps(described))
    with pytest.raises(UserError, match=f"{path.parent.name} is of other data than tiny"):
        report(params, **outputs)


def test_a_full_disk_leaves_the_page_from_before(params, outputs, monkeypatch):
    outputs["out"].parent.mkdir(parents=True, exist_ok=True)
    outputs["out"].write_text("<title>Autoencoders on Monday")

    def full(path: Path, *arguments: object, **options: object) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match=r"^No space left on the disk that holds "):
        report(params, **outputs)
    assert outputs["out"].read_text() == "<title>Autoencoders on Monday"
    assert not [path for path in outputs["out"].parent.iterdir() if path.name.startswith(f".{outputs['out'].name}")]


def test_models_that_are_pca_still_are_named_at_the_top(params, outputs):
    path = outputs["comparison"] / "comparison.csv"
    pd.read_csv(path, index_col=0).assign(best_step=0).to_csv(path)
    models = params.models | {"ae": params.models["ae"].model_copy(update={"loss": "mse"})}
    report(params.model_copy(update={"models": models}), **outputs)
    html = outputs["out"].read_text(encoding="utf-8")
    assert '<p class="lead">ae is still PCA: no step was better on the validation images' in html


def test_a_comparison_of_other_models_is_refused(params, outputs):
    path = outputs["comparison"] / "comparison.csv"
    pd.read_csv(path, index_col=0).drop("ae").to_csv(path)
    with pytest.raises(UserError, match="compares other models"):
        report(params, **outputs)


def test_codes_of_another_size_are_refused(params, outputs):
    np.save(outputs["evaluation"] / "vae" / "codes" / "test.npy", np.zeros((7, 2), np.float32))
    with pytest.raises(UserError, match=r"it holds float32 \(7, 2\), expected float32 \(20, 2\)"):
        report(params, **outputs)


def test_a_decoder_that_does_not_fit_is_named(params, outputs, monkeypatch):
    """PCA's 192 numbers fit, and the 600 of `ae` do not; nor do those of `vae`."""
    monkeypatch.setattr(explore, "MAX_WEIGHTS", 500)
    report(params, **outputs)
    html = outputs["out"].read_text(encoding="utf-8")
    assert re.findall(r"<figcaption><b>(\w+)</b>", html) == ["pca"]
    assert "Left out, since their decoders would make this page too large: ae, vae." in html


def test_data_without_labels_and_one_model_make_a_page(params, outputs, prepared, tmp_path):
    data = Path(shutil.copytree(prepared, tmp_path / "unlabelled"))
    info = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**info, "classes": None}))
    path = outputs["comparison"] / "comparison.csv"
    pd.read_csv(path, index_col=0)[:1].to_csv(path)
    single = params.model_copy(update={"models": {"pca": params.models["pca"]}})
    report(single, **{**outputs, "data": data})
    html = outputs["out"].read_text(encoding="utf-8")
    assert "no labels" in html
    assert 'class="legend"' not in html
    assert "the class and the image" not in html
    assert "model.sample" not in html


@pytest.mark.parametrize(
    ("models", "on_server", "source", "samples"),
    [
        (["ae", "vae"], False, "models/vae", True),
        (["ae", "vae"], True, "models:/tiny-autoencoders@best-vae", True),
        (["pca", "ae"], False, "models/pca", False),
        (["pca", "ae"], True, "models:/tiny-autoencoders@best-autoencoder", False),
        (["pca"], True, "models/pca", False),
    ],
)
def test_the_example_loads_a_model_that_samples_if_there_is_one(
    params, monkeypatch, models, on_server, source, samples
):
    if on_server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org")
    validation = {"val/mse": 0.1, "val/elbo": -9.0}
    described = {"dataset": {"name": "tiny"}, "shape": [1, 8, 8], "validation": validation}
    chosen = params.model_copy(update={"models": {name: params.models[name] for name in models}})
    usage = stage._usage(chosen, dict.fromkeys(models, described))
    assert (usage.source, usage.samples, usage.shape) == (source, samples, [1, 8, 8])


def test_durations_are_those_of_the_comparison_and_of_the_rungs(params, outputs):
    path = outputs["comparison"] / "comparison.csv"
    table = pd.read_csv(path, index_col=0)
    table["train_seconds"] = [None, 3.25, 7.5]
    table.to_csv(path)
    report(params, **outputs)
    html = outputs["out"].read_text(encoding="utf-8")
    rows = dict(
        re.findall(
            r'<tr><th scope="row">([\w-]+)</th><td(?: data-value="[\d.]+")?>([\d.–]+)</td>\s*<td class="text">', html
        )
    )
    assert (rows["pca"], rows["ae"], rows["vae"]) == ("–", "3.25", "7.50")
    assert {"pca", "ae", "vae", *RUNGS} <= rows.keys()


def test_no_password_is_shown(params):
    data = params.data.model_copy(update={"mirror": "https://me:secret@example.org/data"})
    text = parameters_as_yaml(params.model_copy(update={"data": data}))
    assert "https://example.org/data" in text
    assert "secret" not in text


# In MLflow


def test_a_report_has_one_run_however_often_it_is_logged(params, outputs, client, tmp_path):
    report(params, **outputs)
    [run] = runs_named(client, "report")
    assert (run.info.status, pages(client, run.info.run_id)) == ("FINISHED", ["report/index.html"])
    [model] = runs_named(client, "vae")
    drawn = {file.path for file in client.list_artifacts(model.info.run_id) if file.path.endswith(".png")}
    assert drawn == {"comparison.png", "reconstructions.png", "prediction.png"}  # the data card shows no model
    folders = {name: outputs[name] for name in ("models", "evaluation", "figures", "ladder")}
    for _ in range(2):
        publish(params, **folders, report=outputs["out"])
    assert [found.info.run_id for found in runs_named(client, "report")] == [run.info.run_id]
    assert len(runs_named(client, "ladder: beta")) == 1
    outputs["out"].write_text(outputs["out"].read_text() + "<!-- another -->")
    publish(params, **folders, report=outputs["out"])
    assert len(runs_named(client, "report")) == 2


def test_a_report_that_is_published_elsewhere_keeps_its_origin(params, outputs, client, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("autoencoders.tracking.run_context", lambda: {"python": "3.99", "git_commit": "c0ffee"})
        elsewhere.setattr(stage.tracking.RunPublisher, "log_report", lambda *arguments: None)
        report(params, **outputs)
    folders = {name: outputs[name] for name in ("models", "evaluation", "figures", "ladder")}
    publish(params, **folders, report=outputs["out"])
    [run] = runs_named(client, "report")
    assert (run.data.tags["git_commit"], run.data.tags["python"]) == ("c0ffee", "3.99")


@pytest.mark.parametrize("dvc_stage", [None, "report"])
def test_a_report_joins_the_run_that_started_the_pipeline(params, outputs, client, monkeypatch, dvc_stage):
    injected = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", injected)
    if dvc_stage:
        monkeypatch.setenv("DVC_STAGE", dvc_stage)
    report(params, **outputs)
    assert pages(client, injected) == ["report/index.html"]
    assert client.get_run(injected).info.status == "RUNNING"
    assert client.get_run(injected).data.metrics == {}
    assert runs_named(client, "report") == []


def test_a_report_of_a_kubeflow_pipeline_goes_to_the_pipeline_s_run_and_finishes_it(
    params, outputs, client, monkeypatch
):
    monkeypatch.setenv("KFP_RUN_ID", "c0ffee00-1")
    report(params, **outputs)
    [pipeline] = runs_named(client, "kubeflow c0ffee00")
    assert pages(client, pipeline.info.run_id) == ["report/index.html"]
    assert pipeline.info.status == "FINISHED"
    assert runs_named(client, "report") == []
    for rung in RUNGS:
        [run] = runs_named(client, f"ladder: {rung}")
        assert run.data.tags["mlflow.parentRunId"] == pipeline.info.run_id


def test_a_run_that_an_outage_left_behind_is_completed_before_models_are_compared(params, outputs, client, monkeypatch):
    """MLflow went away in the midst of a training, which ended well: its run is running, without a result."""
    publish(params, **{name: outputs[name] for name in ("models", "evaluation", "figures", "ladder")})
    [holder] = runs_named(client, "vae")
    before = client.get_model_version_by_alias("tiny-autoencoders", "best-vae")
    assert before.run_id == holder.info.run_id

    monkeypatch.setenv("KFP_RUN_ID", "c0ffee00-1")
    reference = outputs["models"] / "vae" / "run.json"
    tags = json.loads(reference.read_text())["tags"]
    left = create_run(client, "autoencoders", "vae", {**tags, "kfp_run": "c0ffee00-1"})
    client.log_metric(left, "val/loss", 50.0, step=1)
    reference.write_text(json.dumps({"run_id": left, "tags": tags}))
    report(params, **outputs)

    run = client.get_run(left)
    described = json.loads((outputs["models"] / "vae" / "model.json").read_text())
    history = pd.read_csv(outputs["models"] / "vae" / "history.csv")
    assert run.info.status == "FINISHED"
    assert run.info.end_time == int(history["timestamp"].max() * 1000)
    kept = {key.replace("val/", "val/best/"): value for key, value in described["validation"].items()}
    assert run.data.metrics.items() >= kept.items()
    assert [point.step for point in client.get_metric_history(left, "train/loss")] == history["step"].tolist()[1:]
    assert len(run.outputs.model_outputs) == 1
    [pipeline] = runs_named(client, "kubeflow c0ffee00")
    assert (pipeline.info.status, pipeline.data.tags["kfp_model.vae"]) == ("FINISHED", left)
    after = client.get_model_version_by_alias("tiny-autoencoders", "best-vae")
    assert after.run_id == left, "it is as good, and newer"


def test_a_run_without_results_is_compared_with_nothing(params, outputs, client):
    """Nor does it keep a later one from the alias: an earlier version of this package may have left it so."""
    from autoencoders.tracking.registry import point_alias

    publish(params, **{name: outputs[name] for name in ("models", "evaluation", "figures", "ladder")})
    [run] = runs_named(client, "ae")
    whole = client.get_model_version_by_alias("tiny-autoencoders", "best-autoencoder")
    empty = create_run(client, "autoencoders", "ae", {"data_hash": run.data.tags["data_hash"]})
    other = client.create_model_version("tiny-autoencoders", whole.source, empty)
    for version in (other.version, whole.version):
        has_it = point_alias(
            client, "tiny-autoencoders", "best-autoencoder", version, "val/mse", higher_is_better=False
        )
        assert has_it == version


def test_a_run_that_is_complete_is_left_as_it_is(params, outputs, client, monkeypatch):
    report(params, **outputs)
    published: list[Path] = []
    monkeypatch.setattr(stage.tracking.RunPublisher, "_publish", lambda runs, client, model: published.append(model))
    report(params, **outputs)
    assert published == []


def test_an_installed_package_has_what_the_page_is_made_of():
    """Package data of pyproject.toml covers every file beside the modules."""
    import tomllib

    root = Path(stage.__file__).parents[3]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    folder = root / "src" / "autoencoders" / "report"
    packed = {file for pattern in patterns["autoencoders.report"] for file in folder.glob(pattern)}
    assert packed == {file for file in folder.iterdir() if file.is_file() and file.suffix != ".py"}


def test_names_of_models_lead_to_their_runs_in_mlflow_s_own_pages(params, outputs):
    report(params, **outputs)
    html = outputs["out"].read_text(encoding="utf-8")
    for name in params.models:
        run_id = json.loads((outputs["models"] / name / "run.json").read_text())["run_id"]
        assert f'<a href="http://127.0.0.1:5000/#/runs/{run_id}"' in html


def test_on_a_server_the_links_are_those_that_it_knows(params, outputs, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    monkeypatch.setattr(stage, "run_urls", lambda ids: {"vae": "http://mlflow.example/#/experiments/1/runs/2"})
    assert stage._runs(params, outputs["models"]) == {"vae": "http://mlflow.example/#/experiments/1/runs/2"}
