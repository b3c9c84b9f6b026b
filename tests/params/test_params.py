import random
import re
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import load_yaml

from autoencoders.errors import UserError
from autoencoders.params import Vae, load_params, parse_params, read_params

MODELS = {"vae": {"kind": "vae", "latent": 2}}


def refused(raw: dict) -> str:
    with pytest.raises(UserError) as caught:
        parse_params(raw)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_repository_s_own_params_are_valid():
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    assert {name: model.kind for name, model in params.models.items()} == {
        "pca": "pca",
        "ae": "autoencoder",
        "vae": "vae",
        "ae-2d": "autoencoder",
        "vae-2d": "vae",
    }
    assert params.models["ae"].latent == params.models["vae"].latent == 16


def test_defaults_follow_the_architecture():
    model = parse_params({"models": {"vae": {"kind": "vae", "latent": 2, "arch": "conv"}}}).models["vae"]
    assert isinstance(model, Vae)
    assert (model.hidden, model.beta, model.likelihood) == ([32, 64], 1.0, "bernoulli")


def test_a_model_overrides_the_training_section():
    entry = {**MODELS["vae"], "train": {"steps": 3}}
    params = parse_params({"train": {"steps": 9, "batch_size": 7}, "models": {"vae": entry}})
    assert (params.training_of("vae").steps, params.training_of("vae").batch_size) == (3, 7)
    assert params.train.steps == 9


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"trian": {}, "models": MODELS}, ["trian: unknown key", "Did you mean 'train'?"]),
        ({"train": {"stpes": 3}, "models": MODELS}, ["train.stpes: unknown key", "Did you mean 'steps'?"]),
        ({"train": {"steps": 0}, "models": MODELS}, ["train.steps:", "greater than or equal to 1", "found 0"]),
        ({"train": {"steps": 2.5}, "models": MODELS}, ["train.steps:", "integer", "2.5"]),
        ({"train": {"schedule": "cosin"}, "models": MODELS}, ["train.schedule:", "'constant' or 'cosine'", "'cosin'"]),
        ({"train": {"learning_rate": float("nan")}, "models": MODELS}, ["train.learning_rate:", "finite"]),
        ({"device": "gpu", "models": MODELS}, ["device: should be auto, cpu, cuda or cuda:N, found 'gpu'"]),
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
        ({"models": {"a.b": MODELS["vae"]}}, ["models.a.b: a model's name is made of letters, digits, - and _"]),
        ({"models": {"a\n": MODELS["vae"]}}, ["models.a: a model's name", r"found 'a\n'"]),
        ({"models": {5: MODELS["vae"]}}, ["models.5: a model's name", "found 5"]),
        ({"models": {"a" * 65: MODELS["vae"]}}, ["has at most 64 characters"]),
        ({"models": None}, ["models: should be a section"]),
        ({"models": {"a": None}}, ["models.a: should be a section"]),
        ({"train": [1], "models": MODELS}, ["train: should be a section", "found [1]"]),
        ({"train": {"learning_rate": True}, "models": MODELS}, ["train.learning_rate: should be a valid number"]),
        ({"train": {"learning_rate": "0.1"}, "models": MODELS}, ["train.learning_rate: should be a valid number"]),
        ({"train": {"compile": "yes"}, "models": MODELS}, ["train.compile: should be a valid boolean, found 'yes'"]),
        ({"train": {"compile": 1}, "models": MODELS}, ["train.compile: should be a valid boolean, found 1"]),
        ({"ladder": {"beta": {"betas": [True, 2]}}, "models": MODELS}, ["ladder.beta.betas.0:", "valid number"]),
        ({"tracking": {"experiment": "  "}, "models": MODELS}, ["tracking.experiment: should not be blank"]),
        ({"features": {"images": 10**12}, "models": MODELS}, ["features.images: should be less than", "100000"]),
        ({"models": {"a": {**MODELS["vae"], "hidden": [10**12]}}}, ["models.a.hidden.0: should be less than", "65536"]),
        (
            {"data": {"name": "folder", "image_size": 2}, "models": MODELS},
            ["data.image_size: should be a number from 4 to 1024, or [height, width] of such, found 2"],
        ),
        (
            {"data": {"name": "folder", "image_size": [8, 8, 8]}, "models": MODELS},
            ["data.image_size: should be a number from 4 to 1024, or [height, width] of such, found [8, 8, 8]"],
        ),
        ({"models": {}}, ["models:", "at least 1"]),
        ({}, ["models: missing"]),
        ({"data": {"name": "mnits"}, "models": MODELS}, ["data: unknown data set 'mnits'", "Did you mean 'mnist'?"]),
        ({"data": {"image_size": 32}, "models": MODELS}, ["data: `image_size`", "folder"]),
        (
            {"data": {"fit": "crop"}, "models": MODELS},
            ["data: `fit: crop` goes with `name: folder`, found `name: mnist`", "set `fit: pad` again"],
        ),
        (
            {"data": {"name": "folder", "fit": "squeeze"}, "models": MODELS},
            ["data.fit: should be 'pad', 'crop' or 'stretch', found 'squeeze'"],
        ),
        ({"data": {"folder": "/photos"}, "models": MODELS}, ["data: `folder: /photos`", "name: folder"]),
        ({"prepare": {"validation": 0}, "models": MODELS}, ["prepare.validation:", "found 0"]),
        ({"models": {"a": {**MODELS["vae"], "kl_warmup": -0.1}}}, ["models.a.kl_warmup: is a share of all steps"]),
    ],
)
def test_bad_values_are_named_with_their_path(raw, said):
    message = refused(raw)
    for part in said:
        assert part in message
    assert not re.search(r"pattern|validat(ed|ion) data|after validation|Undefined|\^", message)


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, True, "many", None, [1]])
def test_a_share_or_a_count_that_is_neither_is_reported_once(value):
    said = f"params.yaml: prepare.validation: should be a count from 1 on, or a share between 0 and 1, found {value!r}"
    assert refused({"prepare": {"validation": value}, "models": MODELS}) == said


