"""Convolutions fit images of any size, or say that they do not; what a decoder adds depends on the image's places."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from autoencoders.errors import UserError
from autoencoders.models.blocks import (
    Refined,
    conv_decoder,
    conv_encoder,
    conv_refiner,
    initialise,
    linear_stack,
    mlp_decoder,
)

SIDES = st.integers(4, 65)


@given(st.sampled_from([1, 3]), SIDES, SIDES, st.integers(1, 3), st.integers(1, 9))
@example(3, 65, 4, 2, 5)
@example(1, 7, 7, 3, 1)
@example(1, 8, 63, 3, 1)
def test_the_sizes_are_those_of_the_images(channels, height, width, layers, outputs):
    shape, hidden = (channels, height, width), [4, 6, 2][:layers]
    with torch.device("meta"):
        if min(height, width) < 2**layers:
            for block in (conv_encoder, conv_decoder):
                with pytest.raises(UserError, match=f"{height}×{width} pixels cannot be halved {layers} times"):
                    block(shape, hidden, outputs)
            return
        assert conv_encoder(shape, hidden, outputs)(torch.empty(5, *shape)).shape == (5, outputs)
        assert conv_decoder(shape, hidden[::-1], outputs)(torch.empty(5, outputs)).shape == (5, *shape)


@given(st.sampled_from([1, 3]), st.integers(1, 19), st.integers(1, 19), st.integers(1, 3))
@example(1, 2, 19, 1)
@example(3, 5, 3, 2)
def test_what_is_added_to_images_has_their_size(channels, height, width, layers):
    with torch.device("meta"):
        refiner = conv_refiner((channels, height, width), [4, 6, 2][:layers])
        assert refiner(torch.empty(5, channels, height, width)).shape == (5, channels, height, width)


def test_the_same_content_gets_the_same_detail_wherever_it_is():
    refiner = conv_refiner((1, 80, 80), [4, 5, 3]).double()
    initialise(refiner, torch.Generator().manual_seed(3))
    x = torch.rand(1, 1, 80, 80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    detail, shifted = refiner(x), refiner(x.roll((4, 8), (2, 3)))
    inside = shifted[..., 28:-20, 28:-20]  # the borders, 20 pixels with all layers, see other content or none
    torch.testing.assert_close(inside, detail[..., 24:-24, 20:-28])
    assert inside.std() > 0.01


def test_a_refined_image_is_the_linear_one_and_what_the_network_makes_of_it():
    refined = Refined(mlp_decoder((1, 4, 4), [], 2), torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)))
    linear, scale = refined.linear[0], refined.network[0]
    with torch.no_grad():
        for values, fill in ((linear.weight, 1.0), (linear.bias, 0.5), (scale.weight, 3.0), (scale.bias, 0.25)):
            values.fill_(fill)
        image = refined(torch.tensor([[1.0, -2.0]]))
    assert image.shape == (1, 1, 4, 4)
    assert image.unique().tolist() == [-0.5 + 3 * 4 * (-0.5 - 0.5) + 0.25]


def test_a_hidden_layer_as_wide_as_the_one_before_keeps_what_it_is_given():
    stack = linear_stack([3, 5, 5, 4, 4, 2], residual=True)
    assert [type(layer).__name__ for layer in stack] == [
        "Linear",
        "ReLU",
        "Residual",
        "Linear",
        "ReLU",
        "Residual",
        "Linear",
    ]
    with torch.no_grad():
        stack[2].linear.weight.zero_()
        stack[2].linear.bias.copy_(torch.tensor([-1.0, 0.0, 1.0, 2.0, 3.0]))
        added = stack[2](torch.full((1, 5), 10.0))
    assert added.tolist() == [[10, 10, 11, 12, 13]]
    assert [type(layer).__name__ for layer in linear_stack([5, 5, 5, 2])] == [
        "Linear",
        "ReLU",
        "Linear",
        "ReLU",
        "Linear",
    ]
