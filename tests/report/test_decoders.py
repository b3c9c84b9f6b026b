import base64
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from autoencoders import params
from autoencoders.data.principal_components import principal_components
from autoencoders.models import PCA, Autoencoder, Model
from autoencoders.params import Pca
from autoencoders.report.decoders import Decoder, _layers, decoder, weights_by_part
from autoencoders.report.explore import Explorable
from autoencoders.report.planes import plane

CODES = np.random.default_rng(0).normal(0, 3, (40, 2)).astype(np.float32)


def network(
    arch: Any = "mlp", shape: tuple[int, int, int] = (1, 8, 8), hidden: tuple[int, ...] = (5,), loss: Any = "bce"
) -> Autoencoder:
    entry = params.Autoencoder(latent=2, arch=arch, hidden=list(hidden), loss=loss)
    return Autoencoder(entry, shape, torch.Generator().manual_seed(0))


def dequantised(made: Decoder) -> np.ndarray:
    """All weights, each layer's bias after its weight, as the page computes them."""
    parts = []
    for part in made.parts:
        whole, scales, bias = (
            np.frombuffer(base64.b64decode(text), kind)
            for text, kind in ((part.weights, "i1"), (part.scales, "<f4"), (part.biases, "<f4"))
        )
        parts += [(whole.reshape(part.rows, part.columns) * scales[:, None]).ravel(), bias]
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
    assert sum(weights_by_part(model).values()) == len(expected)


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
    assert [(part.rows, part.columns) for part in made.parts] == [(4, 2)]
    assert dequantised(made) == pytest.approx([0, 4, 1, 5, 2, 6, 3, 7, 10, 11, 12, 13], abs=0.5 * 7 / 127)


def scores_network(hidden: int, shape: tuple[int, int, int]) -> Autoencoder:
    """An autoencoder that begins as PCA of images of many values, of which it knows the components."""
    model = network("mlp", shape, (hidden,), loss="mse")
    model.initialise(principal_components(np.random.default_rng(0).integers(0, 256, (20, *shape), np.uint8), 256))
    return model


def test_decoders_that_work_on_the_same_components_hold_them_once():
    models = {"a": scores_network(5, (3, 20, 18)), "b": scores_network(9, (3, 20, 18))}
    made = {name: decoder(model, CODES) for name, model in models.items()}
    assert made["a"].parts[-1] == made["b"].parts[-1]
    assert made["a"].parts[-2] != made["b"].parts[-2]
    planes = [plane(name, "AE", model, CODES, None, None) for name, model in models.items()]
    data = Explorable(planes, None, None, [], []).data()
    indices = [of["decoder"]["parts"] for of in data["planes"]]
    assert indices == [[0, 1, 2, 3], [0, 4, 5, 3]]  # both begin with the same linear part
    assert len(data["parts"]) == 6
    counts = {name: weights_by_part(model) for name, model in models.items()}
    shared = counts["a"].keys() & counts["b"].keys()
    assert {counts["a"][key] for key in shared} == {257 * 3 * 20 * 18, 3 * 256}


@torch.inference_mode()
def test_large_images_of_components_are_averaged_to_64_pixels():
    model = scores_network(5, (3, 96, 80))
    made = decoder(model, CODES)
    assert made.shape == (3, 64, 53)
    assert sum(weights_by_part(model).values()) < 257 * 3 * 64 * 53 + 10_000
    layers, _ = _layers(model)
    whole = nn.Sequential(*model.decoder_layers()[:-1])(torch.from_numpy(CODES)).view(-1, 3, 96, 80)
    small = nn.Sequential(*layers[:-1])(torch.from_numpy(CODES)).view(-1, 3, 64, 53)
    torch.testing.assert_close(small, F.interpolate(whole, (64, 53), mode="area"), rtol=0, atol=1e-5)
    assert 0 < made.error < 0.01


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
    assert made.bytes == sum(len(part.weights) + len(part.scales) + len(part.biases) for part in made.parts)
