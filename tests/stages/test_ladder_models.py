"""The rungs 4 to 6 as stages, on tiny data: what they write, and what they say of results that differ."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rung_runs import TINY, colour_without_labels, run_rung, story_of, with_ladder

from autoencoders.data.prepared import Split, write_prepared
from autoencoders.data.principal_components import principal_components
from autoencoders.errors import UserError
from autoencoders.ladder.beta.measure import BetaResult, story_facts
from autoencoders.ladder.figures import draw_rung
from autoencoders.ladder.generation.measure import comparable_pair
from autoencoders.ladder.reduced import reduced
from autoencoders.ladder.stories import Story, render_story
from autoencoders.params import Params, parse_params

METRICS = {
    "mse": 0.004, "frechet/prior": 30.0, "frechet/gaussian": 20.0, "frechet/mixture": 10.0, "frechet/floor": 0.5,
    "mmd": 0.2, "ks": 0.3,
}  # fmt: skip


@pytest.fixture
def settings(params) -> Params:
    return with_ladder(params)


@pytest.fixture
def evaluation(tmp_path) -> Path:
    for name, changes in (("pca", {}), ("ae", {}), ("vae", {"frechet/prior": 15.0, "mmd": 0.001})):
        (tmp_path / "evaluation" / name).mkdir(parents=True)
        (tmp_path / "evaluation" / name / "metrics.json").write_text(json.dumps(METRICS | changes))
    return tmp_path / "evaluation"


def test_linear_says_how_near_it_is_to_pca_and_how_far_others_are(settings, prepared, evaluation, tmp_path):
    out = tmp_path / "linear"
    rung = run_rung("linear", settings, prepared, out, evaluation=evaluation)
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
    assert rung["params"]["steps"] == 1200  # instead of the 30 epochs that params.yaml asks for at least
    assert "ae, with 2 numbers, has a test error of 0.00400" in story_of(out)[2]
    series = pd.read_csv(out / "series.csv")
    assert len(series[series["model"] == "pca"]) == 5  # 0 to 4 components: one more than any model has
    assert len(series[series["quantity"].str.startswith("angle")]) == 1 + 3
    assert draw_rung(out, tmp_path / "figure.png")


@pytest.mark.parametrize("kinds", [1, 2])
def test_linear_says_something_true_of_pictures_that_are_all_the_same(settings, evaluation, tmp_path, kinds):
    pictures = np.random.default_rng(0).integers(0, 256, (kinds, 1, 8, 8), dtype=np.uint8)
    splits = {name: Split(pictures[np.arange(count) % kinds], None) for name, count in (("train", 40), ("test", 9))}
    write_prepared(tmp_path / "alike", "alike", {**splits, "val": splits["test"]}, None)
    rung = run_rung("linear", settings, tmp_path / "alike", tmp_path / "linear", evaluation=evaluation)
    story, metrics = " ".join(story_of(tmp_path / "linear")), rung["metrics"]
    assert all(-100 <= value <= 100 for value in metrics.values())
    assert "nonlinear/ae/less_than_pca_percent" not in metrics
    assert "PCA leaves no error here that nonlinearity could remove." in story
    assert max(metrics["k-1/largest_angle"], metrics["k-3/largest_angle"]) < 0.1
    alike = "The training images do not differ, so there is no direction to compare"
    one_direction = "Of the 3 directions that 3 numbers allow, PCA finds 1 in which these images differ"
    assert (alike if kinds == 1 else one_direction) in story


def test_linear_stands_alone_on_reduced_images(settings, evaluation, tmp_path):
    """A linear autoencoder of all pixels of a photograph would need more steps than a rung has."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 1, 40, 48), dtype=np.uint8)
    parts = {"train": pixels[:40], "val": pixels[40:44], "test": pixels[44:]}
    write_prepared(tmp_path / "large", "large", {name: Split(part, None) for name, part in parts.items()}, None)
    rung = run_rung("linear", settings, tmp_path / "large", tmp_path / "linear", evaluation=evaluation)
    assert rung["facts"]["reduced_to"] == [27, 32]
    assert not [key for key in rung["metrics"] if key.startswith("nonlinear")]
    small = reduced(parts["test"]).reshape(6, -1) / 255
    components = principal_components(reduced(parts["train"]), 1)
    centred = small - components.mean
    rest = centred - (centred @ components.directions.T) @ components.directions
    assert rung["metrics"]["k-1/pca_mse"] == pytest.approx(np.square(rest).mean(), rel=1e-5)
    assert "(on images reduced to 27×32)." in render_story(rung, tmp_path / "linear").result
    assert "nonlinear" not in render_story(rung, tmp_path / "linear").claim
    story = story_of(tmp_path / "linear")
    assert "Those of this run saw larger images: the column MSE / PCA of the comparison says" in story[2]
    assert story[-1] == "The images are reduced to 27×32 pixels on this rung."


