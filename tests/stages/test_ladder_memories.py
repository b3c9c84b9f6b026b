"""The rungs 1 to 3 as stages, on tiny data: what they write, and what they say of results that differ."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rung_runs import NOWHERE, run_rung, with_ladder

from autoencoders.data.prepared import Split, write_prepared
from autoencoders.errors import UserError
from autoencoders.ladder.auto_decoder import measure as third
from autoencoders.ladder.one_hot import measure as second
from autoencoders.ladder.one_image import measure as first
from autoencoders.ladder.stories import render_story
from autoencoders.params import Params


@pytest.fixture
def settings(params) -> Params:
    return with_ladder(params)


def rung_of(name: str, settings: Params, data: Path, folder: Path) -> dict[str, Any]:
    rung = run_rung(name, settings, data, folder / name)
    assert {path.name for path in (folder / name).iterdir()} == {"rung.json", "arrays.npz", "series.csv"}
    return rung


def story_of(rung: dict[str, Any]) -> list[str]:
    return list(render_story(rung, NOWHERE).paragraphs)


def test_one_image_stores_two_targets_in_networks_of_ascending_size(settings, prepared, tmp_path):
    rung = rung_of("one-image", settings, prepared, tmp_path)
    metrics = rung["metrics"]
    assert metrics["test-image/image_bytes"] == 64
    assert metrics["flower/image_bytes"] == 3 * 64 * 64
    assert metrics["test-image/weights"] == (2 + 1) * 8 * 4 + 8 * 4 * 16 + 4 + 4 * 16 + 1
    assert metrics["test-image/weight_bytes"] == 4 * metrics["test-image/weights"]
    for target in ("test-image", "flower"):
        assert metrics[f"{target}/network-1/weights"] < metrics[f"{target}/network-2/weights"]
        for key in ("psnr", "mse", "weights"):
            assert metrics[f"{target}/network-2/{key}"] == metrics[f"{target}/{key}"]
    assert metrics["test-image/psnr"] == pytest.approx(-10 * np.log10(metrics["test-image/mse"]), abs=1e-3)
    series = pd.read_csv(tmp_path / "one-image" / "series.csv")
    last = series[(series["target"] == "flower") & (series["weights"] == metrics["flower/weights"])].iloc[-1]
    assert (last["step"], last["mse"]) == (12, pytest.approx(metrics["flower/mse"]))
    assert f"{metrics['flower/weights']:,.0f} weights, draws it at {metrics['flower/psnr']:.1f} dB" in story_of(rung)[1]


def test_one_hot_measures_each_count_that_the_data_have(settings, prepared, tmp_path):
    rung = rung_of("one-hot", settings, prepared, tmp_path)
    metrics = rung["metrics"]
    assert {key.split("/")[0] for key in metrics} == {"decoder", "2", "8", "60"}  # 60 training images
    assert metrics["60/image_bytes"] == 60 * 64
    assert metrics["decoder/bytes"] == 4 * metrics["decoder/weights"]
    assert f"60 pictures (3.8 kB) at {metrics['60/psnr']:.1f} dB" in story_of(rung)[1]
    series = pd.read_csv(tmp_path / "one-hot" / "series.csv").dropna()
    assert list(series["images"]) == [2, 8, 60]
    assert series["psnr"].iloc[0] == pytest.approx(metrics["2/psnr"])


def test_auto_decoder_compares_both_kinds_of_vectors(settings, prepared, tmp_path):
    rung = rung_of("auto-decoder", settings, prepared, tmp_path)
    metrics = rung["metrics"]
    assert metrics["ratio"] == pytest.approx(metrics["random/mse"] / metrics["learned/mse"])
    assert {f"{kind}/{key}" for kind in ("random", "learned") for key in ("mse", "psnr", "neighbours")} < set(metrics)
    series = pd.read_csv(tmp_path / "auto-decoder" / "series.csv")
    assert list(series["epoch"]) == [1, 2, 3, 4]
    assert list(series.columns[1:]) == ["random/mse", "learned/mse"]
    assert "Each of 50 pictures" in story_of(rung)[0]


def test_a_single_training_image_has_no_neighbour(settings, tmp_path):
    split = Split(np.zeros((1, 1, 8, 8), dtype=np.uint8), None)
    write_prepared(tmp_path / "data", "single", {"train": split, "val": split, "test": split}, None)
    with pytest.raises(UserError, match="holds 1 for training"):
        rung_of("auto-decoder", settings, tmp_path / "data", tmp_path)
    assert not (tmp_path / "auto-decoder").exists()
    assert set(rung_of("one-hot", settings, tmp_path / "data", tmp_path)["metrics"]) >= {"1/mse", "1/psnr"}


def rung_with(name: str, settings: Params, facts: dict[str, Any]) -> dict[str, Any]:
    params = getattr(settings.ladder, name.replace("-", "_")).model_dump()
    return {"name": name, "params": params, "metrics": {"psnr": 1.0}, "facts": facts}


def told(name: str, settings: Params, facts: dict[str, Any]) -> list[str]:
    return story_of(rung_with(name, settings, facts))


def confirmed(name: str, settings: Params, facts: dict[str, Any]) -> bool:
    """Whether the claim stands as it is."""
    return not render_story(rung_with(name, settings, facts), NOWHERE).claim.endswith(" Here this is not confirmed.")


def network(weights: int, psnr: float) -> first.Stored:
    mse = np.array([0.1, 0.01, 10 ** (-psnr / 10)])
    return first.Stored(weights, mse, psnr, {2: np.zeros((1, 8, 8), dtype=np.float32)})


def test_one_image_says_what_40_db_took_or_that_it_was_missed(settings):
    targets = {key: np.zeros((1, 8, 8), dtype=np.uint8) for key in ("test-image", "flower")}
    networks = {
        "test-image": [network(100, 30), network(250, 41), network(1000, 50)],
        "flower": [network(100, 20), network(1000, 45)],
    }
    story = told("one-image", settings, first.story_facts(targets, networks))
    assert "it passes 40 dB after 2 steps" in story[1]
    assert confirmed("one-image", settings, first.story_facts(targets, networks))
    assert "1.0 kB of weights for the 64 B of the first test image and 4.0 kB of weights" in story[2]
    networks["flower"] = [network(1000, 39)]
    story = told("one-image", settings, first.story_facts(targets, networks))
    assert "it stays below 40 dB" in story[1]
    assert "the colour photograph did not reach 40 dB" in story[2]
    assert not confirmed("one-image", settings, first.story_facts(targets, networks))


def capacity(psnr: float) -> second.Capacity:
    return second.Capacity(100, 10 ** (-psnr / 10), psnr, np.zeros(3), np.zeros((1, 1, 8, 8), dtype=np.float32))


def test_one_hot_says_whether_more_images_leave_less(settings):
    falling = told("one-hot", settings, second.story_facts(64, {2: capacity(40), 20: capacity(20)}))[1]
    assert "The more pictures share the weights, the lower the quality of each." in falling
    assert "The last 20 pictures have 3.2 times as many bytes as the weights" in falling
    rising = told("one-hot", settings, second.story_facts(64, {1: capacity(40), 2: capacity(41)}))[1]
    assert "do not always lower the quality" in rising
    assert "times the bytes" not in rising
    assert confirmed("one-hot", settings, second.story_facts(64, {2: capacity(40), 20: capacity(20)}))
    assert not confirmed("one-hot", settings, second.story_facts(64, {1: capacity(40), 2: capacity(41)}))


def vectors(mse: float, likeness: float) -> third.Vectors:
    images = np.zeros((2, 1, 8, 8), dtype=np.float32)
    return third.Vectors(mse, -10 * np.log10(mse), np.zeros(2), images, np.array([1, 0]), likeness)


@pytest.mark.parametrize(
    ("random", "learned", "said", "unsaid"),
    [
        (
            (0.02, 1.0),
            (0.005, 0.4),
            ["4.0 times the error of learned ones", "similar pictures near each other"],
            [],
        ),
        ((0.02, 1.0), (0.0199, 1.0), ["no notable difference"], ["the error of", "similar pictures"]),
        (
            (0.02, 0.5),
            (0.03, 0.6),
            ["random vectors are better"],
            ["the error of", "similar", "means nothing"],
        ),
    ],
)
def test_auto_decoder_says_which_vectors_do_better(settings, random, learned, said, unsaid):
    by = {"random": vectors(*random), "learned": vectors(*learned)}
    story = " ".join(told("auto-decoder", settings, third.story_facts(2, by)))
    assert all(text in story for text in said)
    assert not any(text in story for text in unsaid)
    assert confirmed("auto-decoder", settings, third.story_facts(2, by)) == ("times the error" in said[0])
