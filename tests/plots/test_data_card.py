import numpy as np
import pytest

from autoencoders.data.card import CardNumbers, DataCard
from autoencoders.data.prepared import SPLITS, DatasetInfo
from autoencoders.plots.data_card import data_card


def card(classes, shape=(1, 28, 28), rows=None, remarks=None):
    count = len(classes) if classes else 0
    per_class = {split: dict(zip(classes, range(7, 7 + count), strict=True)) for split in SPLITS} if classes else None
    info = DatasetInfo("my $set", shape, {"train": 5_500_000, "val": 5000, "test": 10}, classes, "0123456789abcdef" * 4)
    numbers = CardNumbers(
        name=info.title, shape=shape, counts=info.counts, content_hash=info.content_hash, class_counts=per_class,
        pixel_mean=[0.5] * shape[0], pixel_std=[0.25] * shape[0], **(remarks or {}),
    )  # fmt: skip
    row = np.full((12, *shape), 128, np.uint8)
    samples = [row] * (rows or count or 10)
    return data_card(DataCard(info, numbers, np.full(shape, 0.5), [*samples[:-1], row[:0]]))


@pytest.mark.parametrize(
    ("classes", "shape"),
    [
        (list("0123456789"), (1, 28, 28)),
        ([f"${i}\\a long class name that goes on$" for i in range(40)], (3, 32, 32)),
        (None, (3, 48, 64)),
        (["a", "b"], (1, 9, 4)),
    ],
    ids=["digits", "names like formulas", "no labels", "few, tall"],
)
@pytest.mark.parametrize(
    ("remarks", "said"),
    [
        ({}, ""),
        ({"several_pictures": 24}, "of 24 files with several pictures the first is taken"),
        ({"fit": "pad", "padded": 3}, "images of another aspect ratio, with a border: 3"),
        ({"fit": "crop", "cropped": 3}, "images of another aspect ratio, cropped: 3"),
        ({"fit": "stretch", "stretched": 3}, "images of another aspect ratio, stretched: 3"),
    ],
    ids=["", "several pictures", "padded", "cropped", "stretched"],
)
def test_all_text_is_legible(drawn, classes, shape, remarks, said):
    texts = drawn(card(classes, shape, remarks=remarks))
    notes = ("of 24 files", "images of another aspect ratio")
    assert [text for text, _ in texts if text.startswith(notes)] == ([said] if said else [])
    for i, (first, a) in enumerate(texts):
        for second, b in texts[i + 1 :]:
            across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert across <= 1 or up <= 1, f"{first!r} and {second!r} overlap"


def test_the_numbers_are_on_it(drawn):
    texts = [text for text, _ in drawn(card(["cat", "dog"]))]
    for expected in (
        "my $set",
        "5,505,010 images, 28×28, grey",
        "5,500,000",
        "0.500",
        "0.250",
        "0123456789ab",
        " 21",
        " 24",
    ):
        assert expected in texts


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"exact_copies": 1200, "near_copies": 3, "copies_across_splits": 0, "copies_across_by_chance": 40},
         "copies: 1,200 exact, 3 near, 0 across splits (40 by chance)"),
        ({"near_copies": 77, "copies_across_splits": 21}, "copies: 0 exact, 77 near, 21 across splits"),
        ({"exact_copies": 0}, None),
    ],
)  # fmt: skip
def test_copies_are_on_it(drawn, numbers, said):
    texts = [text for text, _ in drawn(card(["cat", "dog"], remarks=numbers))]
    assert [text for text in texts if "copies" in text] == ([said] if said else [])


def test_classes_beyond_the_rows_are_mentioned(drawn):
    texts = [text for text, _ in drawn(card([f"c{i}" for i in range(30)], rows=20))]
    assert "the first 20 of 30 classes" in texts
    assert "c19" in texts
    assert "c20" not in texts


def test_bars_line_up_with_their_samples():
    figure = card(["a", "b", "c"])
    samples, bars = (
        next(ax for ax in figure.axes if ax.get_title(loc="left") == title)
        for title in ("training images", "images per class")
    )
    assert samples.get_ylim() == bars.get_ylim() == (2.5, -0.5)
    np.testing.assert_allclose(samples.get_position().intervaly, bars.get_position().intervaly)
    widths = [patch.get_width() for patch in bars.patches]
    assert widths == [7, 8, 9] * 3
