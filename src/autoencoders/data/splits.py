"""Which image is in which split: a seeded shuffle, cut twice; copies of an image stay on one side of a cut.

Where the user has given images the roles of validation or testing, no cut is made for these.
"""

from collections.abc import Mapping, Sequence
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


def split_images(
    roles: Sequence[str], groups: Order, seed: int, validation: int | float, test: float
) -> tuple[dict[str, Order], dict[str, Order]]:
    """Return which images are in which split, and which would be if copies were shuffled like all others.

    `roles` are train, val, test or empty, of each image; `groups` say which are copies of one another
    (`Copies.groups`). Where no image has the role val or test, that split is cut off the images for training.
    Raise `UserError` where a split would have too few.
    """
    order, role = shuffled(len(roles), seed), np.array(roles)[shuffled(len(roles), seed)]
    splits = {name: order[role == name] for name in ("val", "test") if name in roles}
    pool = own = order[(role == "") | (role == "train")]
    least = {"train": MIN_IMAGES, "val": 1, "test": MIN_IMAGES}
    least["train"] += sum(least[name] for name in ("val", "test") if name not in splits)
    for name, images in {"train": pool, **splits}.items():
        if len(images) < least[name]:
            where = f"the images in {name}/" if any(roles) else "its images"
            raise UserError(
                f"data.folder: {len(images)} of {where} can be read; {least[name]} or more are needed. Add images."
            )
    by_chance = dict(splits)
    if "test" not in splits:
        pool, splits["test"] = split_off_test(pool, test, groups)
        by_chance["test"], own = np.split(own, [len(splits["test"])])
    if "val" not in splits:
        pool, splits["val"] = split_off_validation(pool, validation, groups)
        by_chance["val"], own = np.split(own, [len(splits["val"])])
    return splits | {"train": pool}, by_chance | {"train": own}


def split_off_test(order: Order, fraction: float, groups: Order | None = None) -> tuple[Order, Order]:
    """Cut shuffled numbers into (the rest, test); copies, of which `groups` knows, stay on one side.

    Raise `UserError` where fewer than two images would be left to test on, or three to train and validate on.
    """
    setting = f"prepare.test: {fraction} of {len(order)} images"
    count = round(fraction * len(order))
    return _cut(order, count, setting, ("test", MIN_IMAGES), ("train and validate", MIN_IMAGES + 1), groups)


def split_off_validation(pool: Order, validation: int | float, groups: Order | None = None) -> tuple[Order, Order]:
    """Cut the shuffled numbers of the images that are not for testing into (train, val), copies on one side.

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
    return _cut(pool, count, setting, ("validate", 1), ("train", MIN_IMAGES), groups)


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
    order: Order, count: int, setting: str, cut_off: tuple[str, int], rest: tuple[str, int], groups: Order | None
) -> tuple[Order, Order]:
    """Return all but the first `count` numbers, and those; raise `UserError` where either are too few.

    `cut_off` and `rest` say what the two are for, and how many each needs. With copies, fewer may be cut off.
    """
    total = different = len(order)
    taken = np.arange(total) < count
    if groups is not None and (different := len(np.unique(groups[order]))) < total:
        order = _with_copies(order, groups)
        taken = _whole_groups(groups[order], count, cut_off[1])
    for left, (purpose, minimum) in ((int(taken.sum()), cut_off), (int((~taken).sum()), rest)):
        if left < minimum:
            fix = "Add images"
            if different < total:
                fix = f"Copies stay on one side, and only {different} of the images are different ones. Add others"
            elif total >= cut_off[1] + rest[1]:
                fix = f"Set a share such as {max(0.2, ceil(100 * cut_off[1] / total) / 100)}, or add images"
            raise UserError(f"{setting} leaves {left} to {purpose} on; {minimum} or more are needed. {fix}.")
    return order[~taken], order[taken]


def _with_copies(order: Order, groups: Order) -> Order:
    """Return shuffled numbers with all copies of an image where the one of the smallest number is."""
    _, group = np.unique(groups[order], return_inverse=True)
    by_group = np.lexsort((order, group))  # each group's smallest number first
    _, first = np.unique(group[by_group], return_index=True)
    return order[np.argsort(by_group[first][group], kind="stable")]


def _whole_groups(groups: Order, count: int, minimum: int) -> NDArray[np.bool_]:
    """Choose whole groups from the front: at most `count` images, and the same share of all groups, or `minimum`.

    By images alone, the largest groups would leave too few different images to the other side.
    """
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    sizes = np.diff(starts, append=len(groups))
    few = max(minimum, round(count / len(groups) * len(sizes)))
    taken = np.zeros(len(groups), bool)
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        if few and size <= count:
            taken[start : start + size] = True
            few, count = few - 1, count - size
    return taken