def test_a_wrong_arch_is_reported_without_its_default_widths():
    entry = {"kind": "vae", "latent": 2, "arch": "cnov"}
    assert refused({"models": {"a": entry}}) == "params.yaml: models.a.arch: should be 'mlp' or 'conv', found 'cnov'"


STEPS = "training is counted in steps now: write `steps` in its place, epochs × images / batch_size (1505 for 7 epochs"


@pytest.mark.parametrize(("train", "of_model"), [({"epochs": 7}, {}), ({}, {"epochs": 7}), ({"epochs": "many"}, {})])
def test_epochs_are_refused_with_what_to_write_instead(train, of_model):
    message = refused({"train": train, "models": {"vae": {**MODELS["vae"], "train": of_model}}})
    place = "train.epochs" if train else "models.vae.train.epochs"
    assert message == f"params.yaml: {place}: {STEPS} of 55,000 images in batches of 256)"


def test_a_kl_warmup_in_epochs_is_refused_with_what_to_write_instead():
    message = refused({"models": {"vae": {**MODELS["vae"], "kl_warmup": 1}}})
    assert message == (
        "params.yaml: models.vae.kl_warmup: is a share of all steps, from 0 up to 1, no longer a number of epochs: "
        "write 0.12 for 1 of 8 epochs, found 1"
    )


def test_every_problem_is_reported_at_once():
    message = refused({"train": {"epocs": 3, "batch_size": -1}, "models": MODELS})
    assert "train.epocs" in message
    assert "train.batch_size" in message


def test_an_unknown_model_suggests_the_nearest():
    with pytest.raises(UserError, match=r"no model 'vea'. Did you mean 'vae'"):
        parse_params({"models": MODELS}).model("vea")


@pytest.mark.parametrize(
    ("text", "said"), [("- a\n- b\n", "found list"), ("a: [", "not valid YAML"), ("", "found NoneType")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, said):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train:\n  steps: 1\n  seed: 2\n  steps: 3\n", 'line 4: found duplicate key "steps"'),
        ("models:\n  a: {kind: pca, kind: vae}\n", 'line 2: found duplicate key "kind"'),
        ("data: {}\nmodels: {}\ndata: {}\n", 'line 3: found duplicate key "data"'),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path, text, said):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_params(tmp_path / "params.yaml")
    assert str(caught.value) == f"{tmp_path / 'params.yaml'} is not valid YAML: {said}"


def test_numbers_are_read_as_dvc_reads_them(tmp_path):
    text = "train: {learning_rate: 1e-3, grad_clip: 2E+1, warmup: 0}\nmodels: {pca: {kind: pca, latent: 2}}\n"
    (tmp_path / "params.yaml").write_text(text)
    train = load_params(tmp_path / "params.yaml").train
    assert (train.learning_rate, train.grad_clip, train.warmup) == (0.001, 20.0, 0.0)


def test_a_folder_is_no_file_of_parameters(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)\. Name a file with --params\.$"):
        load_params(tmp_path)


