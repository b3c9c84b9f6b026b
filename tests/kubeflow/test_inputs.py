"""Any valid parameters survive a dump, and the way through Kubeflow Pipelines."""

import json
from typing import Any

from google.protobuf import json_format, struct_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoders.kubeflow.inputs import from_kfp_inputs, input_name, to_kfp_inputs
from autoencoders.params import Params, parse_params

COUNTS = st.integers(1, 2**53)
"""KFP's numbers are doubles: larger ones lose their last digits."""
SEEDS = st.integers(0, 2**31 - 1)
RATES = st.floats(0, 1, exclude_min=True)
BATCHES = st.integers(1, 1_000_000)
WIDTHS = st.lists(st.integers(1, 65_536), min_size=1, max_size=8)
BETAS = st.one_of(st.floats(0, 1e4), st.integers(0, 10_000))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)
SIDES = st.integers(4, 1024)


def section(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section with any of these keys, each left out at times."""
    return st.fixed_dictionaries({}, optional=keys)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


NETWORK = {
    "arch": st.sampled_from(["mlp", "conv"]),
    "hidden": WIDTHS,
    "decoder_hidden": maybe(WIDTHS),
    "train": section(steps=maybe(COUNTS), batch_size=maybe(BATCHES), learning_rate=maybe(RATES)),
}
OF_A_KIND: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "pca": {},
    "autoencoder": {**NETWORK, "loss": st.sampled_from(["mse", "bce"])},
    "vae": {
        **NETWORK,
        "likelihood": st.sampled_from(["bernoulli", "gaussian", "logistic"]),
        "beta": BETAS,
        "kl_warmup": st.just(0) | st.floats(0, 1, exclude_max=True),
    },
}
MODELS = st.one_of(
    st.fixed_dictionaries({"kind": st.just(kind), "latent": COUNTS}, optional=keys) for kind, keys in OF_A_KIND.items()
)
IMAGES = section(
    mirror=maybe(st.text(st.characters(codec="utf-8"))),
    folder=st.text("abc /é猫", min_size=1),
    image_size=maybe(SIDES | st.lists(SIDES, min_size=2, max_size=2)),
    fit=st.sampled_from(["pad", "crop", "stretch"]),
    channels=maybe(st.sampled_from([1, 3])),
).map(lambda keys: {"name": "folder", **keys})
RAW = st.fixed_dictionaries(
    {"models": st.dictionaries(NAMES, MODELS, min_size=1, max_size=4)},
    optional={
        "device": st.sampled_from(["auto", "cpu", "cuda", "cuda:1"]),
        "data": IMAGES | section(max_unreadable=st.floats(0, 1, exclude_max=True)),
        "prepare": section(
            seed=SEEDS, validation=COUNTS | st.floats(0, 1, exclude_min=True, exclude_max=True), test=st.just(0.5)
        ),
        "train": section(
            steps=COUNTS, batch_size=BATCHES, grad_clip=maybe(st.floats(0, 1e300, exclude_min=True)),
            patience=maybe(COUNTS), compile=st.booleans(), schedule=st.sampled_from(["constant", "cosine"]),
        ),
        "ladder": section(
            seed=SEEDS,
            one_image=section(networks=st.lists(WIDTHS, min_size=1, max_size=8)),
            beta=section(betas=st.lists(st.floats(0, 1e4, exclude_min=True), min_size=2, max_size=12), hidden=WIDTHS),
        ),
    },
)  # fmt: skip


def delivered(value: Any) -> Any:
    """`value` as KFP's driver hands it on: protobuf's structures, in which each number is a float."""
    return json.loads(json_format.MessageToJson(json_format.ParseDict(value, struct_pb2.Value())), parse_int=float)


@given(RAW)
@settings(max_examples=150, deadline=None)
def test_parameters_survive_a_dump(raw):
    params = parse_params(raw)
    assert parse_params(json.loads(json.dumps(params.model_dump(mode="json")))) == params
    assert parse_params(params.model_dump(mode="json", exclude_none=True)) == params


@given(RAW)
@settings(max_examples=150, deadline=None)
def test_parameters_survive_the_way_through_kfp(raw):
    params = parse_params(raw)
    sent = to_kfp_inputs(params)
    sections = [section for section in Params.model_fields if section != "tracking"]
    assert sent.keys() == {input_name(section) for section in sections}
    arrived = from_kfp_inputs({section: delivered(sent[input_name(section)]) for section in sections})
    for section in sections:
        assert getattr(arrived, section) == getattr(params, section)
    assert list(arrived.models) == list(params.models)


def test_a_float_that_is_whole_stays_what_its_section_wants():
    models = {"vae": {"kind": "vae", "latent": 2, "beta": 2.0}}
    params = parse_params({"prepare": {"validation": 0.25}, "ladder": {"beta": {"betas": [1, 2]}}, "models": models})
    sent = to_kfp_inputs(params)
    arrived = from_kfp_inputs({part: delivered(sent[input_name(part)]) for part in ("prepare", "models", "ladder")})
    assert (arrived.prepare.validation, arrived.ladder.beta.betas) == (0.25, [1.0, 2.0])
    assert arrived.models["vae"].beta == 2.0
    assert type(arrived.models["vae"].latent) is int
