import base64
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autoencoders import params
from autoencoders.models import PCA, Autoencoder
from autoencoders.params import Pca
from autoencoders.report.planes import MAX_CODES, count_weights, legend, plane, thinned

CODES = np.random.default_rng(0).normal(0, 3, (40, 2)).astype(np.float32)
LABELS = np.arange(40) % 4


def network(
    arch: Any = "mlp", shape: tuple[int, int, int] = (1, 8, 8), hidden: tuple[int, ...] = (5,), loss: Any = "bce"
) -> Autoencoder:
    entry = params.Autoencoder(latent=2, arch=arch, hidden=list(hidden), loss=loss)
    return Autoencoder(entry, shape, torch.Generator().manual_seed(0))


def numbers(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_layers_and_weights_are_those_of_the_decoder():
    model = network()
    made = plane("ae", "AE", model, CODES, None, None)
    assert made.layers == [
        {"kind": "linear", "in": 2, "out": 5},
        {"kind": "relu"},
        {"kind": "linear", "in": 5, "out": 64},
        {"kind": "unflatten", "shape": [1, 8, 8]},
        {"kind": "sigmoid"},
    ]
    expected = torch.cat([value.flatten() for value in model.decoder.parameters()]).detach().numpy()
    assert np.array_equal(numbers(made.weights), expected)
    assert count_weights(model) == len(expected)


def test_a_linear_part_and_a_network_are_a_sum_whose_weights_follow_each_other():
    model = network(loss="mse")
    made = plane("ae", "AE", model, CODES, None, None)
    linear, flat = {"kind": "linear", "in": 2, "out": 64}, {"kind": "unflatten", "shape": [1, 8, 8]}
    hidden = [{"kind": "linear", "in": 2, "out": 5}, {"kind": "relu"}, {"kind": "linear", "in": 5, "out": 64}]
    assert made.layers == [{"kind": "sum", "branches": [[linear, flat], [*hidden, flat]]}, {"kind": "clip"}]
    expected = torch.cat([value.flatten() for value in model.decoder.parameters()]).detach().numpy()
    assert np.array_equal(numbers(made.weights), expected)
    assert count_weights(model) == len(expected)


def test_the_image_of_a_linear_part_is_refined_by_convolutions_whose_weights_follow():
    model = network("conv", (3, 9, 8), (4,), loss="mse")
    made = plane("ae", "AE", model, CODES, None, None)
    block = {"kernel_size": [8, 8], "stride": [4, 4], "padding": [2, 2]}
    linear = [{"kind": "linear", "in": 2, "out": 216}, {"kind": "unflatten", "shape": [3, 9, 8]}]
    detail = [
        {"kind": "conv", "in": 3, "out": 4, **block},
        {"kind": "relu"},
        {"kind": "conv_transpose", "in": 4, "out": 3, **block, "output_padding": [1, 0]},
    ]
    assert made.layers == [{"kind": "refined", "branches": [linear, detail]}, {"kind": "clip"}]
    expected = torch.cat([value.flatten() for value in model.decoder.parameters()]).detach().numpy()
    assert np.array_equal(numbers(made.weights), expected)


def test_a_transposed_convolution_has_its_sizes():
    made = plane("ae", "AE", network("conv", (3, 9, 8), (4, 6)), CODES, None, None)
    assert [layer["kind"] for layer in made.layers] == [
        "linear", "unflatten", "relu", "conv_transpose", "relu", "conv_transpose", "sigmoid",
    ]  # fmt: skip
    assert made.layers[-2] == {
        "kind": "conv_transpose", "in": 4, "out": 3, "kernel_size": [4, 4], "stride": [2, 2], "padding": [1, 1],
        "output_padding": [1, 0],
    }  # fmt: skip


def test_pca_is_one_linear_layer_with_the_mean_as_bias():
    model = PCA(Pca(latent=2), (1, 2, 2))
    model.components.copy_(torch.arange(8.0).reshape(2, 4))
    model.mean.copy_(torch.arange(10.0, 14.0))
    made = plane("pca", "PCA", model, CODES, None, None)
    assert [layer["kind"] for layer in made.layers] == ["linear", "clip"]
    assert numbers(made.weights).tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 10, 11, 12, 13]


def test_a_layer_that_the_page_does_not_know_is_refused():
    model = network()
    model.decoder.append(nn.Tanh())
    with pytest.raises(TypeError, match=r"decoder\.js knows no Tanh"):
        plane("ae", "AE", model, CODES, None, None)


def test_codes_and_labels_stay_together_and_are_few():
    made = plane("ae", "AE", network(), CODES, LABELS, None)
    where = [CODES.tolist().index(code) for code in numbers(made.codes).reshape(-1, 2).tolist()]
    assert sorted(where) == list(range(40))
    assert [LABELS[i] for i in where] == made.labels
    assert len(thinned(70_000)) == len(set(thinned(70_000))) == MAX_CODES == 5000
    assert np.array_equal(thinned(70_000), thinned(70_000))


def test_the_frame_is_square_and_holds_all_codes_and_the_prior():
    made = plane("ae", "AE", network(), np.array([[-40, 0], [10, 3]], np.float32), None, None)
    assert made.span == pytest.approx(53)
    assert made.corner == (pytest.approx(-41.5), pytest.approx(1.5 - 26.5 - 1.1))
    near = plane("ae", "AE", network(), np.zeros((3, 2), np.float32), None, None)
    assert near.corner[0] < -2.2 < 2.2 < near.corner[0] + near.span


def test_classes_are_tagged_at_their_medians_by_name_or_number():
    codes = np.repeat(np.array([[-2, -2], [2, 2], [0, 1]], np.float32), [10, 10, 9], axis=0)
    labels = np.repeat([0, 1, 2], [10, 10, 9])  # the last has too few to stand among
    short = plane("ae", "AE", network(), codes, labels, ["a", "b", "c"])
    assert [tag["text"] for tag in short.tags] == ["a", "b"]
    assert [(round(tag["x"]), round(tag["y"])) for tag in short.tags] == [(-2, -2), (2, 2)]
    assert [tag["text"] for tag in plane("ae", "AE", network(), codes, labels, ["trouser", "shirt", "coat"]).tags] == [
        "0",
        "1",
    ]


def test_classes_in_the_legend_differ_by_more_than_colour():
    assert legend(None, None) == []
    entries = legend(np.arange(12), [f"class {i}" for i in range(12)])
    assert entries[10]["colour"] == entries[0]["colour"]
    assert len({(entry["mark"], entry["colour"]) for entry in entries}) == 12
    assert entries[11]["text"] == "11 class 11"
    assert [entry["text"] for entry in legend(np.array([0, 2]), ["a", "b", "c"])] == ["a", "c"]
