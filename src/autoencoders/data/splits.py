"""Who is in which split: a seeded shuffle, from one explicit generator."""

import numpy as np
from numpy.typing import NDArray

from autoencoders.errors import UserError


def split_off_validation(
    pool: NDArray[np.int64], validation: int | float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut a shuffled pool of training images into (train, val); `validation` is a count, or a fraction of the pool.

    Raises `UserError` where no image would be left to train on, or none to validate on.
    """
    count = validation if isinstance(validation, int) else round(validation * len(pool))
    if not 0 < count < len(pool):
        raise UserError(
            f"prepare.validation: {validation} of {len(pool)} training images leaves "
            f"{'none to train on' if count else 'none to validate on'}. "
            f"Set a count below {len(pool)}, or a fraction such as 0.1."
        )
    return pool[count:], pool[:count]


def shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers 0 … count-1 in an order that depends on the seed alone."""
    return np.random.default_rng(seed).permutation(count)


def split_off_test(order: NDArray[np.int64], fraction: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut shuffled numbers into (the rest, test), at least one of them for the test split."""
    count = max(1, round(fraction * len(order)))
    if count >= len(order):
        raise UserError(
            f"prepare.test: {fraction} of {len(order)} images leaves none to train on. "
            "Add images, or set a smaller fraction."
        )
    return order[count:], order[:count]
