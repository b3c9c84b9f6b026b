import io
import time
from types import SimpleNamespace

import anomalies
import architectures
import bits_per_dim
import crops
import decoding
import gpu
import numpy as np
import pandas as pd
import pytest
import seeds
import startup
import startup_clock
import torch
from common import BENCHMARKS, Images, initialise, measure, model_entry, new_model, seeded, train_settings
from PIL import Image
from processes import run_python

from autoencoders.data.prepared import PreparedData, Split, write_prepared
from autoencoders.errors import UserError
from autoencoders.evaluation.model_evaluation import measure_bounds
from autoencoders.model_folder import load_trained
from autoencoders.params import Evaluate
from autoencoders.tracking import recorder

CPU = torch.device("cpu")
DOCS = BENCHMARKS.parent / "docs"

# Seeds


def test_models_are_those_of_the_stage_train(params, prepared, trained):
    data = PreparedData(prepared)
    for name in ("ae", "vae"):
        found = seeds.train_and_measure(params, name, params.train.seed, data)
        found.pop("cpu_seconds")
        model = load_trained(trained / name, CPU).model
        assert found == measure(model, np.array(data.split("test").images))
    assert found["mse"] != seeds.train_and_measure(params, "vae", 7, data)["mse"]


def test_mean_and_standard_deviation_are_shown():
    rows = pd.DataFrame({"model": ["vae"] * 3 + ["ae"], "mse": [0.1, 0.2, 0.3, 0.25], "neg_elbo": [1, 2, 4.5, None]})
    assert seeds.table(rows.assign(kl=None, cpu_seconds=2.0)).replace(" ", "").splitlines()[2:] == [
        "|vae|3|0.20000±0.10000|2.50±1.80|–|2.0±0.0|",
        "|ae|1|0.25000|–|–|2.0|",
    ]


# Architectures


@pytest.mark.parametrize("name", architectures.ENTRIES)
def test_as_many_steps_are_taken_as_fit_into_the_cpu_time(name, prepared, monkeypatch):
    ticks = iter([0.0, 2.0, 10.0, 13.5])  # 20 steps in 2 seconds; then the training
    monkeypatch.setattr(architectures, "time", SimpleNamespace(process_time=lambda: next(ticks)))
    found = architectures.train_and_measure(name, PreparedData(prepared), latent=2, seconds=3.0, seed=0)
    assert (found["steps"], found["CPU-s"]) == (30, 3.5)
    assert 0 <= found["best step"] <= 30
    assert 0 < found["validation"] <= 1 + 1e-6  # its start is PCA
    assert found["test"] > 0


# Anomalies


@pytest.fixture
def small(monkeypatch) -> None:
    """Networks and a code that suit images of 8×8 of which two bars are known."""
    for fields in anomalies.MODELS.values():
        monkeypatch.setitem(fields, "latent", 2)
        if "hidden" in fields:
            monkeypatch.setitem(fields, "hidden", [8])
            monkeypatch.setitem(fields, "decoder_hidden", [8])
    monkeypatch.setitem(anomalies.TRAINING, "batch_size", 10)


@pytest.mark.usefixtures("small")
def test_the_class_left_out_is_in_no_training_and_scores_higher(prepared, monkeypatch):
    seen: list[tuple[int, int]] = []
    train_model = anomalies.train_model

    def spy(entry: object, components: object, images: np.ndarray, validation: np.ndarray, *rest: object) -> object:
        seen.append((len(images), len(validation)))
        assert not (images[:, 0, :, 2:5].mean((1, 2)) > 150).any(), "a middle bar"
        return train_model(entry, components, images, validation, *rest)

    monkeypatch.setattr(anomalies, "train_model", spy)
    rows = anomalies.hold_out(PreparedData(prepared), "middle", epochs=1).set_index(["model", "score"])
    assert seen == [(40, 13)] * 3
    assert set(rows.index) == anomalies.HEADINGS.keys()
    assert rows.loc[("PCA", "mse"), "auroc"] == 1  # bars at two places span no bar at the third


@pytest.mark.usefixtures("small")
def test_classes_are_measured_once(prepared, tmp_path, monkeypatch):
    out = tmp_path / "table.csv"
    asked: list[str] = []
    hold_out = anomalies.hold_out

    def spy(data: PreparedData, name: str, epochs: int | None) -> pd.DataFrame:
        asked.append(name)
        return hold_out(data, name, epochs)

    monkeypatch.setattr(anomalies, "hold_out", spy)
    anomalies.benchmark(PreparedData(prepared), out, epochs=1)
    whole = out.read_text()
    out.write_text("".join(whole.splitlines(keepends=True)[:-4]))
    anomalies.benchmark(PreparedData(prepared), out, epochs=1)
    assert asked == ["left", "middle", "right", "right"]
    splits = {name: Split(PreparedData(prepared).split(name).images, None) for name in ("train", "val", "test")}
    write_prepared(tmp_path / "bare", "tiny", splits, None)
    with pytest.raises(UserError, match="no labels"):
        anomalies.benchmark(PreparedData(tmp_path / "bare"), out)


def test_the_table_marks_the_best_of_each_line_and_averages():
    aurocs = {"right": (0.5, 0.75, 0.25, 0.6), "left": (0.9, 0.85, 0.95, 0.9)}
    rows = [(name, *key, of, 1.0) for name in aurocs for key, of in zip(anomalies.HEADINGS, aurocs[name], strict=True)]
    table = anomalies.table(pd.DataFrame(rows, columns=list(anomalies.COLUMNS)))
    assert [line.split("|")[1:-1] for line in table.replace(" ", "").splitlines()[2:]] == [
        ["right", "0.500", "0.750*", "0.250", "0.600"],
        ["left", "0.900", "0.850", "0.950*", "0.900"],
        ["mean", "0.700", "0.800*", "0.600", "0.750"],
    ]


