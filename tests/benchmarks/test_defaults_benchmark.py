"""How the default models stand to PCA: the benchmark's images, splits, rows and verdicts."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import quality_defaults
import sheets
from common import Images
from PIL import Image
from quality_defaults import COLUMNS, Case, kept, photographs, print_table, split

from autoencoders.data.prepared import PreparedData


def small_set() -> Images:
    """Sines of any phase: PCA needs two numbers for them, a network one."""
    phases = np.random.default_rng(0).uniform(-2, 2, (240, 1))
    waves = (128 + 100 * np.sin(phases + 0.2 * np.arange(36))).astype(np.uint8).reshape(-1, 1, 6, 6)
    return Images(waves[:200], waves[200:])


def test_photographs_are_the_same_each_time_and_vary_in_position_and_brightness():
    made = photographs(6, 16)
    assert (made.shape, made.dtype) == ((6, 3, 16, 16), np.uint8)
    assert np.array_equal(made, photographs(6, 16))
    means = made.mean((1, 2, 3))
    assert 0.02 < means.std() / means.mean() < 0.2
    assert np.corrcoef(made.reshape(6, -1))[0, 1:].min() > 0.5  # one object


def test_the_last_training_images_validate():
    train, validation, test = split(Images(np.arange(100), np.arange(7)))
    assert (list(train), list(validation), list(test)) == ([*range(80)], [*range(80, 100)], [*range(7)])
    assert [len(part) for part in split(Images(np.arange(60_000), np.arange(7)))] == [55_000, 5000, 7]


def test_rows_are_measured_once_and_say_how_the_models_stand_to_pca(tmp_path, capsys):
    images, out = small_set(), tmp_path / "quality-defaults.csv"
    case = Case("waves", 1, 0.95)
    asked: list[str] = []

    def images_of(name: str) -> Images:
        asked.append(name)
        return images

    missed = quality_defaults.benchmark([case], out, images_of, seeds=2, steps=150)
    rows = kept(out)
    assert [key[2:] for key in rows.index] == [("ae", 0), ("ae", 1), ("vae", 0), ("vae", 1)]
    assert rows.loc[("waves", 1, "ae"), "mse_over_pca"].max() < 0.95
    assert rows.loc[("waves", 1, "ae"), "neg_elbo"].isna().all()
    assert (rows.loc[("waves", 1, "vae"), "neg_elbo"] < rows.loc[("waves", 1, "vae"), "ppca_neg_elbo"]).all()
    assert missed == 0
    quality_defaults.benchmark([case], out, images_of, seeds=2, steps=150)
    assert asked == ["waves"]
    capsys.readouterr()
    worse = case._replace(target=0.001)
    assert print_table([worse], kept(out)) == 1
    assert capsys.readouterr().out.endswith("1 of 2 targets met\n")


@pytest.mark.parametrize(("model", "column"), [("ae", "mse_over_pca"), ("vae", "neg_elbo")])
def test_the_worst_seed_decides(tmp_path, model, column, capsys):
    good = {"mse_over_pca": 0.5, "neg_elbo": 1.0, "ppca_neg_elbo": 2.0, "cpu_seconds": 3.0}
    rows = pd.DataFrame(
        [
            {"dataset": "a", "latent": 1, "model": name, "seed": seed, **good}
            for name in ("ae", "vae")
            for seed in (0, 1)
        ],
        columns=list(COLUMNS),
    ).set_index(quality_defaults.KEY)
    assert print_table([Case("a", 1, 0.6)], rows) == 0
    rows.loc[("a", 1, model, 1), column] = 2.5
    assert print_table([Case("a", 1, 0.6)], rows) == 1
    assert "no" in capsys.readouterr().out


def test_sheets_become_prepared_images(tmp_path, monkeypatch, capsys):
    package, random = tmp_path / "package", np.random.default_rng(0)
    package.mkdir()
    pixels = random.integers(0, 256, (6, 5, 1024, 3), dtype=np.uint8)
    for name, sheet in zip([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"], pixels, strict=True):
        Image.fromarray(sheet).save(package / f"{name}.png")
    labels = random.integers(0, 10, 30).tolist()
    (package / "train_lables.json").write_text(json.dumps(labels[:25]))
    (package / "test_lables.json").write_text(json.dumps(labels[25:]))
    monkeypatch.setattr(sys, "argv", ["sheets.py", str(package), "--out", str(tmp_path / "prepared")])
    sheets.main()
    data = PreparedData(tmp_path / "prepared")
    assert (data.info.counts, data.info.shape) == ({"train": 24, "val": 1, "test": 5}, (3, 32, 32))
    expected = pixels[0, 3].reshape(32, 32, 3).transpose(2, 0, 1)
    assert np.array_equal(data.split("train").images[3], expected)
    assert data.split("train").labels.tolist() == labels[:24]
    assert data.split("test").labels.tolist() == labels[25:]
    assert "25 training and 5 test images" in capsys.readouterr().out
