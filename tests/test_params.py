from pathlib import Path

import pytest
import yaml

from autoencoders.errors import UserError
from autoencoders.params import Vae, load_params, parse_params

MODELS = {"vae": {"kind": "vae", "latent": 2}}


def refused(raw: dict) -> str:
    with pytest.raises(UserError) as caught:
        parse_params(raw)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_repository_s_own_params_are_valid() -> None:
    params = load_params(Path(__file__).parents[1] / "params.yaml")
    assert {name: model.kind for name, model in params.models.items()} == {
        "pca": "pca",
        "ae": "autoencoder",
        "vae": "vae",
        "ae-2d": "autoencoder",
        "vae-2d": "vae",
    }
    assert params.models["ae"].latent == params.models["vae"].latent == 16


def test_defaults_follow_the_architecture() -> None:
    model = parse_params({"models": {"vae": {"kind": "vae", "latent": 2, "arch": "conv"}}}).models["vae"]
    assert isinstance(model, Vae)
    assert (model.hidden, model.beta, model.likelihood) == ([32, 64], 1.0, "bernoulli")


def test_a_model_overrides_the_training_section() -> None:
    entry = {**MODELS["vae"], "train": {"epochs": 3}}
    params = parse_params({"train": {"epochs": 9, "batch_size": 7}, "models": {"vae": entry}})
    assert (params.training_of("vae").epochs, params.training_of("vae").batch_size) == (3, 7)
    assert params.train.epochs == 9


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"trian": {}, "models": MODELS}, ["trian: unknown key", "Did you mean 'train'?"]),
        ({"train": {"epocs": 3}, "models": MODELS}, ["train.epocs: unknown key", "Did you mean 'epochs'?"]),
        ({"train": {"epochs": 0}, "models": MODELS}, ["train.epochs:", "greater than or equal to 1", "found 0"]),
        ({"train": {"epochs": 2.5}, "models": MODELS}, ["train.epochs:", "integer", "2.5"]),
        ({"train": {"schedule": "cosin"}, "models": MODELS}, ["train.schedule:", "'constant' or 'cosine'", "'cosin'"]),
        ({"train": {"learning_rate": float("nan")}, "models": MODELS}, ["train.learning_rate:", "finite"]),
        ({"device": "gpu", "models": MODELS}, ["device:", "cuda", "'gpu'"]),
        (
            {"models": {"a": {"kind": "vea", "latent": 2}}},
            ["models.a.kind:", "pca, autoencoder, vae", "Did you mean 'vae'?"],
        ),
        ({"models": {"a": {"latent": 2}}}, ["models.a.kind:", "pca, autoencoder, vae"]),
        ({"models": {"a": {"kind": "vae"}}}, ["models.a.latent: missing"]),
        (
            {"models": {"a": {"kind": "vae", "latent": 2, "bet": 1}}},
            ["models.a.bet: unknown key", "Did you mean 'beta'?"],
        ),
        (
            {"models": {"vae": {"kind": "vae", "latent": 2, "beat": 1}}},  # a model named as its kind
            ["params.yaml: models.vae.beat: unknown key", "Did you mean 'beta'?"],
        ),
        ({"models": {"a": {"kind": "pca", "latent": 2, "beta": 1}}}, ["models.a.beta: unknown key", "kind, latent"]),
        ({"models": {"a": {"kind": "vae", "latent": 2, "beta": -1}}}, ["models.a.beta:", "greater than or equal to 0"]),
        ({"models": {"a.b": MODELS["vae"]}}, ["models.a.b:", "pattern"]),
        ({"models": {}}, ["models:", "at least 1"]),
        ({}, ["models: missing"]),
        ({"data": {"name": "mnits"}, "models": MODELS}, ["data: unknown data set 'mnits'", "Did you mean 'mnist'?"]),
        ({"data": {"image_size": 32}, "models": MODELS}, ["data: `image_size`", "folder"]),
        ({"data": {"folder": "/photos"}, "models": MODELS}, ["data: `folder: /photos`", "name: folder"]),
        ({"prepare": {"validation": 0}, "models": MODELS}, ["prepare.validation:", "found 0"]),
        (
            {"train": {"epochs": 3}, "models": {"a": {**MODELS["vae"], "kl_warmup": 4}}},
            ["models.a.kl_warmup", "longer than its training"],
        ),
    ],
)
def test_bad_values_are_named_with_their_path(raw: dict, said: list[str]) -> None:
    message = refused(raw)
    for part in said:
        assert part in message


def test_every_problem_is_reported_at_once() -> None:
    message = refused({"train": {"epocs": 3, "batch_size": -1}, "models": MODELS})
    assert "train.epocs" in message
    assert "train.batch_size" in message


def test_an_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no model 'vea'. Did you mean 'vae'"):
        parse_params({"models": MODELS}).model("vea")


@pytest.mark.parametrize(
    ("text", "said"), [("- a\n- b\n", "found list"), ("a: [", "not valid YAML"), ("", "found NoneType")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--params"):
        load_params(tmp_path / "params.yaml")


def test_every_default_in_the_code_that_a_section_spells_out_is_a_known_key() -> None:
    """params.yaml is the documentation: it must show every key of every section."""
    from autoencoders import params as module

    raw = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())
    sections = {"data": module.Data, "prepare": module.Prepare, "train": module.Train, "features": module.Features}
    sections |= {"evaluate": module.Evaluate, "plots": module.Plots, "tracking": module.Tracking}
    for name, section in sections.items():
        assert set(raw[name]) == set(section.model_fields), name
