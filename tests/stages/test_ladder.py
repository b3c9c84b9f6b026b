"""What holds of every rung that the stage measures: equal numbers, any images, one run in MLflow."""

from math import isfinite

import pytest
from rung_runs import colour_without_labels, run_rung, with_ladder

from autoencoders.errors import UserError
from autoencoders.ladder.figures import draw_rung
from autoencoders.ladder.record import read_rung
from autoencoders.params import Params

RUNGS = ("one-image", "one-hot", "auto-decoder", "linear", "beta")


@pytest.fixture
def settings(params) -> Params:
    """Without autoencoders, whose evaluations `linear` would need."""
    return with_ladder(params, pca={"kind": "pca", "latent": 2})


@pytest.mark.parametrize("name", RUNGS)
def test_equal_parameters_give_equal_numbers_and_pictures(name, settings, prepared, tmp_path):
    metrics, pictures = [], []
    for place in ("once", "again"):
        metrics.append(run_rung(name, settings, prepared, tmp_path / place / name)["metrics"])
        assert draw_rung(tmp_path / place / name, tmp_path / f"{place}.png")
        pictures.append((tmp_path / f"{place}.png").read_bytes())
    assert metrics[0] == metrics[1]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("name", [name for name in RUNGS if name != "linear"])
def test_colour_images_of_odd_size_without_labels(name, settings, tmp_path):
    rung = run_rung(name, settings, colour_without_labels(tmp_path / "data"), tmp_path / name)
    assert rung["shape"] == [3, 9, 6]
    assert rung["metrics"]
    assert all(isfinite(value) for value in rung["metrics"].values())


def test_an_unknown_rung_is_refused_with_the_known_ones(settings, prepared, tmp_path):
    with pytest.raises(UserError, match=r"no rung 'one_hot'\. Did you mean 'one-hot'\? Known: one-image, one-hot"):
        run_rung("one_hot", settings, prepared, tmp_path / "one_hot")


def test_a_rung_of_an_earlier_version_is_refused_in_a_line_and_made_anew(settings, prepared, tmp_path):
    folder = tmp_path / "one-hot"
    folder.mkdir()
    (folder / "rung.json").write_text('{"format": 2, "name": "one-hot", "story": ["An old one."]}')
    (folder / "figure.png").write_bytes(b"drawn then")
    with pytest.raises(
        UserError, match=r"one-hot/rung.json was made by an earlier version .*\. Run `dvc repro` or"
    ) as caught:
        read_rung(folder)
    assert "\n" not in str(caught.value)
    assert run_rung("one-hot", settings, prepared, folder)["format"] == 3


def test_a_rung_goes_to_the_run_that_was_made_for_its_stage_alone(settings, prepared, tmp_path, client, monkeypatch):
    run_id = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    rung = run_rung("one-hot", settings, prepared, tmp_path / "one-hot")
    run = client.get_run(run_id)
    measured = rung["metrics"] | {"seconds": rung["seconds"]}
    assert {key: run.data.metrics[key] for key in measured} == pytest.approx(measured)
    assert run.data.params["one-hot.counts"] == "[2, 8, 500]"
    names = {artifact.path for artifact in client.list_artifacts(run_id, "ladder")}
    assert names == {"ladder/figure.png", "ladder/rung.json", "ladder/series.csv", "ladder/story.md"}
