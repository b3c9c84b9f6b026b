"""What MLflow's pages show of a model: its logged model, its version, tables and pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image
from tracked import contents, in_one, reference, run_in

from autoencoders.data.prepared import PreparedData
from autoencoders.inference import load_model
from autoencoders.model_folder import load_trained, read_description
from autoencoders.stages.publish import publish
from autoencoders.stages.recording import N_WORST
from autoencoders.tracking import ModelRun
from autoencoders.tracking.content import log_reconstructions
from autoencoders.tracking.notes import NOTE
from autoencoders.tracking.registry import WEIGHTS


@pytest.fixture
def evaluated(trained, prepared) -> Path:
    """The folder with the models, and in that of `vae` what was measured of it."""
    data, network = PreparedData(prepared), load_trained(trained / "vae").model
    images = torch.from_numpy(data.split("test").images / np.float32(255))
    with torch.inference_mode():
        errors = (network.decode(network.encode(images)) - images).square().mean((1, 2, 3)).numpy()
    (trained / "vae" / "codes").mkdir()
    np.save(trained / "vae" / "codes" / "errors.npy", errors)
    (trained / "vae" / "metrics.json").write_text('{"mse": 0.25, "psnr": NaN}')
    return trained


def test_a_logged_model_has_its_name_measures_data_parameters_and_version(evaluated, params, prepared, client):
    publish(params, data=prepared, **in_one(evaluated))
    run = next(run for run in client.search_runs(["1"]) if run.info.run_name == "vae")
    described = read_description(evaluated / "vae")
    [output] = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert logged.name == "vae"
    assert logged.params == run.data.params
    assert logged.params["model.latent"] == "2"
    assert "VAE of tiny (1×8×8), 2 latent dimensions" in logged.tags[NOTE]
    digest = described["dataset"]["content_hash"][:36]
    found = {(m.key, m.value, m.dataset_name, m.dataset_digest) for m in logged.metrics}
    kept = {(key.replace("val/", "val/best/"), value) for key, value in described["validation"].items()}
    assert found == {(key, value, "tiny", digest) for key, value in kept | {("test/mse", 0.25)}}  # NaN would be 0 there
    for key in ("test/mse", "val/best/mse"):
        assert len(client.get_metric_history(run.info.run_id, key)) == 1
    assert min(run.data.metrics) == "test/mse"

    [version] = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": version.name, "version": str(version.version)}]
    assert version.description.startswith("vae: VAE of tiny")
    assert "`best-vae`" in client.get_registered_model(version.name).description
    assert "named by what it changes" in client.get_experiment_by_name("autoencoders").tags[NOTE]
    assert "`test/*`" in run.data.tags[NOTE]


def test_notes_that_somebody_wrote_stay(trained, params, client):
    publish(params, **in_one(trained))
    [run] = [run for run in client.search_runs(["1"]) if run.info.run_name == "ae"]
    client.set_tag(run.info.run_id, NOTE, "mine")
    client.set_experiment_tag("1", NOTE, "mine")
    client.update_registered_model("tiny-autoencoders", "mine")
    client.log_metric(run.info.run_id, "val/best/mse", 0.0, step=1)  # it is published again
    before = contents(client)["models"]
    publish(params, **in_one(trained))
    assert contents(client)["models"] == before
    assert client.get_run(run.info.run_id).data.tags[NOTE] == "mine"
    assert client.get_experiment("1").tags[NOTE] == "mine"
    assert client.get_registered_model("tiny-autoencoders").description == "mine"


def test_a_run_of_an_earlier_version_is_completed_and_loads_as_before(trained, params, client, capsys):
    """Its logged model is called `model` and has no measures, its validation results are `best/val/*`."""
    described = read_description(trained / "vae")
    client.create_experiment("autoencoders", artifact_location=(trained / "artifacts").as_uri())
    run_id = client.create_run("1", start_time=1000, run_name="vae", tags={"model": "vae"}).info.run_id
    for key, value in described["validation"].items():
        client.log_metric(run_id, f"best/{key}", value)
    client.create_logged_model("1", "model", run_id, {WEIGHTS: described["weights_sha256"]})
    client.set_terminated(run_id, "FINISHED", 2000)
    (trained / "vae" / "run.json").write_text(json.dumps({"run_id": run_id, "tags": {}}))

    publish(params, **in_one(trained))
    publish(params, **in_one(trained))
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("vae: ")]
    assert told == ["vae: published", "vae: already there"]
    info = client.get_run(run_id).info
    assert (info.status, info.start_time, info.end_time) == ("FINISHED", 1000, 2000)
    assert load_model(f"runs:/{run_id}/model").weights_sha256 == described["weights_sha256"]
    [logged] = client.search_logged_models(["1"], f"source_run_id = '{run_id}'")
    assert {metric.key for metric in logged.metrics} >= {"val/best/mse", "val/best/elbo"}


def test_files_of_a_model_that_are_gone_are_uploaded_again(trained, params, client, capsys, tmp_path):
    publish(params, **in_one(trained))
    [logged] = client.search_logged_models(["1"], "name = 'vae'")
    for file in sorted(Path(logged.artifact_location.removeprefix("file://")).rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    capsys.readouterr()
    publish(params, **in_one(trained))
    assert capsys.readouterr().out.splitlines()[:3] == ["pca: already there", "ae: already there", "vae: published"]
    assert load_model(f"models:/{logged.model_id}").weights_sha256 == logged.tags[WEIGHTS]


def test_the_input_example_is_a_test_image_or_without_the_images_grey(trained, params, prepared, client):
    from mlflow.models import Model

    (trained / "pca").rename(trained / "later")
    publish(params, data=prepared, **in_one(trained))
    (trained / "later").rename(trained / "pca")
    publish(params, data=trained / "nothing", **in_one(trained))
    image = PreparedData(prepared).split("test").images[:1] / np.float32(255)
    for name, expected in (("vae", image), ("pca", np.full((1, 1, 8, 8), 0.5))):
        [logged] = client.search_logged_models(["1"], f"name = '{name}'")
        folder = logged.artifact_location.removeprefix("file://")
        example = Model.load(folder).load_input_example(folder)
        np.testing.assert_allclose(example, expected, atol=1e-7)


def test_the_worst_reconstructions_are_a_table(evaluated, params, prepared, client, tmp_path):
    publish(params, data=prepared, **in_one(evaluated))
    once = contents(client)
    publish(params, data=prepared, **in_one(evaluated))
    assert contents(client) == once
    run_id = next(run for run in client.search_runs(["1"]) if run.info.run_name == "vae").info.run_id
    tags = client.get_run(run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "worst_reconstructions.json", "type": "table"}]
    table = client.load_table("1", "worst_reconstructions.json", [run_id])
    errors = np.load(evaluated / "vae" / "codes" / "errors.npy")
    assert table["test image"].tolist() == np.argsort(-errors)[:N_WORST].tolist()
    assert table["rank"].tolist() == list(range(1, N_WORST + 1))
    assert table["MSE"].tolist() == pytest.approx(sorted(errors, reverse=True)[:N_WORST], rel=1e-3)
    split = PreparedData(prepared).split("test")
    names = ["left", "middle", "right"]
    assert table["class"].tolist() == [names[split.labels[i]] for i in table["test image"]]
    pictured = client.download_artifacts(run_id, table["image and reconstruction"][0]["filepath"], str(tmp_path))
    with Image.open(pictured) as picture:
        assert picture.size == (256, 256)  # 16×8, enlarged 16 times, at the top of a square
        shown = np.asarray(picture.convert("RGBA"))
    first = split.images[table["test image"][0], 0]
    np.testing.assert_array_equal(shown[:128:16, :128:16, 0], first)
    assert shown[:128, :, 3].min() == 255
    assert shown[128:, :, 3].max() == 0


def test_reconstructions_by_step_are_a_series_and_change_no_weight(
    train_model, params, prepared, client, monkeypatch, tmp_path
):
    longer = params.model_copy(update={"train": params.train.model_copy(update={"steps": 40})})
    folder = train_model("vae", longer)
    files = client.list_artifacts(reference(folder)["run_id"], "images")
    pictures = {int(file.path.split("+")[2]): file.path for file in files if file.path.endswith(".png")}
    assert sorted(pictures) == [0, 10, 20, 30, 40]
    network = load_trained(folder).model
    with Image.open(client.download_artifacts(reference(folder)["run_id"], pictures[40], str(tmp_path))) as picture:
        shown = np.asarray(picture)[::8, ::8] / 255  # 4 rows of 2 images of 8×8 beside their reconstructions, enlarged
    assert shown.shape == (32, 32)
    image = shown[8:16, 16:24]
    fourth = PreparedData(prepared).split("val").images[3, 0] / 255
    np.testing.assert_allclose(image, fourth, atol=1e-6)
    if read_description(folder)["best_step"] == 40:
        with torch.inference_mode():
            made = network.decode(network.encode(torch.tensor(image, dtype=torch.float32)[None, None]))[0, 0]
        np.testing.assert_allclose(shown[8:16, 24:], made, atol=0.5 / 255 + 1e-6)

    weights = read_description(folder)["weights_sha256"]
    monkeypatch.setattr("autoencoders.stages.training_task.TrainingTask._reconstructed", lambda *given: (None, None))
    monkeypatch.setattr(ModelRun, "log_reconstructions", lambda *given, **more: None)
    assert read_description(train_model("vae", longer))["weights_sha256"] == weights


@pytest.mark.parametrize(
    ("count", "width", "expected"), [(8, 8, (32, 32)), (3, 8, (8, 32)), (1, 8, (8, 16)), (8, 300, (600, 600))]
)
def test_few_or_large_images_make_a_smaller_grid(train_model, client, tmp_path, count, width, expected):
    run_id = reference(train_model("pca"))["run_id"]
    images = np.zeros((count, 3, width, width), np.float32)
    log_reconstructions(client, run_id, images, images, step=0)
    [path] = [file.path for file in client.list_artifacts(run_id, "images") if file.path.endswith(".png")]
    with Image.open(client.download_artifacts(run_id, path, str(tmp_path))) as picture:
        times = max(1, 256 // max(expected))
        assert picture.size == (times * expected[1], times * expected[0])


def test_a_run_that_is_made_again_has_its_name(train_model, params, client, tmp_path):
    folder = train_model("vae")
    changed = params.model_copy(
        update={"models": {**params.models, "vae": params.models["vae"].model_copy(update={"beta": 4.0})}}
    )
    folder = train_model("vae", changed)
    run = run_in(client, folder)
    assert run.info.run_name == "vae β=4"
    client.delete_run(run.info.run_id)
    publish(changed, **{**in_one(tmp_path), "models": folder.parent})
    [again] = [run for run in MlflowClient().search_runs(["1"]) if run.info.run_name == "vae β=4"]
    assert "Changes: beta 1 → 4" in again.data.tags[NOTE]
