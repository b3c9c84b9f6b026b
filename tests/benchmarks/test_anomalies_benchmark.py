import csv
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import anomalies

from autoencoders.data.prepared import PreparedData, Split, write_prepared
from autoencoders.errors import UserError

NAMES = ["left", "middle", "right"]


def row(digit: str, model: str, score: str, auroc: float) -> anomalies.Row:
    return dict(zip(anomalies.COLUMNS, (digit, model, score, f"{auroc:.4f}", "1.0"), strict=True))


def rows_of(digit: str, *aurocs: float) -> list[anomalies.Row]:
    return [row(digit, *key, auroc) for key, auroc in zip(anomalies.HEADINGS, aurocs, strict=True)]


def run(prepared: Path, out: Path, *arguments: str) -> int:
    return anomalies.main(["--data", str(prepared), "--out", str(out), "--epochs", "1", *arguments])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and a code that suit images of 8×8 of which two bars are known."""
    network = {"latent": 2, "arch": "mlp", "hidden": [8]}
    models = {
        "PCA": {"kind": "pca", "latent": 2},
        "AE": {"kind": "autoencoder", **network},
        "VAE": {"kind": "vae", **network},
    }
    monkeypatch.setattr(anomalies, "MODELS", models)
    monkeypatch.setitem(anomalies.TRAINING, "batch_size", 10)


@pytest.mark.usefixtures("small")
def test_a_class_that_was_never_seen_scores_higher(prepared: Path) -> None:
    for name in NAMES:
        rows = anomalies.held_out(PreparedData(prepared), name, epochs=1)
        found = {(one["model"], one["score"]): float(one["auroc"]) for one in rows}
        assert found.keys() == anomalies.HEADINGS.keys()
        assert found["PCA", "mse"] == 1  # bars at two places span no bar at the third


@pytest.mark.usefixtures("small")
def test_the_class_left_out_is_in_no_training_and_all_of_the_test(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    trained = anomalies._trained

    def spy(name: str, images: np.ndarray, validation: np.ndarray, *rest: object) -> object:
        seen.append((len(images), len(validation)))
        assert not (images[:, 0, :, 2:5].mean((1, 2)) > 150).any(), "a middle bar"
        return trained(name, images, validation, *rest)

    monkeypatch.setattr(anomalies, "_trained", spy)
    anomalies.held_out(PreparedData(prepared), "middle", epochs=1)
    assert seen == [(40, 13)] * 3


@pytest.mark.usefixtures("small")
def test_classes_are_measured_once_kept_in_order_and_again_by_name(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.csv"
    assert run(prepared, out, "--digits", "right") == 0
    first = read(out)
    assert {one["digit"] for one in first} == {"right"}
    assert run(prepared, out) == 0
    assert [one["digit"] for one in read(out)] == [name for name in NAMES for _ in anomalies.HEADINGS]
    assert read(out)[-4:] == first  # not trained again
    capsys.readouterr()
    assert run(prepared, out, "--digits", "right") == 0
    told = capsys.readouterr().out
    assert told.startswith("without right: PCA, MSE ")
    assert "without left" not in told
    without_seconds = [{key: one[key] for key in one if key != "seconds"} for one in read(out)[-4:]]
    assert without_seconds == [{key: one[key] for key in one if key != "seconds"} for one in first]
    assert out.with_suffix(".md").read_text().splitlines()[2].split("|")[1].strip() == "left"


def test_the_table_marks_the_best_of_each_line_and_averages() -> None:
    rows = rows_of("right", 0.5, 0.75, 0.25, 0.6) + rows_of("left", 0.9, 0.85, 0.95, 0.9)
    assert anomalies.table(rows, NAMES).splitlines() == [
        "| left out | PCA, MSE | AE, MSE | VAE, MSE | VAE, −ELBO |",
        "| -------: | -------: | ------: | -------: | ---------: |",
        "|     left |   0.900  |  0.850  |   0.950* |     0.900  |",
        "|    right |   0.500  |  0.750* |   0.250  |     0.600  |",
        "|     mean |   0.700  |  0.800* |   0.600  |     0.750  |",
    ]


def test_mistakes_are_one_line(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = {name: Split(PreparedData(prepared).split(name).images, None) for name in ("train", "val", "test")}
    write_prepared(tmp_path / "bare", "tiny", splits, None)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for arguments, message in (
        ((prepared, tmp_path / "t.csv", "--digits", "rihgt"), "unknown class 'rihgt'. Did you mean 'right'?"),
        ((tmp_path / "bare", tmp_path / "t.csv"), "has no labels: nothing says which class to leave out"),
        ((prepared, tmp_path / "other.csv"), "other.csv is no table of this benchmark"),
        ((tmp_path / "none", tmp_path / "t.csv"), "none holds no prepared data"),
    ):
        assert run(*arguments) == 2
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1
    assert not (tmp_path / "t.csv").exists()
    with pytest.raises(UserError):
        anomalies.read(tmp_path / "other.csv")
