"""Who is in which split: a seeded shuffle, from one explicit generator."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from autoencoders.errors import UserError

FEWEST = 2
"""Images to train on, and to test on: one has no covariance."""
LARGEST_SHARE = 5
"""A count of validation images is at most one in so many: the default suits MNIST, and few folders."""


def split_off_validation(
    pool: NDArray[np.int64], validation: int | float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut a shuffled pool of images that are not for testing into (train, val).

    `validation` is a share of the pool, or a count, of which no more than a fifth of the pool is taken.
    Raises `UserError` where no image would be left to validate on, or fewer than two to train on.
    """
    total = len(pool)
    count = validation if isinstance(validation, int) else round(validation * total)
    if isinstance(validation, int) and count > (most := max(1, total // LARGEST_SHARE)):
        print(
            f"prepare.validation: {validation} is more than a fifth of the {total} images outside the test split: "
            f"using {most}",
            flush=True,
        )
        count = most
    for left, fewest, purpose in ((count, 1, "validate"), (total - count, FEWEST, "train")):
        if left < fewest:
            fix = f"Set a share such as {_share(total)}, or add images" if total > FEWEST else "Add images"
            raise UserError(
                f"prepare.validation: {validation} of {total} images outside the test split leaves {left} to {purpose} "
                f"on; {fewest} or more are needed. {fix}."
            )
    return pool[count:], pool[:count]


def shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers 0 … count-1 in an order that depends on the seed alone."""
    return np.random.default_rng(seed).permutation(count)


def split_off_test(order: NDArray[np.int64], fraction: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut shuffled numbers into (the rest, test).

    Raises `UserError` where fewer than two images would be left to test on, or three to train and validate on.
    """
    total, count = len(order), round(fraction * len(order))
    for left, fewest, purpose in ((count, FEWEST, "test"), (total - count, FEWEST + 1, "train and validate")):
        if left < fewest:
            fix = f"Set a share such as {_share(total)}, or add images" if total > 2 * FEWEST else "Add images"
            raise UserError(
                f"prepare.test: {fraction} of {total} images leaves {left} to {purpose} on; {fewest} or more are "
                f"needed. {fix}."
            )
    return order[count:], order[:count]


def _share(total: int) -> float:
    """Return a share that is large enough for two of `total` images."""
    return max(0.2, ceil(100 * FEWEST / total) / 100)
