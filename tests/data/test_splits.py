import io
import re
import sys

import numpy as np
import pytest

from autoencoders.data.duplicates import copies_of_earlier
from autoencoders.data.splits import shuffled, split_images, split_off_test, split_off_validation
from autoencoders.errors import UserError


def test_the_seed_alone_decides_the_order():
    np.testing.assert_array_equal(shuffled(1000, 3), shuffled(1000, 3))
    assert (shuffled(1000, 3) != shuffled(1000, 4)).sum() > 900
    assert sorted(shuffled(1000, 3)) == list(range(1000))


@pytest.mark.parametrize(("total", "count"), [(100, 20), (3, 1), (4, 1), (9, 1), (10, 2), (5899, 1179), (24999, 4999)])
def test_a_count_is_at_most_a_fifth_and_says_so(total, count, capsys):
    train, val = split_off_validation(shuffled(total, 0), 5000)
    assert (len(train), len(val)) == (total - count, count)
    assert capsys.readouterr().out == (
        f"prepare.validation: 5000 is more than a fifth of the {total} images outside the test split: using {count}\n"
    )


@pytest.mark.parametrize(("total", "count"), [(60_000, 5000), (25_000, 5000), (100, 20), (3, 1)])
def test_a_count_of_a_fifth_or_less_is_taken_whole_without_a_word(total, count, capsys):
    """As the default is of MNIST."""
    assert len(split_off_validation(shuffled(total, 0), count)[1]) == count
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("total", "validation", "message"),
    [
        (100, 0.001, "leaves 0 to validate on; 1 or more are needed. Set a share such as 0.2, or add images"),
        (100, 0.999, "leaves 0 to train on"),
        (100, 0.99, "leaves 1 to train on"),
        (7, 0.05, "leaves 0 to validate on; 1 or more are needed. Set a share such as 0.2, or add images"),
        (2, 5000, "leaves 1 to train on; 2 or more are needed. Add images"),
    ],
)
def test_a_validation_that_leaves_too_few_is_refused(total, validation, message):
    with pytest.raises(UserError, match=f"^prepare.validation: {validation} of {total} images outside .* {message}"):
        split_off_validation(shuffled(total, 0), validation)


@pytest.mark.parametrize("total", range(6, 40))
def test_what_the_messages_advise_will_do(total):
    share = max(0.2, np.ceil(200 / total) / 100)
    rest, test = split_off_test(shuffled(total, 0), share)
    train, val = split_off_validation(rest, max(0.2, np.ceil(200 / len(rest)) / 100))
    assert min(len(test), len(train), len(val)) >= 2


@pytest.mark.parametrize(
    ("total", "share", "message"),
    [
        (9, 0.15, "leaves 1 to test on; 2 or more are needed. Set a share such as 0.23, or add images"),
        (100, 0.001, "leaves 0 to test on; 2 or more are needed. Set a share such as 0.2, or add images"),
        (100, 0.98, "leaves 2 to train and validate on; 3 or more are needed. Set a share such as 0.2, or add images"),
        (1, 0.15, "leaves 0 to test on; 2 or more are needed. Add images"),
        (5, 0.1, "leaves 0 to test on; 2 or more are needed. Set a share such as 0.4, or add images"),
        (4, 0.4, "leaves 2 to train and validate on; 3 or more are needed. Add images"),
    ],
)
def test_a_test_split_that_leaves_too_few_is_refused(total, share, message):
    with pytest.raises(UserError, match=rf"^prepare\.test: {share} of {total} images {message}\.$"):
        split_off_test(shuffled(total, 0), share)


def test_a_smaller_validation_split_is_told_at_once(monkeypatch):
    """A pipe has a buffer."""
    shown: list[str] = []
    output = io.StringIO()
    monkeypatch.setattr(output, "flush", lambda: shown.append(output.getvalue()))
    monkeypatch.setattr(sys, "stdout", output)
    split_off_validation(shuffled(10, 0), 5)
    assert shown == [output.getvalue()]


@pytest.mark.parametrize("split_off", [split_off_test, split_off_validation])
@pytest.mark.parametrize("total", range(3, 30))
def test_the_share_that_an_error_advises_is_taken(split_off, total):
    order = np.arange(total)
    for share in (0.001, 0.999):
        with pytest.raises(UserError) as refused:
            split_off(order, share)
        advised = re.search(r"Set a share such as ([\d.]+)", str(refused.value))
        if total >= (5 if split_off is split_off_test else 3):
            assert advised is not None
            rest, cut_off = split_off(order, float(advised[1]))
            assert sorted([*rest, *cut_off]) == order.tolist()
        else:
            assert advised is None


