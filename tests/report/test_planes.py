import base64

import numpy as np
import pytest
import torch

from autoencoders import params
from autoencoders.data.prepared import DatasetInfo, Split
from autoencoders.models import Autoencoder
from autoencoders.report.planes import MAX_CODES, dots, legend, plane, thinned

CODES = np.random.default_rng(0).normal(0, 3, (40, 2)).astype(np.float32)
LABELS = np.arange(40) % 4


def network() -> Autoencoder:
    entry = params.Autoencoder(latent=2, arch="mlp", hidden=[5], loss="bce")
    return Autoencoder(entry, (1, 8, 8), torch.Generator().manual_seed(0))


def numbers(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_codes_and_labels_stay_together_and_are_few():
    made = plane("ae", "AE", network(), CODES, LABELS, None)
    where = [CODES.tolist().index(code) for code in numbers(made.codes).reshape(-1, 2).tolist()]
    assert sorted(where) == list(range(40))
    images = np.zeros((40, 1, 8, 8), np.uint8)
    info = DatasetInfo("tiny", (1, 8, 8), {"train": 60, "val": 20, "test": 40}, [*"abcd"], "0" * 64)
    shown = dots(Split(images, LABELS), info)
    assert shown.indices == where
    assert shown.labels == [LABELS[i] for i in where]
    assert shown.names == {0: "a", 1: "b", 2: "c", 3: "d"}
    assert dots(Split(images, None), info).labels == []


def test_dots_are_as_many_as_the_sprite_has_room_for():
    assert len(thinned(70_000, (1, 28, 28))) == len(set(thinned(70_000, (1, 28, 28)))) == MAX_CODES == 5000
    assert np.array_equal(thinned(70_000, (1, 28, 28)), thinned(70_000, (1, 28, 28)))
    assert len(thinned(70_000, (3, 128, 128))) == 4_200_000 // 32**2


def test_the_frame_is_square_and_holds_all_codes_and_the_prior():
    made = plane("ae", "AE", network(), np.array([[-40, 0], [10, 3]], np.float32), None, None)
    assert made.span == pytest.approx(53)
    assert made.corner == (pytest.approx(-41.5), pytest.approx(1.5 - 26.5 - 1.1))
    near = plane("ae", "AE", network(), np.zeros((3, 2), np.float32), None, None)
    assert near.corner[0] < -2.2 < 2.2 < near.corner[0] + near.span


def test_classes_are_tagged_at_their_medians_by_name_or_number():
    codes = np.repeat(np.array([[-2, -2], [2, 2], [0, 1]], np.float32), [10, 10, 9], axis=0)
    labels = np.repeat([0, 1, 2], [10, 10, 9])  # the last has too few to stand among
    short = plane("ae", "AE", network(), codes, labels, ["a", "b", "c"])
    assert [tag["text"] for tag in short.tags] == ["a", "b"]
    assert [(round(tag["x"]), round(tag["y"])) for tag in short.tags] == [(-2, -2), (2, 2)]
    assert [tag["text"] for tag in plane("ae", "AE", network(), codes, labels, ["trouser", "shirt", "coat"]).tags] == [
        "0",
        "1",
    ]


def test_classes_in_the_legend_differ_by_more_than_colour():
    assert legend(None, None) == []
    entries = legend(np.arange(12), [f"class {i}" for i in range(12)])
    assert entries[10]["colour"] == entries[0]["colour"]
    assert len({(entry["mark"], entry["colour"]) for entry in entries}) == 12
    assert entries[11]["text"] == "11 class 11"
    assert [entry["text"] for entry in legend(np.array([0, 2]), ["a", "b", "c"])] == ["a", "c"]
