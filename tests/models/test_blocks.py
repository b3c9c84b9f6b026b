"""Convolutional encoders and decoders fit images of any size, or say that they do not."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from autoencoders.errors import UserError
from autoencoders.models.blocks import conv_decoder, conv_encoder

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