def alone(total):
    return np.arange(total)


@pytest.mark.parametrize("total", [30, 451, 3000])
def test_without_copies_the_splits_are_those_of_one_shuffle(total):
    splits, by_chance = split_images([""] * total, alone(total), 3, 5000, 0.15)
    pool, test = split_off_test(shuffled(total, 3), 0.15)
    train, val = split_off_validation(pool, 5000)
    for name, expected in {"train": train, "val": val, "test": test}.items():
        np.testing.assert_array_equal(splits[name], expected)
        np.testing.assert_array_equal(by_chance[name], expected)


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_in_one_split_and_the_splits_as_large_as_without(seed):
    groups = alone(1000)
    groups[100:300] = np.repeat(np.arange(100, 300, 4), 4)
    splits, by_chance = split_images([""] * 1000, groups, seed, 0.1, 0.15)
    assert len(copies_of_earlier(groups, *(splits[name] for name in ("train", "val", "test")))) == 0
    assert len(copies_of_earlier(groups, *(by_chance[name] for name in ("train", "val", "test")))) > 30
    assert sorted(np.concatenate(list(splits.values()))) == list(range(1000))
    assert abs(len(splits["test"]) - 150) < 25
    assert abs(len(splits["val"]) - 85) < 25


@pytest.mark.parametrize("seed", range(5))
def test_a_large_group_stays_in_training_and_the_others_are_shared_out(seed):
    """Nine of ten images are one placeholder."""
    groups = np.array([0] * 180 + list(range(180, 200)))
    splits, _ = split_images([""] * 200, groups, seed, 0.2, 0.15)
    assert {name: len(split) for name, split in splits.items()} == {"test": 3, "val": 4, "train": 193}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [0] * 20,
            "prepare.test: 0.15 of 20 images leaves 0 to test on; .* only 1 of the images are different ones. Add",
        ),
        ([0] * 10 + [10] * 10, "leaves 0 to test on; .* only 2 of the images are different ones"),
        ([0] * 17 + [17, 18, 18], "leaves 0 to validate on; .* only 1 of the images are different ones"),
    ],
)
def test_fewer_different_images_than_splits_are_refused(groups, message):
    with pytest.raises(UserError, match=message):
        for seed in range(20):
            split_images([""] * len(groups), np.array(groups), seed, 0.1, 0.15)


def test_roles_are_kept_and_what_is_missing_comes_from_training():
    roles = ["train", "test", "train", "val", "train", "test", "train", "train", "train", "train"] * 3
    number = {name: {i for i, role in enumerate(roles) if role == name} for name in ("train", "val", "test")}
    splits, _ = split_images(roles, alone(30), 0, 0.2, 0.2)
    assert {name: set(split) for name, split in splits.items()} == number
    without = ["train" if role == "test" else role for role in roles]
    splits, _ = split_images(without, alone(30), 0, 0.2, 0.2)
    assert (set(splits["val"]), len(splits["test"]), len(splits["train"])) == (number["val"], 5, 22)
    without = ["train" if role == "val" else role for role in roles]
    splits, _ = split_images(without, alone(30), 0, 0.25, 0.2)
    assert (set(splits["test"]), len(splits["val"]), len(splits["train"])) == (number["test"], 6, 18)


def test_copies_across_roles_stay_where_they_are_and_those_of_training_together():
    roles = ["train"] * 40 + ["test"] * 10
    groups = alone(50)
    groups[[10, 11, 45]] = 10
    for seed in range(20):
        splits, _ = split_images(roles, groups, seed, 0.3, 0.2)
        assert set(splits["test"]) == set(range(40, 50))
        assert len({10, 11} & set(splits["val"])) in {0, 2}


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (["train"] * 9 + ["test"], "1 of the images in test/ can be read; 2 or more are needed"),
        (["test"] * 9 + ["train"], "1 of the images in train/ can be read; 3 or more are needed"),
        (["test"] * 8 + ["train"] * 2, "2 of the images in train/ can be read; 3 or more are needed"),
        (["val"] * 7 + ["train"] * 3, "3 of the images in train/ can be read; 4 or more are needed"),
        ([""] * 4, "4 of its images can be read; 5 or more are needed. Add images.$"),
    ],
)
def test_roles_of_too_few_images_are_refused(roles, message):
    with pytest.raises(UserError, match=f"^data.folder: {message}"):
        split_images(roles, alone(len(roles)), 0, 0.2, 0.2)
