"""The comparison as text: digits, and what is marked; and as a file that is read again."""

import json
from pathlib import Path

import pandas as pd
import pytest

from autoencoders.errors import UserError
from autoencoders.params import Params, parse_params
from autoencoders.report.comparison import comparison
from autoencoders.stages.compare import compare, read_comparison, table_as_text

MEASURED = pd.DataFrame(
    {
        "kind": ["autoencoder", "vae"],
        "latent": [16, 16],
        "mse": [0.0078912, 0.0091],
        "frechet/prior": [302.6, 34.08],
        "frechet/mixture": [6.704, 0.5634],
        "train_seconds": [None, 3.046],
    },
    index=["ae", "vae"],
)


def test_distances_and_seconds_have_three_digits():
    shown = table_as_text(comparison(MEASURED))
    assert list(shown["MSE"]) == ["0.00789*", "0.00910"]
    assert list(shown["FD N(0,I)"]) == ["303", "34.1*"]
    assert list(shown["FD mix"]) == ["6.70", "0.563*"]
    assert list(shown["train s"]) == ["–", "3.05"]


def test_each_column_has_its_digits_and_they_come_in_the_order_of_the_measures():
    measured = {
        "mse_over_pca": 0.29412,
        "mse": 0.0078912, "bce": 1.0, "ssim": 0.98765, "psnr": 1.0, "recon": 1.0, "elbo": -1.0, "neg_elbo": 98.76,
        "nll": 97.65, "bits_per_dim": 2.34567,
        "kl": 12.34, "active_units": 2.0, "mmd": 0.1, "ks": 0.1, "linear_probe": 0.5, "knn5": 0.98765,
        "frechet/prior": 34.08, "frechet/gaussian": 1.0, "frechet/mixture": 0.5634, "frechet/floor": 0.1,
        "train_seconds": 75.46,
    }  # fmt: skip
    shown = table_as_text(comparison(pd.DataFrame([{"kind": "vae", "latent": 16, **measured}], index=["vae"])))
    assert shown.loc["vae"].to_dict() == {
        "latent": "16", "MSE / PCA": "0.294",
        "MSE": "0.00789", "SSIM": "0.988", "−ELBO": "98.8", "NLL": "97.7", "bits/dim": "2.346", "KL": "12.3",
        "5-NN": "0.988", "FD N(0,I)": "34.1", "FD mix": "0.563", "train s": "75.5",
    }  # fmt: skip


def compared(params: Params, names: list[str], folder: Path) -> str:
    """What `compare` writes of models that have each twice the error of the one before."""
    for place, name in enumerate(names):
        (folder / name).mkdir()
        (folder / name / "model.json").touch()
        metrics = {"mse": 0.01 * 2**place, "frechet/prior": 9.0, "frechet/floor": 0.5634}
        (folder / name / "metrics.json").write_text(json.dumps(metrics))
    raw = params.model_dump()
    raw["models"] = {name: raw["models"][name] for name in names}
    compare(parse_params(raw), models=folder, evaluation=folder, out=folder / "comparison")
    return (folder / "comparison" / "comparison.txt").read_text(encoding="utf-8")


def test_the_best_of_several_models_is_marked(params, tmp_path):
    text = compared(params, ["ae", "vae"], tmp_path)
    assert "0.01000*" in text
    assert "9.00*" not in text  # both are equal
    assert "Test split. * is a column's best. MSE" in text
    assert "(real images) is 0.563." in text


def test_one_model_alone_is_not_the_best(params, tmp_path):
    text = compared(params, ["ae"], tmp_path)
    assert "0.01000" in text
    assert "*" not in text
    assert " 0.01000 |" in (tmp_path / "comparison" / "comparison.md").read_text(encoding="utf-8")


