"""Epochs of any number of images, in batches of any size."""

from itertools import chain, islice

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoencoders.data.batches import Batches

CPU = torch.device("cpu")


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**32))
def test_an_epoch_visits_every_image_once(count, batch_size, seed):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None]
    batches = Batches(images, batch_size, CPU)
    generator = torch.Generator().manual_seed(seed)
    epochs = [list(batches.shuffled(generator)), list(batches.shuffled(generator)), list(batches.in_order())]
    for epoch in epochs:
        assert len(epoch) == len(batches) == -(-count // batch_size)
        assert {len(batch) for batch in epoch[:-1]} <= {batch_size}
        numbers = (255 * torch.cat(epoch)).round().int().flatten().tolist()
        assert sorted(numbers) == list(range(count))
    assert numbers == list(range(count))  # of the last epoch, in order
    again = list(batches.shuffled(torch.Generator().manual_seed(seed)))
    assert all(torch.equal(first, second) for first, second in zip(epochs[0], again, strict=True))


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 100))
def test_batches_go_on_where_a_training_stopped(count, batch_size, start):
    batches = Batches(np.arange(count, dtype=np.uint8)[:, None, None, None], batch_size, CPU)
    generator = torch.Generator().manual_seed(0)
    epochs = [list(batches.shuffled(generator)) for _ in range(start // len(batches) + 2)]
    following = islice(batches.endless(torch.Generator().manual_seed(0), start), len(batches))
    expected = list(chain(*epochs))[start : start + len(batches)]
    assert all(torch.equal(first, second) for first, second in zip(following, expected, strict=True))
