import base64
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autoencoders import params
from autoencoders.models import PCA, Autoencoder, Model
from autoencoders.params import Pca
from autoencoders.report.decoders import Decoder, count_weights, decoder

CODES = np.random.default_rng(0).normal(0, 3, (40, 2)).astype(np.float32)


def network(
    arch: Any = "mlp", shape: tuple[int, int, int] = (1, 8, 8), hidden: tuple[int, ...] = (5,), loss: Any = "bce"
) -> Autoencoder:
    entry = params.Autoencoder(latent=2, arch=arch, hidden=list(hidden), loss=loss)
    return Autoencoder(entry, shape, torch.Generator().manual_seed(0))


def dequantised(made: Decoder) -> np.ndarray:
    """All weights, each layer's bias after its weight, as the page computes them."""
    whole, scales, biases = (
        np.frombuffer(base64.b64decode(text), kind)
        for text, kind in ((made.weights, "i1"), (made.scales, "<f4"), (made.biases, "<f4"))
    )
    parts = []
    for rows, columns, outputs in made.sizes:
        parts += [(whole[: rows * columns].reshape(rows, columns) * scales[:rows, None]).ravel(), biases[:outputs]]
        whole, scales, biases = whole[rows * columns :], scales[rows:], biases[outputs:]
    assert len(whole) == len(scales) == len(biases) == 0
    return np.concatenate(parts)


def assert_weights_are_those_of(made: Decoder, model: Model) -> None:
    """Biases are exact, and weights within half a step of their row's scale."""
    tensors = [value.detach() for value in model.decoder.parameters()]
    expected = torch.cat([value.flatten() for value in tensors]).numpy()
    step = [
        (value.flatten(1).abs().amax(1, keepdim=True) / 127).expand_as(value.flatten(1)).flatten()
        if value.dim() > 1
        else torch.zeros(len(value))
        for value in tensors
    ]
    assert (np.abs(dequantised(made) - expected) <= 0.501 * torch.cat(step).numpy()).all()
    assert count_weights(model) == len(expected)


def test_layers_and_weights_are_those_of_the_decoder():
    model = network()
    made = decoder(model, CODES)
    assert made.layers == [
        {"kind": "linear", "in": 2, "out": 5},
        {"kind": "relu"},
        {"kind": "linear", "in": 5, "out": 64},
        {"kind": "unflatten", "shape": [1, 8, 8]},
        {"kind": "sigmoid"},
    ]
    assert_weights_are_those_of(made, model)


def test_a_linear_part_and_a_network_are_a_sum_whose_weights_follow_each_other():
    model = network(loss="mse")
    made = decoder(model, CODES)
    linear, flat = {"kind": "linear", "in": 2, "out": 64}, {"kind": "unflatten", "shape": [1, 8, 8]}
    hidden = [{"kind": "linear", "in": 2, "out": 5}, {"kind": "relu"}, {"kind": "linear", "in": 5, "out": 64}]
    assert made.layers == [{"kind": "sum", "branches": [[linear, flat], [*hidden, flat]]}, {"kind": "clip"}]
    assert_weights_are_those_of(made, model)


def test_the_image_of_a_linear_part_is_refined_by_convolutions_whose_weights_follow():
    model = network("conv", (3, 9, 8), (4,), loss="mse")
    made = decoder(model, CODES)
    block = {"kernel_size": [8, 8], "stride": [4, 4], "padding": [2, 2]}
    linear = [{"kind": "linear", "in": 2, "out": 216}, {"kind": "unflatten", "shape": [3, 9, 8]}]
    detail = [
        {"kind": "conv", "in": 3, "out": 4, **block},
        {"kind": "relu"},
        {"kind": "conv_transpose", "in": 4, "out": 3, **block, "output_padding": [1, 0]},
    ]
    assert made.layers == [{"kind": "refined", "branches": [linear, detail]}, {"kind": "clip"}]
    assert_weights_are_those_of(made, model)


def test_a_transposed_convolution_has_its_sizes():
    made = decoder(network("conv", (3, 9, 8), (4, 6)), CODES)
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
    made = decoder(model, CODES)
    assert [layer["kind"] for layer in made.layers] == ["linear", "clip"]
    assert made.sizes == [(4, 2, 4)]
    assert dequantised(made) == pytest.approx([0, 4, 1, 5, 2, 6, 3, 7, 10, 11, 12, 13], abs=0.5 * 7 / 127)


def test_a_layer_that_the_page_does_not_know_is_refused():
    model = network()
    model.decoder.append(nn.Tanh())
    with pytest.raises(TypeError, match=r"decoder\.js knows no Tanh"):
        decoder(model, CODES)


def test_the_error_of_8_bits_is_measured_and_small():
    model = network(hidden=(30, 30))
    made = decoder(model, CODES)
    assert 0 < made.error < 0.002
    with torch.inference_mode():
        z = torch.from_numpy(CODES)
        before = model.decode(z)
        tensors = [value for value in model.decoder.parameters() if value.dim() > 1]
        for value in tensors:
            scale = value.abs().amax(1, keepdim=True) / 127
            value.copy_((value / scale).round() * scale)
        assert made.error == pytest.approx(float((model.decode(z) - before).abs().mean()), rel=1e-3)


def test_a_row_of_zeros_stays_zero_and_the_model_keeps_its_weights():
    model = network()
    with torch.no_grad():
        model.decoder[0].weight[2] = 0
    before = [value.clone() for value in model.decoder.parameters()]
    made = decoder(model, CODES)
    assert np.isfinite(dequantised(made)).all()
    assert dequantised(made)[4:6].tolist() == [0, 0]
    assert all(torch.equal(a, b) for a, b in zip(before, model.decoder.parameters(), strict=True))
    assert made.bytes == len(made.weights) + len(made.scales) + len(made.biases)
