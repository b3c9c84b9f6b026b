"""Reading what `evaluate` wrote: whole files come back, and each kind of damage is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from processes import run_python

from autoencoders.errors import UserError
from autoencoders.evaluation.results import check_numbers, read_codes, read_dimensions, read_errors, read_metrics


def test_reading_metrics_imports_no_pandas():
    code = "import sys, autoencoders.evaluation.results; print('pandas' in sys.modules)"
    assert run_python(code).stdout == "False\n"


def test_metrics_are_read_as_they_were_written(tmp_path):
    metrics = {"mse": 0.1, "psnr": float("nan"), "elbo": -3e38, "active_units": 2}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert read_metrics(tmp_path) == pytest.approx(metrics, nan_ok=True)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ([0.1], "it holds no metrics by name"),
        ({"mse": True}, "mse: True is not finite, or no number"),
        ({"mse": "0.1"}, "mse: '0.1' is not finite, or no number"),
        ({"mse": 0.1, "elbo": -4e38}, "elbo: -4e+38 is not finite, or no number"),
        ({"mse": float("nan"), "elbo": 1.0}, "mse: missing"),
        ({"mse": 0.1}, "elbo: missing"),
    ],
)
def test_metrics_that_are_no_numbers_are_damaged(tmp_path, metrics, reason):
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError) as caught:
        read_metrics(tmp_path, ["mse", "elbo"])
    path = tmp_path / "metrics.json"
    assert str(caught.value) == f"{path} is missing or damaged ({reason}). Run the `evaluate` stage."


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (np.zeros((3, 2)), "it holds float64 (3, 2), expected float32 (3, 2)"),
        (np.zeros((3, 1), np.float32), "it holds float32 (3, 1), expected float32 (3, 2)"),
        (np.full((3, 2), np.inf, np.float32), "it holds NaN or infinity"),
    ],
)
def test_codes_of_another_type_or_shape_are_damaged(tmp_path, stored, reason):
    (tmp_path / "codes").mkdir()
    path = tmp_path / "codes" / "test.npy"
    np.save(path, stored)
    with pytest.raises(UserError) as caught:
        read_codes(tmp_path, (3, 2))
    assert str(caught.value) == f"{path} is missing or damaged ({reason}). Run the `evaluate` stage."
    np.save(path, np.ones((3, 2), np.float32))
    assert read_codes(tmp_path, (3, 2)).tolist() == [[1, 1]] * 3


def test_errors_are_one_for_each_test_image(tmp_path):
    (tmp_path / "codes").mkdir()
    np.save(tmp_path / "codes" / "errors.npy", np.array([0.25, 0.5, 1], np.float32))
    assert read_errors(tmp_path, 3).tolist() == [0.25, 0.5, 1]
    with pytest.raises(
        UserError, match=r"errors\.npy is missing or damaged \(it holds float32 \(3,\), expected float32 \(4,\)"
    ):
        read_errors(tmp_path, 4)


def dimensions(folder: Path, **columns: list[Any]) -> pd.DataFrame:
    (folder / "codes").mkdir(exist_ok=True)
    pd.DataFrame(columns).to_csv(folder / "codes" / "dimensions.csv", index=False)
    return read_dimensions(folder, 2, ["variance"])


def test_dimensions_are_numbered_from_one_and_complete(tmp_path):
    found = dimensions(tmp_path, dimension=[1, 2], variance=[0.5, 0.25])
    assert found.to_dict("list") == {"dimension": [1, 2], "variance": [0.5, 0.25]}
    for numbers, variances in (([0, 1], [0.5, 0.25]), ([1, 2], [0.5, None]), ([1, 2, 3], [1, 1, 1])):
        with pytest.raises(UserError, match=r"codes/dimensions.csv .*\(it should hold the dimensions 1 to 2\)"):
            dimensions(tmp_path, dimension=numbers, variance=variances)
    with pytest.raises(UserError, match=r"\(variance: no column of numbers\)"):
        dimensions(tmp_path, dimension=[1, 2])


def test_a_large_table_is_read(tmp_path):
    """As many as a code of 5,000 numbers would have."""
    (tmp_path / "codes").mkdir()
    table = pd.DataFrame({"dimension": range(1, 5001), "variance": 0.5})
    table.to_csv(tmp_path / "codes" / "dimensions.csv", index=False)
    pd.testing.assert_frame_equal(read_dimensions(tmp_path, 5000, ["variance"]), table)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0, None], None),
        ([3e38, -3e38], None),
        ([1, 2], None),
        ([-4e38, 1.0], "a: 4e+38 is too large"),
        ([float("inf"), 1.0], "a: inf is too large"),
        ([True, False], "a: no column of numbers"),
        (["1", "x"], "a: no column of numbers"),
    ],
)
def test_a_column_of_numbers_has_finite_ones_and_empty_cells(values, reason):
    table = pd.DataFrame({"a": values})
    if reason is None:
        check_numbers(table, ["a"])
    else:
        with pytest.raises(ValueError, match=reason.replace("+", r"\+")):
            check_numbers(table, ["a"])
    with pytest.raises(ValueError, match="b: no column of numbers"):
        check_numbers(table, ["b"])