def test_linear_without_autoencoders_says_how_to_add_one(params, prepared, tmp_path):
    only_pca = with_ladder(params, pca={"kind": "pca", "latent": 2})
    run_rung("linear", only_pca, prepared, tmp_path / "linear", evaluation=tmp_path / "none")
    told = story_of(tmp_path / "linear")[2]
    assert "add an entry of kind autoencoder to the models of params.yaml" in told
    assert "`" not in told


def test_linear_leaves_out_latents_at_which_pca_is_perfect(params, tmp_path):
    data = colour_without_labels(tmp_path / "data")
    raw = params.model_dump() | {"models": {"pca": {"kind": "pca", "latent": 2}}}
    raw["ladder"] = TINY | {"linear": TINY["linear"] | {"latents": [2, 12, 16]}}
    metrics = run_rung("linear", parse_params(raw), data, tmp_path / "linear", evaluation=tmp_path)["metrics"]
    assert {key.split("/")[0] for key in metrics} == {"k-2"}
    raw["ladder"] = TINY | {"linear": TINY["linear"] | {"latents": [12]}}
    with pytest.raises(UserError, match=r"ladder\.linear\.latents: none of \[12\] is below 12"):
        run_rung("linear", parse_params(raw), data, tmp_path / "again", evaluation=tmp_path)


def test_linear_needs_the_evaluations(settings, prepared, tmp_path):
    with pytest.raises(UserError, match=r"ae/metrics\.json is missing.*Run the `evaluate` stage"):
        run_rung("linear", settings, prepared, tmp_path / "linear", evaluation=tmp_path / "none")


def test_generation_compares_the_distances_that_were_measured(settings, prepared, trained, evaluation, tmp_path):
    out = tmp_path / "generation"
    rung = run_rung("generation", settings, prepared, out, models=trained, evaluation=evaluation)
    assert rung["metrics"]["autoencoder/frechet_prior"] == 30
    assert rung["metrics"]["vae/frechet_prior"] == 15
    assert rung["metrics"]["frechet_floor"] == 0.5
    assert "2.00 times lower" in story_of(out)[1]
    assert render_story(rung, out).claim.endswith("so its images are better.")
    assert "10.0, lower than vae from N(0, I)" in story_of(out)[2]
    series = pd.read_csv(out / "series.csv")
    assert list(series["model"]) == ["ae", "ae", "vae", "vae"]
    assert series["std"].max() == pytest.approx(
        max(rung["metrics"]["autoencoder/largest_std"], rung["metrics"]["vae/largest_std"])
    )


def test_generation_says_where_the_vae_is_no_better(settings, prepared, trained, evaluation, tmp_path):
    (evaluation / "vae" / "metrics.json").write_text(json.dumps(METRICS | {"frechet/prior": 40.0}))
    (evaluation / "ae" / "metrics.json").write_text(json.dumps(METRICS | {"frechet/mixture": 50.0}))
    out = tmp_path / "generation"
    rung = run_rung("generation", settings, prepared, out, models=trained, evaluation=evaluation)
    story = story_of(out)
    assert "here the VAE is not better" in story[1]
    assert "Here the fitted distribution does not help ae." in story[2]
    assert render_story(rung, out).claim.endswith(f"so its images are better. {UNCONFIRMED}")
    for kind, distance in (("autoencoder", 0.3982), ("vae", 0.3981)):  # which the card shows as 0.398 and 0.398
        rung["facts"][kind]["frechet_prior"] = distance
    assert render_story(rung, out).claim.endswith(UNCONFIRMED)
    assert "here the VAE is not better" in render_story(rung, out).paragraphs[1]
    assert "50.0, not lower than vae from N(0, I)" in story[2]


def test_generation_without_a_pair_says_so_and_draws_nothing(params, prepared, tmp_path):
    out = tmp_path / "generation"
    out.mkdir()
    (out / "figure.png").write_bytes(b"of an earlier run")
    unlike = with_ladder(params, ae={"kind": "autoencoder", "latent": 2}, vae={"kind": "vae", "latent": 3})
    rung = run_rung("generation", unlike, prepared, out, models=tmp_path, evaluation=tmp_path)
    assert "autoencoders with 2 dimensions and VAEs with 3 dimensions" in story_of(out)[0]
    assert (rung["metrics"], rung["params"]) == ({}, {})
    assert [path.name for path in out.iterdir()] == ["rung.json"]
    assert not draw_rung(out, tmp_path / "figure.png")


def test_generation_refuses_models_of_other_data(settings, trained, evaluation, tmp_path):
    data = colour_without_labels(tmp_path / "data")
    with pytest.raises(UserError, match="ae was trained on other data"):
        run_rung("generation", settings, data, tmp_path / "generation", models=trained, evaluation=evaluation)


