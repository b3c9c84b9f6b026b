"""The rungs 4 to 6 as stages, on tiny data: what they write, and what they say of results that differ."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autoencoders.data.prepared import Split, write_prepared
from autoencoders.errors import UserError
from autoencoders.ladder.beta.measure import BetaResult, story_facts
from autoencoders.ladder.figures import draw_rung
from autoencoders.ladder.generation.measure import comparable_pair
from autoencoders.ladder.record import read_rung
from autoencoders.ladder.stories import render_story
from autoencoders.params import Params, parse_params
from autoencoders.stages.ladder import ladder

NOWHERE = Path("nowhere")

TINY = {
    "linear": {"latents": [1, 3], "epochs": 30, "batch_size": 10, "learning_rate": 0.01},
    "generation": {"images": 9},
    "beta": {
        "betas": [10, 0.1], "latent": 3, "hidden": [8], "decoder_hidden": [8], "images": 40, "epochs": 2,
        "batch_size": 20,
    },
}  # fmt: skip
METRICS = {
    "mse": 0.004, "frechet/prior": 30.0, "frechet/gaussian": 20.0, "frechet/mixture": 10.0, "frechet/floor": 0.5,
    "mmd": 0.2, "ks": 0.3,
}  # fmt: skip


def with_ladder(params: Params, **models: Any) -> Params:
    raw = params.model_dump() | {"ladder": TINY}
    return parse_params(raw | {"models": models or raw["models"]})


@pytest.fixture
def settings(params: Params) -> Params:
    return with_ladder(params)


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    for name, changes in (("pca", {}), ("ae", {}), ("vae", {"frechet/prior": 15.0, "mmd": 0.001})):
        (tmp_path / "evaluation" / name).mkdir(parents=True)
        (tmp_path / "evaluation" / name / "metrics.json").write_text(json.dumps(METRICS | changes))
    return tmp_path / "evaluation"


def linear(params: Params, *, data: Path, evaluation: Path, out: Path) -> None:
    ladder(params, "linear", data=data, models=NOWHERE, evaluation=evaluation, out=out)


def generation(params: Params, *, data: Path, models: Path, evaluation: Path, out: Path) -> None:
    ladder(params, "generation", data=data, models=models, evaluation=evaluation, out=out)


def beta(params: Params, *, data: Path, out: Path) -> None:
    ladder(params, "beta", data=data, models=NOWHERE, evaluation=NOWHERE, out=out)


def story_of(folder: Path) -> list[str]:
    return list(render_story(read_rung(folder), folder).paragraphs)


def colour_without_labels(root: Path) -> Path:
    random = np.random.default_rng(0)
    splits = {
        name: Split(random.integers(0, 256, (count, 3, 9, 6), dtype=np.uint8), None)
        for name, count in (("train", 12), ("val", 3), ("test", 3))
    }
    write_prepared(root, "colour", splits, None)
    return root


def test_linear_says_how_near_it_is_to_pca_and_how_far_others_are(
    settings: Params, prepared: Path, evaluation: Path, tmp_path: Path
) -> None:
    out = tmp_path / "linear"
    linear(settings, data=prepared, evaluation=evaluation, out=out)
    rung = read_rung(out)
    metrics = rung["metrics"]
    assert rung["name"] == "linear"
    for k in (1, 3):
        excess = 100 * (metrics[f"k-{k}/linear_mse"] / metrics[f"k-{k}/pca_mse"] - 1)
        assert metrics[f"k-{k}/excess_percent"] == pytest.approx(excess)
    gain = 100 * (1 - 0.004 / metrics["nonlinear/ae/pca_mse"])
    assert metrics["nonlinear/ae/less_than_pca_percent"] == pytest.approx(gain)
    assert abs(metrics["k-1/train_excess_percent"]) < 0.1
    assert metrics["k-3/train_excess_percent"] > 1  # the third component is hardly more than noise
    assert "With 3 numbers it has not come within 0.1 % of PCA here" in story_of(out)[0]
    assert f"On the test images the error is {metrics['k-1/linear_mse']:.5f} (PCA " in story_of(out)[0]
    assert render_story(rung, out).title == "A linear autoencoder, and PCA"
    assert rung["params"]["batch_size"] == 10
    assert rung["params"]["epochs"] == 200  # 1,200 steps, instead of the 30 epochs that params.yaml asks for at least
    assert "ae, with 2 numbers, has a test error of 0.00400" in story_of(out)[2]
    series = pd.read_csv(out / "series.csv")
    assert len(series[series["model"] == "pca"]) == 5  # 0 to 4 components: one more than any model has
    assert len(series[series["quantity"].str.startswith("angle")]) == 1 + 3
    assert draw_rung(out, tmp_path / "figure.png")


@pytest.mark.parametrize("kinds", [1, 2])
def test_linear_says_something_true_of_pictures_that_are_all_the_same(
    settings: Params, evaluation: Path, tmp_path: Path, kinds: int
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (kinds, 1, 8, 8), dtype=np.uint8)
    splits = {name: Split(pictures[np.arange(count) % kinds], None) for name, count in (("train", 40), ("test", 9))}
    write_prepared(tmp_path / "alike", "alike", {**splits, "val": splits["test"]}, None)
    linear(settings, data=tmp_path / "alike", evaluation=evaluation, out=tmp_path / "linear")
    rung = read_rung(tmp_path / "linear")
    story, metrics = " ".join(story_of(tmp_path / "linear")), rung["metrics"]
    assert all(-100 <= value <= 100 for value in metrics.values())
    assert "nonlinear/ae/less_than_pca_percent" not in metrics
    assert "PCA leaves no error here that nonlinearity could remove." in story
    assert max(metrics["k-1/largest_angle"], metrics["k-3/largest_angle"]) < 0.1
    alike = "The training images differ in nothing, so there is no direction to compare"
    one = "Of the 3 directions that 3 numbers allow, PCA finds 1 in which these images differ"
    assert (alike if kinds == 1 else one) in story


def test_equal_parameters_give_equal_numbers(
    settings: Params, prepared: Path, evaluation: Path, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        linear(settings, data=prepared, evaluation=evaluation, out=tmp_path / name / "linear")
        beta(settings, data=prepared, out=tmp_path / name / "beta")
    for rung in ("linear", "beta"):
        first, second = (tmp_path / name / rung for name in ("first", "second"))
        assert read_rung(first)["metrics"] == read_rung(second)["metrics"]
        pictures = [tmp_path / f"{name}.png" for name in ("first", "second")]
        assert all(draw_rung(folder, picture) for folder, picture in zip((first, second), pictures, strict=True))
        assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_linear_without_autoencoders_says_how_to_add_one(params: Params, prepared: Path, tmp_path: Path) -> None:
    only_pca = with_ladder(params, pca={"kind": "pca", "latent": 2})
    linear(only_pca, data=prepared, evaluation=tmp_path / "none", out=tmp_path / "linear")
    told = story_of(tmp_path / "linear")[2]
    assert "add an entry of kind autoencoder to the models of params.yaml" in told
    assert "`" not in told


def test_linear_leaves_out_latents_at_which_pca_is_perfect(params: Params, tmp_path: Path) -> None:
    data = colour_without_labels(tmp_path / "data")
    raw = params.model_dump() | {"models": {"pca": {"kind": "pca", "latent": 2}}}
    raw["ladder"] = TINY | {"linear": TINY["linear"] | {"latents": [2, 12, 16]}}
    linear(parse_params(raw), data=data, evaluation=tmp_path, out=tmp_path / "linear")
    metrics = read_rung(tmp_path / "linear")["metrics"]
    assert {key.split("/")[0] for key in metrics} == {"k-2"}
    raw["ladder"] = TINY | {"linear": TINY["linear"] | {"latents": [12]}}
    with pytest.raises(UserError, match=r"ladder\.linear\.latents: none of \[12\] is below 12"):
        linear(parse_params(raw), data=data, evaluation=tmp_path, out=tmp_path / "again")


def test_linear_needs_the_evaluations(settings: Params, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ae/metrics\.json is missing.*Run the `evaluate` stage"):
        linear(settings, data=prepared, evaluation=tmp_path / "none", out=tmp_path / "linear")


def test_generation_compares_the_distances_that_were_measured(
    settings: Params, prepared: Path, trained: Path, evaluation: Path, tmp_path: Path
) -> None:
    out = tmp_path / "generation"
    generation(settings, data=prepared, models=trained, evaluation=evaluation, out=out)
    rung = read_rung(out)
    assert rung["metrics"]["autoencoder/frechet_prior"] == 30
    assert rung["metrics"]["vae/frechet_prior"] == 15
    assert rung["metrics"]["frechet_floor"] == 0.5
    assert "2.00 times lower" in story_of(out)[1]
    assert "10.0, lower than vae from N(0, I)" in story_of(out)[2]
    series = pd.read_csv(out / "series.csv")
    assert list(series["model"]) == ["ae", "ae", "vae", "vae"]
    assert series["std"].max() == pytest.approx(
        max(rung["metrics"]["autoencoder/largest_std"], rung["metrics"]["vae/largest_std"])
    )


def test_generation_says_where_the_vae_is_no_better(
    settings: Params, prepared: Path, trained: Path, evaluation: Path, tmp_path: Path
) -> None:
    (evaluation / "vae" / "metrics.json").write_text(json.dumps(METRICS | {"frechet/prior": 40.0}))
    (evaluation / "ae" / "metrics.json").write_text(json.dumps(METRICS | {"frechet/mixture": 50.0}))
    generation(settings, data=prepared, models=trained, evaluation=evaluation, out=tmp_path / "generation")
    story = story_of(tmp_path / "generation")
    assert "here the VAE is not better" in story[1]
    assert "50.0, not lower than vae from N(0, I)" in story[2]


def test_generation_without_a_pair_says_so_and_draws_nothing(params: Params, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "generation"
    out.mkdir()
    (out / "figure.png").write_bytes(b"of an earlier run")
    unlike = with_ladder(params, ae={"kind": "autoencoder", "latent": 2}, vae={"kind": "vae", "latent": 3})
    generation(unlike, data=prepared, models=tmp_path, evaluation=tmp_path, out=out)
    rung = read_rung(out)
    assert "autoencoders with 2 dimensions and VAEs with 3 dimensions" in story_of(out)[0]
    assert (rung["metrics"], rung["params"]) == ({}, {})
    assert [path.name for path in out.iterdir()] == ["rung.json"]
    assert not draw_rung(out, tmp_path / "figure.png")


def test_generation_refuses_models_of_other_data(
    settings: Params, trained: Path, evaluation: Path, tmp_path: Path
) -> None:
    data = colour_without_labels(tmp_path / "data")
    with pytest.raises(UserError, match="ae was trained on other data"):
        generation(settings, data=data, models=trained, evaluation=evaluation, out=tmp_path / "generation")


def test_the_pair_is_the_first_of_the_largest_latent_size_that_both_kinds_have(params: Params) -> None:
    def entry(kind: str, latent: int) -> dict[str, Any]:
        return {"kind": kind, "latent": latent}

    models = {
        "pca": entry("pca", 32), "small": entry("autoencoder", 2), "vae-2": entry("vae", 2), "vae-16": entry("vae", 16),
        "wide": entry("autoencoder", 32), "ae-16": entry("autoencoder", 16), "other-16": entry("autoencoder", 16),
    }  # fmt: skip
    assert comparable_pair(with_ladder(params, **models)) == ("ae-16", "vae-16")
    assert comparable_pair(with_ladder(params, pca=models["pca"], vae=models["vae-2"])) is None


def test_beta_measures_a_network_for_each_weight(settings: Params, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "beta"
    beta(settings, data=prepared, out=out)
    rung = read_rung(out)
    assert set(rung["metrics"]) == {
        f"beta-{weight}/{key}" for weight in ("0.1", "10") for key in ("kl", "recon", "neg_elbo", "mse", "active_units")
    }
    assert rung["metrics"]["beta-0.1/kl"] > rung["metrics"]["beta-10/kl"]
    series = pd.read_csv(out / "series.csv")
    assert list(series["beta"]) == [0.1, 10]
    np.testing.assert_allclose(series[["kl 1", "kl 2", "kl 3"]].sum(axis=1), series["kl"])
    assert "40 training images, 2 epochs" in story_of(out)[0]
    assert f"At β = 10 the code holds {rung['metrics']['beta-10/kl']:.1f} nats" in story_of(out)[1]


def collapse_of(*points: tuple[float, float, int]) -> str:
    """The last paragraph of the story for β, KL and active units of some networks of two dimensions."""
    results = {beta: BetaResult(100.0, np.array([kl, 0.0]), 0.02, units) for beta, kl, units in points}
    record = {
        "name": "beta", "metrics": {"beta-1/kl": 1.0}, "params": {"latent": 2, "epochs": 1},
        "facts": {"images": 40, "results": story_facts(results)},
    }  # fmt: skip
    return render_story(record, Path("beta")).paragraphs[-1]


def test_the_story_of_beta_tells_whether_dimensions_collapsed() -> None:
    silent = collapse_of((0.1, 3, 2), (1, 2, 1), (10, 0, 0), (30, 0, 0))
    assert "Active dimensions, of 2: 2 at β = 0.1, 1 at β = 1, none at β = 10 and none at β = 30" in silent
    assert "From β = 10 on all of them have collapsed (posterior collapse)" in silent
    some = collapse_of((0.1, 3, 2), (1, 2, 1))
    assert "The others have collapsed" in some
    assert "posterior collapse" not in some
    assert "no dimension collapses" in collapse_of((0.1, 3, 2), (1, 2, 2))
    none = collapse_of((0.1, 0, 0), (1, 0, 0))
    assert none.endswith(
        "none at β = 0.1 and none at β = 1. So at none of these β does the code hold information: it is drawn from "
        "N(0, 1) for every image."
    )


def test_colour_images_of_odd_size_without_labels(params: Params, tmp_path: Path) -> None:
    data = colour_without_labels(tmp_path / "data")
    beta(with_ladder(params), data=data, out=tmp_path / "beta")
    assert read_rung(tmp_path / "beta")["shape"] == [3, 9, 6]


def test_a_rung_that_is_launched_alone_is_in_the_launcher_s_run(
    settings: Params, prepared: Path, tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    beta(settings, data=prepared, out=tmp_path / "beta")
    rung = read_rung(tmp_path / "beta")
    assert client.get_run(run_id).data.metrics == pytest.approx(rung["metrics"] | {"seconds": rung["seconds"]})
    names = {artifact.path for artifact in client.list_artifacts(run_id, "ladder")}
    assert names == {"ladder/figure.png", "ladder/rung.json", "ladder/series.csv", "ladder/story.md"}
