"""Splits of any size: disjoint, covering, stable, as large as asked for."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autoencoders.data.splits import MIN_IMAGES, shuffled, split_off_test, split_off_validation, take
from autoencoders.errors import UserError

SIZES = st.integers(1, 3000)
SEEDS = st.integers(0, 2**32)
SHARES = st.floats(0.001, 0.999)
COUNTS = st.integers(1, 6000)


@given(SIZES, SEEDS, SHARES, SHARES | COUNTS)
def test_splits_are_disjoint_covering_stable_and_of_the_asked_size(total, seed, test_share, validation):
    """Or they are refused, where one of them would be too small."""

    def split() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pool, test = split_off_test(shuffled(total, seed), test_share)
        return *split_off_validation(pool, validation), test

    test_size = round(test_share * total)
    pool_size = total - test_size
    val_size = round(validation * pool_size)
    if isinstance(validation, int):
        val_size = min(validation, max(1, pool_size // 5))
    wanted = (pool_size - val_size, val_size, test_size)
    try:
        splits = split()
    except UserError as error:
        assert min(wanted[0] - MIN_IMAGES, wanted[1] - 1, wanted[2] - MIN_IMAGES) < 0, error
        return
    assert tuple(map(len, splits)) == wanted
    np.testing.assert_array_equal(np.sort(np.concatenate(splits)), np.arange(total))
    for first, second in zip(splits, split(), strict=True):
        np.testing.assert_array_equal(first, second)


@given(SIZES, SEEDS, SHARES, st.tuples(SHARES | COUNTS, SHARES | COUNTS))
def test_the_test_split_does_not_depend_on_the_size_of_the_validation_split(total, seed, test_share, validations):
    """And of two validation splits, the smaller one is within the larger one."""
    try:
        pool, _ = split_off_test(shuffled(total, seed), test_share)
        smaller, larger = sorted((split_off_validation(pool, size)[1] for size in validations), key=len)
    except UserError:
        return
    np.testing.assert_array_equal(smaller, larger[: len(smaller)])


@given(st.integers(1, 40), SEEDS, st.booleans())
def test_every_image_keeps_its_label(total, seed, labelled):
    images = np.arange(total, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 3), np.uint8)
    labels = 7 * np.arange(total) if labelled else None
    order = shuffled(total, seed)
    with TemporaryDirectory() as folder:
        splits = take(images, labels, {"train": order[1:], "test": order[:1]}, Path(folder))
        for name, numbers in (("train", order[1:]), ("test", order[:1])):
            np.testing.assert_array_equal(splits[name].images, images[numbers])
            if labels is not None:
                np.testing.assert_array_equal(splits[name].labels, labels[numbers])
        assert all((split.labels is None) == (labels is None) for split in splits.values())