# Bits per dimension


def test_the_start_and_the_trained_vae_are_measured_as_the_evaluation_does(prepared, monkeypatch):
    data = PreparedData(prepared)
    images = Images(data.split("train").images, np.array(data.split("test").images))
    fields = {**bits_per_dim.MODEL, "latent": 2, "hidden": [8]}
    settings, evaluate = train_settings(steps=40, batch_size=20), Evaluate(importance_samples=20, importance_images=20)
    start, trained = bits_per_dim.benchmark(images, settings, evaluate, fields)
    model = new_model(model_entry(**fields), (1, 8, 8), seeded(0))
    initialise(model, images.train[:-12])  # a fifth of the 60 is for validation
    with torch.inference_mode():
        bounds = measure_bounds(model, data.split("test"), evaluate, CPU)
    dimensions = 64 * np.log(2)
    expected = (-bounds["elbo"], -bounds["elbo"] / dimensions, bounds["nll"] / dimensions, 0)
    assert start[1:] == pytest.approx(expected, rel=1e-5)
    assert trained[1:4] < start[1:4]
    assert 0 < trained[3] < trained[2]


# The GPU's


def test_the_gpu_check_imports_torch_and_numpy_and_nothing_else_that_must_be_installed():
    code = "import sys, gpu; print({'pydantic', 'yaml', 'mlflow', 'pandas'} & set(sys.modules))"
    path = f"{BENCHMARKS}:{BENCHMARKS.parent / 'src'}"
    done = run_python(code, env={"PYTHONPATH": path})
    assert done.stdout.strip() == "set()", done.stderr


def test_the_gpu_check_prints_a_line_a_network_and_batch(capsys):
    gpu.main(["--device", "cpu", "--images", "20", "--batches", "4", "10"])
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[:3] for line in lines] == [
        [f"| {name}", batch, "no"] for name in ("mlp", "conv") for batch in ("4", "10")
    ]
    assert all(float(line[3].replace(",", "")) > 0 for line in lines)


def test_the_products_of_a_step_are_counted():
    macs = 784 * 400 + 400 * 40 + 20 * 400 + 400 * 784
    assert gpu.flop_of_an_image(gpu.NETWORKS["mlp"]()) == 2 * (3 * macs - 784 * 400)  # no gradient of the images


# Start-up


def test_time_is_counted_once_and_mlflows_opening_is_clocked(monkeypatch):
    ticks = iter([1.0, 3.5])  # one call of the clock begins, one ends: what is within counts no further
    monkeypatch.setattr(startup_clock.time, "thread_time", lambda: next(ticks))
    monkeypatch.setattr(startup_clock, "seconds", 0.0)
    connect = recorder.connect
    monkeypatch.setattr(recorder, "connect", connect)
    monkeypatch.setattr(recorder, "clocked", False, raising=False)
    monkeypatch.delattr(recorder, "clocked")
    inner = startup_clock.clocked(lambda: "within")
    assert startup_clock.clocked(inner)() == "within"
    assert startup_clock.seconds == 2.5
    assert recorder.connect is not connect
    monkeypatch.undo()


def test_the_table_holds_medians_and_leaves_out_what_has_no_start():
    rows = [("train", 1.0, 2.0), ("train", 2.0, 2.1), ("train", 4.0, 2.2), ("dvc", None, 9.0)]
    cells = startup.table(pd.DataFrame(rows, columns=["command", "startup", "all"])).replace(" ", "").splitlines()[2:]
    assert cells == ["|train|2.00|2.10±5%|", "|dvc||9.00|"]


# The documents


def test_documents_show_what_the_files_hold():
    quality = pd.read_csv(BENCHMARKS / "quality.csv", dtype=str, keep_default_na=False)
    for table, document in (
        (startup.table(pd.read_csv(BENCHMARKS / "startup.csv")), DOCS / "performance.md"),
        (anomalies.table(anomalies.read(BENCHMARKS / "anomalies.csv")), DOCS / "using-models.md"),
        (quality.to_markdown(index=False, disable_numparse=True), BENCHMARKS / "README.md"),
    ):
        assert table in document.read_text()


def test_photographs_are_brought_to_12_megapixels_without_being_enlarged():
    [first, second] = decoding.photographs(None, 5)
    for image in (first, second):
        assert image.size == (4000, 3000)
        pixels = np.asarray(image)[:427, :1280]
        np.testing.assert_array_equal(pixels[:, :640], pixels[:, :639:-1])
        assert len(np.unique(pixels)) > 200


def test_decoding_all_pixels_leaves_nothing_out_and_is_undone():
    content = decoding.encoded(decoding.photographs(None, 1)[0], "JPEG")
    with decoding.all_pixels():
        [whole], _ = decoding.measure([content], 64, time.process_time)
    [pixels], seconds = decoding.measure([content], 64, time.process_time)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    np.testing.assert_array_equal(whole, expected)
    assert 0 < np.abs(pixels - whole).mean() < 1
    assert seconds > 0


def test_crops_are_cut_from_each_photograph_in_turn(tmp_path):
    for name, colour in (("a", (255, 0, 0)), ("b", (0, 0, 255))):
        (tmp_path / "photographs").mkdir(exist_ok=True)
        Image.new("RGB", (600, 500), colour).save(tmp_path / "photographs" / f"{name}.png")
    crops.cut(tmp_path / "photographs", tmp_path / "out", 3)
    found = [Image.open(path) for path in sorted((tmp_path / "out").iterdir())]
    assert [image.size for image in found] == [(160, 160)] * 3
    assert [image.getpixel((80, 80))[0] > 200 for image in found] == [True, False, True]