def test_bounds_of_two_likelihoods_have_no_best_in_the_text_and_in_the_file_s_rows(params, tmp_path):
    raw = params.model_dump()
    raw["models"] = {name: {**raw["models"]["vae"], "likelihood": name} for name in ("bernoulli", "logistic")}
    for name, nll in (("bernoulli", 90.0), ("logistic", 900.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").touch()
        metrics = {"mse": 0.1, "frechet/prior": 9.0, "frechet/floor": 0.5, "elbo": -nll - 2, "nll": nll}
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    compare(parse_params(raw), models=tmp_path, evaluation=tmp_path, out=tmp_path / "comparison")
    text = (tmp_path / "comparison" / "comparison.txt").read_text(encoding="utf-8")
    assert "−ELBO and NLL: no best, the likelihoods differ." in text
    assert "*" not in text
    shown = table_as_text(comparison(read_comparison(tmp_path / "comparison" / "comparison.csv")))
    assert list(shown["NLL"]) == ["90.0", "900.0"]


def test_training_seconds_are_the_sum_of_the_history_s(params, tmp_path):
    (tmp_path / "vae").mkdir()
    losses = {key: [9.0, 8.0] for key in ("train/recon", "val/recon", "val/loss")}
    history = pd.DataFrame(
        {"step": [0, 2], "epoch": [0.0, 1.0], **losses, "seconds": [0.25, 1.5], "timestamp": [10.0, 20.0]}
    )
    history.to_csv(tmp_path / "vae" / "history.csv", index=False)
    (tmp_path / "vae" / "metrics.json").write_text('{"mse": 0.1, "frechet/prior": 9, "frechet/floor": 1, "elbo": -7}')
    one = params.model_copy(update={"models": {"vae": params.models["vae"]}})
    compare(one, models=tmp_path, evaluation=tmp_path, out=tmp_path / "comparison")
    row = pd.read_csv(tmp_path / "comparison" / "comparison.csv").iloc[0]
    assert (row["train_seconds"], row["neg_elbo"], row["latent"]) == (1.75, 7, 2)


def test_a_model_that_is_missing_is_refused_and_nothing_written(params, tmp_path):
    compared(params, ["ae"], tmp_path)
    before = (tmp_path / "comparison" / "comparison.csv").read_bytes()
    one = params.model_copy(update={"models": {"ae": params.models["ae"]}})
    with pytest.raises(UserError, match=r"^nope/ae is no trained model \(model\.json is missing\)\. Run the `train`"):
        compare(one, models=Path("nope"), evaluation=tmp_path, out=tmp_path / "comparison")
    assert (tmp_path / "comparison" / "comparison.csv").read_bytes() == before


def test_a_comparison_is_read_as_it_was_written(tmp_path):
    path, measured = tmp_path / "comparison.csv", MEASURED.rename({"ae": "nan"})  # a name like any other
    measured.rename_axis("model").to_csv(path)
    pd.testing.assert_frame_equal(read_comparison(path, ["mse", "frechet/prior"]), measured, check_names=False)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("nan,gan,16,0.1", "a kind of model or a number is missing"),
        ("nan,vae,16,", "a kind of model or a number is missing"),
        ("nan,vae,,0.1", "a kind of model or a number is missing"),
        ("nan,vae,16,1e39", "mse: 1e+39 is too large"),
        ("nan,vae,16,small", "mse: no column of numbers"),
    ],
)
def test_a_comparison_that_lacks_a_number_or_names_an_unknown_kind_is_damaged(tmp_path, row, reason):
    path = tmp_path / "comparison.csv"
    path.write_text(f"model,kind,latent,mse\nae,autoencoder,16,0.1\n{row}\n")
    with pytest.raises(UserError) as caught:
        read_comparison(path)
    assert str(caught.value) == f"{path} is missing or damaged ({reason}). Run the `compare` stage."


def test_a_model_that_is_worse_than_pca_is_named_with_what_helps(params, tmp_path, capsys):
    raw, ratios = params.model_dump(), {"pca": 1.0, "ae": 1.00049, "vae": 1.2345}
    raw["models"] = {name: raw["models"][name] for name in ratios}
    for name, ratio in ratios.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").touch()
        metrics = {"mse": 0.01 * ratio, "mse_over_pca": ratio, "frechet/prior": 9.0, "frechet/floor": 0.5634}
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    compare(parse_params(raw), models=tmp_path, evaluation=tmp_path, out=tmp_path / "comparison")
    printed = capsys.readouterr().out
    [line] = [line for line in printed.splitlines() if "worse than" in line]
    assert line.startswith("vae is worse than PCA with 2 numbers: its test MSE is 1.234 times as high. What helps: ")
    assert "`likelihood: gaussian`" in line
    assert line in (tmp_path / "comparison" / "comparison.md").read_text(encoding="utf-8")


def test_models_whose_best_step_is_the_start_are_named_as_pca(params, tmp_path, capsys):
    raw, losses = params.model_dump(), {"pca": None, "ae": [8.0, 9.0], "vae": [8.0, 9.0], "wide": [8.0, 7.0]}
    gaussian = {**raw["models"]["vae"], "likelihood": "gaussian"}
    raw["models"] = {**raw["models"], "vae": gaussian, "wide": raw["models"]["ae"], "bernoulli": raw["models"]["vae"]}
    raw["models"] = {name: raw["models"][name] for name in (*losses, "bernoulli")}
    for name in raw["models"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").touch()
        (tmp_path / name / "metrics.json").write_text('{"mse": 0.01, "frechet/prior": 9.0, "frechet/floor": 0.5}')
        if loss := losses.get(name, [8.0, 9.0]):  # one that begins at random weights, and gets worse, is not PCA
            columns = dict.fromkeys(("train/recon", "val/recon", "val/loss"), loss)
            rows = {"step": [0, 2], "epoch": [0.0, 1.0], **columns, "seconds": [0.25, 1.5], "timestamp": [10.0, 20.0]}
            pd.DataFrame(rows).to_csv(tmp_path / name / "history.csv", index=False)
    compare(parse_params(raw), models=tmp_path, evaluation=tmp_path, out=tmp_path / "comparison")
    [line] = [line for line in capsys.readouterr().out.splitlines() if "still PCA" in line]
    assert line.startswith("ae and vae are still PCA: no step was better on the validation images than this start.")
    assert line in (tmp_path / "comparison" / "comparison.md").read_text(encoding="utf-8")
    table = read_comparison(tmp_path / "comparison" / "comparison.csv")
    assert table["best_step"].to_dict() == {"pca": pytest.approx(float("nan"), nan_ok=True)} | {
        "ae": 0, "vae": 0, "wide": 2, "bernoulli": 0
    }  # fmt: skip
