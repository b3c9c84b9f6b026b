import numpy as np
import pytest

from autoencoders.data.splits import shuffled, split_off_test, split_off_validation
from autoencoders.errors import UserError


def test_the_seed_alone_decides_the_order():
    np.testing.assert_array_equal(shuffled(1000, 3), shuffled(1000, 3))
    assert (shuffled(1000, 3) != shuffled(1000, 4)).sum() > 900
    assert sorted(shuffled(1000, 3)) == list(range(1000))


@pytest.mark.parametrize(
    ("validation", "count"), [(5, 5), (0.1, 10), (0.999, None), (99, 99), (100, None), (0.001, None)]
)
def test_validation_is_a_count_or_a_fraction(validation, count):
    pool = shuffled(100, 0)
    if count is None:
        with pytest.raises(UserError, match=f"prepare.validation: {validation} of 100 training images leaves none"):
            split_off_validation(pool, validation)
        return
    train, val = split_off_validation(pool, validation)
    assert (len(train), len(val)) == (100 - count, count)
    assert sorted([*train, *val]) == list(range(100))


def test_the_test_fraction_is_taken_first():
    rest, test = split_off_test(shuffled(101, 0), 0.15)
    assert (len(rest), len(test)) == (86, 15)
    assert not set(rest) & set(test)
    assert [len(part) for part in split_off_test(shuffled(3, 0), 0.15)] == [2, 1]
    with pytest.raises(UserError, match=r"prepare\.test: 0\.15 of 1 images"):
        split_off_test(shuffled(1, 0), 0.15)
