"""Which image is in which split: a seeded shuffle, cut twice."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoencoders.data.arrays import gather
from autoencoders.data.prepared import Split
from autoencoders.errors import UserError

Order = NDArray[np.int64]

MIN_IMAGES = 2
"""The fewest images to train on, and to test on: one image has no covariance."""
MIN_POOL_PER_VALIDATION = 5
"""A count of validation images is at most a fifth of the pool: the default suits MNIST, but few folders."""


def shuffled(count: int, seed: int) -> Order:
    """Return the numbers 0 … count-1 in an order that depends on `count` and `seed` alone."""
    return np.random.default_rng(seed).permutation(count)


def split_off_test(order: Order, fraction: float) -> tuple[Order, Order]:
    """Cut shuffled numbers into (the rest, test).

    Raise `UserError` where fewer than two images would be left to test on, or three to train and validate on.
    """
    setting = f"prepare.test: {fraction} of {len(order)} images"
    count = round(fraction * len(order))
    return _cut(order, count, setting, ("test", MIN_IMAGES), ("train and validate", MIN_IMAGES + 1))


def split_off_validation(pool: Order, validation: int | float) -> tuple[Order, Order]:
    """Cut the shuffled numbers of the images that are not for testing into (train, val).

    `validation` is a share of the pool, or a count, of which no more than a fifth of the pool is taken.
    Raise `UserError` where no image would be left to validate on, or fewer than two to train on.
    """
    total = len(pool)
    count = validation if isinstance(validation, int) else round(validation * total)
    if isinstance(validation, int) and count > (limit := max(1, total // MIN_POOL_PER_VALIDATION)):
        print(
            f"prepare.validation: {validation} is more than a fifth of the {total} images outside the test split: "
            f"using {limit}",
            flush=True,
        )
        count = limit
    setting = f"prepare.validation: {validation} of {total} images outside the test split"
    return _cut(pool, count, setting, ("validate", 1), ("train", MIN_IMAGES))


def take(
    images: NDArray[np.uint8], labels: NDArray[np.int64] | None, orders: Mapping[str, Order], scratch: Path
) -> dict[str, Split]:
    """Return splits of images (N, C, H, W) and labels (N,) by name, from the numbers that each holds, in that order.

    The images of each are a memory map of a file in `scratch`.
    """
    return {
        name: Split(gather(scratch / f"{name}.u8", images, order), None if labels is None else labels[order])
        for name, order in orders.items()
    }


def _cut(
    order: Order, count: int, setting: str, cut_off: tuple[str, int], rest: tuple[str, int]
) -> tuple[Order, Order]:
    """Return all but the first `count` numbers, and those; raise `UserError` where either are too few.

    `cut_off` and `rest` say what the two are for, and how many each needs.
    """
    total = len(order)
    for left, (purpose, minimum) in ((count, cut_off), (total - count, rest)):
        if left < minimum:
            fix = "Add images"
            if total >= cut_off[1] + rest[1]:
                fix = f"Set a share such as {max(0.2, ceil(100 * cut_off[1] / total) / 100)}, or add images"
            raise UserError(f"{setting} leaves {left} to {purpose} on; {minimum} or more are needed. {fix}.")
    return order[count:], order[:count]