def test_the_pair_is_the_first_of_the_largest_latent_size_that_both_kinds_have(params):
    def entry(kind: str, latent: int) -> dict[str, Any]:
        return {"kind": kind, "latent": latent}

    models = {
        "pca": entry("pca", 32), "small": entry("autoencoder", 2), "vae-2": entry("vae", 2), "vae-16": entry("vae", 16),
        "wide": entry("autoencoder", 32), "ae-16": entry("autoencoder", 16), "other-16": entry("autoencoder", 16),
    }  # fmt: skip
    assert comparable_pair(with_ladder(params, **models)) == ("ae-16", "vae-16")
    assert comparable_pair(with_ladder(params, pca=models["pca"], vae=models["vae-2"])) is None


def test_beta_measures_a_network_for_each_weight(settings, prepared, tmp_path):
    out = tmp_path / "beta"
    rung = run_rung("beta", settings, prepared, out)
    assert set(rung["metrics"]) == {
        f"beta-{weight}/{key}" for weight in ("0.1", "10") for key in ("kl", "recon", "neg_elbo", "mse", "active_units")
    }
    assert rung["metrics"]["beta-0.1/kl"] > rung["metrics"]["beta-10/kl"]
    series = pd.read_csv(out / "series.csv")
    assert list(series["beta"]) == [0.1, 10]
    assert (rung["params"]["steps"], rung["params"]["batch_size"]) == (300, 10)  # 2 epochs would be 4 steps
    np.testing.assert_allclose(series[["kl 1", "kl 2", "kl 3"]].sum(axis=1), series["kl"])
    assert "40 training images, 300 steps" in story_of(out)[0]
    assert f"At β = 10 the code holds {rung['metrics']['beta-10/kl']:.1f} nats" in story_of(out)[1]


def beta_story(*points: tuple[float, float, int], reduced_to: list[int] | None = None) -> Story:
    """The story for β, KL and active units of some networks of two dimensions."""
    results = {beta: BetaResult(100.0, np.array([kl, 0.0]), 0.02, units) for beta, kl, units in points}
    record = {
        "name": "beta", "metrics": {"beta-1/kl": 1.0}, "params": {"latent": 2, "steps": 9},
        "facts": {"images": 40, "reduced_to": reduced_to, "results": story_facts(results)},
    }  # fmt: skip
    return render_story(record, Path("beta"))


def paragraphs_of(*points: tuple[float, float, int], reduced_to: list[int] | None = None) -> Sequence[str]:
    return beta_story(*points, reduced_to=reduced_to).paragraphs


def collapse_of(*points: tuple[float, float, int]) -> str:
    """The last paragraph of the story."""
    return paragraphs_of(*points)[-1]


def test_a_story_says_that_large_images_were_reduced():
    points = (0.1, 3, 2), (1, 2, 1)
    whole = paragraphs_of(*points)
    assert paragraphs_of(*points, reduced_to=[64, 43]) == [
        *whole, "The images are reduced to 64×43 pixels on this rung."
    ]  # fmt: skip
    assert "reduced" not in beta_story(*points).result
    result = beta_story(*points, reduced_to=[64, 43]).result
    assert result.endswith("with 2 and 1 of 2 dimensions active (on images reduced to 64×43).")


UNCONFIRMED = "Here this is not confirmed."


@pytest.mark.parametrize(
    ("points", "confirmed"),
    [
        ([(0.1, 3, 2), (1, 2, 1), (10, 0.01, 0), (100, 0.02, 0)], True),  # as printed, the last two are equal
        ([(0.1, 3, 2), (1, 2, 2)], False),
        ([(0.1, 3, 2), (1, 4, 2), (10, 0, 0)], False),
        ([(0.1, 0.2, 0), (1, 0.2, 0)], False),
    ],
)
def test_the_claim_of_beta_says_where_the_numbers_contradict_it(points, confirmed):
    claim = beta_story(*points).claim
    assert claim.endswith("dimensions collapse." if confirmed else f"dimensions collapse. {UNCONFIRMED}")


def test_the_story_of_beta_states_whether_dimensions_collapsed():
    silent = collapse_of((0.1, 3, 2), (1, 2, 1), (10, 0, 0), (30, 0, 0))
    assert "Active dimensions, of 2: 2 at β = 0.1, 1 at β = 1, none at β = 10 and none at β = 30" in silent
    assert "From β = 10 on, all of them have collapsed (posterior collapse)" in silent
    some = collapse_of((0.1, 3, 2), (1, 2, 1))
    assert "The others have collapsed" in some
    assert "posterior collapse" not in some
    assert "no dimension collapses" in collapse_of((0.1, 3, 2), (1, 2, 2))
    none = collapse_of((0.1, 0, 0), (1, 0, 0))
    assert none.endswith(
        "none at β = 0.1 and none at β = 1. So at none of these β does the code hold information: it is drawn from "
        "N(0, 1) for every image."
    )