def test_a_missing_file_names_the_fix(tmp_path):
    with pytest.raises(UserError, match="--params"):
        load_params(tmp_path / "params.yaml")


def test_every_default_in_the_code_that_a_section_spells_out_is_a_known_key():
    """params.yaml is the documentation: it must show every key of every section."""
    from autoencoders import params as module

    raw = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    sections = {"data": module.Data, "prepare": module.Prepare, "train": module.Train, "features": module.Features}
    sections |= {"evaluate": module.Evaluate, "plots": module.Plots, "tracking": module.Tracking}
    for name, section in sections.items():
        assert set(raw[name]) == set(section.model_fields), name


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def scalars() -> list[str]:
    """Values that YAML 1.1 and 1.2 read differently, and random ones of their characters."""
    known = ["010", "0o10", "08", "0x1F", "0b11", "1_000", "-012", "+1", "1:30", "1:30:15", "1.5:3", "yes", "Yes", "on"]
    known += ["off", "No", "y", "n", "true", "TRUE", "~", "null", "Null", "1e3", "1E-3", "+1e5", ".5", "5.", ".inf"]
    known += ["-.INF", ".nan", "0.1e-2", "2026-01-01", "2026-99-99", "!!int 7", "<<", "="]
    draw = random.Random(0)
    return known + ["".join(draw.choices("0123456789abefxoyn:._-+!~", k=draw.randint(1, 6))) for _ in range(400)]


def test_every_scalar_is_what_dvc_reads_or_is_refused(tmp_path):
    for text in scalars():
        try:
            ours = read_params(written(tmp_path, f"a: {text}\n"))
        except UserError:
            continue
        assert repr(ours) == repr(load_yaml(tmp_path / "params.yaml")), text


@pytest.mark.parametrize(("steps", "read"), [("010", 10), ("0o10", 8), ("1_0", 10), ("0x10", 16)])
def test_a_number_with_a_leading_zero_is_the_number_that_dvc_records(tmp_path, steps, read):
    path = written(tmp_path, f"train: {{steps: {steps}}}\nmodels: {{pca: {{kind: pca, latent: 2}}}}\n")
    assert load_params(path).train.steps == read == load_yaml(path)["train"]["steps"]


@pytest.mark.parametrize("value", ["1:30", "yes", "2026-01-01"])
def test_what_is_no_number_to_dvc_is_refused_as_one(tmp_path, value):
    path = written(tmp_path, f"train:\n  steps: {value}\nmodels: {{pca: {{kind: pca, latent: 2}}}}\n")
    with pytest.raises(UserError, match=r"train\.steps: should be a valid integer, found "):
        load_params(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 2026-99-99", "month must be in 1..12"),
        ("a: !!int abc", "invalid literal for int() with base 10: 'abc'"),
        (f"a: {'9' * 5000}", "Exceeds the limit (4300 digits)"),
        ("a: !!bool maybe", "'maybe'"),
        ("? {a: b}\n: 1", "line 1: found unhashable key"),
        ("a: !!python/object:os.system x", "line 1: could not determine a constructor for the tag"),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("a: \x00", "unacceptable character #x0000"),
        ("[" * 200_000, "sections within sections, more than 100 deep"),
        ("- " * 200_000, "sections within sections, more than 100 deep"),
        ("a: {" * 200, "sections within sections, more than 100 deep"),
    ],
)
def test_what_no_yaml_holds_is_reported_in_one_line(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path} is not valid YAML: {said}")
    assert "\n" not in str(caught.value)


def test_texts_that_name_each_other_are_shown_in_part(tmp_path):
    laughs = "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 12))
    path = written(tmp_path, f"b0: &b0 ha\n{laughs}train: {{steps: *b11}}\nmodels: {{pca: *b11}}\n")
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert "train.steps: should be a valid integer, found [[" in str(caught.value)
    assert len(str(caught.value)) < 5_000


def test_a_home_folder_must_be_written_out():
    said = "data: `folder: ~/pics`: write the whole path, DVC does not expand ~"
    assert said in refused({"data": {"name": "folder", "folder": "~/pics"}, "models": MODELS})


@pytest.mark.parametrize("place", ["train.batch_size", "models.vae.train.batch_size", "ladder.beta.batch_size"])
def test_a_batch_has_a_bound(place):
    raw: dict = {"models": {"vae": {"kind": "vae", "latent": 2}}}
    *sections, key = place.split(".")
    inner = raw
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[key] = 1_000_000
    parse_params(raw)
    inner[key] = 10**21
    assert f"{place}: should be less than or equal to 1000000, found {10**21}" in refused(raw)
