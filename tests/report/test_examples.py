from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from autoencoders.data.prepared import DatasetInfo, Split
from autoencoders.report import examples as module
from autoencoders.report import explore
from autoencoders.report.examples import draw_strips, examples, reconstruction_strips

LABELS = np.arange(30) % 2
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 1, 4, 4), dtype=np.uint8)


class Dimmed:
    """A model that stores all pixels, and draws them at half of their brightness."""

    latent = 16

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z.view(-1, 1, 4, 4) / 2


@pytest.fixture
def drawn(monkeypatch) -> list[np.ndarray]:
    """What is put into tiles, instead of pictures."""
    found: list[np.ndarray] = []
    monkeypatch.setattr(module, "tiles", lambda images, direction="row": found.append(np.asarray(images)))
    return found


def test_the_worst_and_the_best_are_those_of_the_errors(drawn):
    errors = np.random.default_rng(1).permutation(30).astype(np.float32) / 100
    found = examples({"m": Dimmed()}, {"m": errors}, Split(IMAGES, LABELS), ["even", "odd"])  # type: ignore[dict-item]
    [model] = found.models
    assert [example.index for example in model.worst] == np.argsort(-errors)[:10].tolist()
    assert [example.index for example in model.best] == np.argsort(errors)[:10].tolist()
    assert [example.label for example in model.worst] == [["even", "odd"][example.index % 2] for example in model.worst]
    assert [example.mse for example in model.worst[:2]] == ["290", "280"]
    original, redrawn, error = drawn[0]
    image = IMAGES[model.worst[0].index] / 255
    assert original == pytest.approx(np.broadcast_to(image, (3, 4, 4)), abs=1e-6)
    assert redrawn == pytest.approx(np.broadcast_to(image / 2, (3, 4, 4)), abs=1e-6)
    shown = IMAGES[[example.index for example in [*model.worst, *model.best]]]
    assert found.largest == pytest.approx(shown.max() / 255 / 2)
    assert np.array_equal(np.argsort(error.sum(0).ravel()), np.argsort((image / 2).ravel()))  # brighter: more error
    assert (found.colours[0], len(found.colours)) == ("#000004", 9)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (7, 3), (20, 10), (30, 10)])
def test_few_images_have_few_examples(drawn, count, expected):
    split = Split(IMAGES[:count], None)
    errors = np.linspace(0, 1, count, dtype=np.float32)
    [model] = examples({"m": Dimmed()}, {"m": errors}, split, None).models  # type: ignore[dict-item]
    assert len(model.worst) == len(model.best) == expected
    assert model.worst[0].label == ""


def test_strips_have_the_originals_first_and_the_figures_draws(drawn):
    strips = reconstruction_strips({"m": Dimmed()}, IMAGES)  # type: ignore[dict-item]
    assert [strip.name for strip in strips] == ["original", "m"]
    assert drawn[0] == pytest.approx(IMAGES[:10] / 255)
    assert drawn[1] == pytest.approx(IMAGES[:10] / 255 / 2)
    [draw] = draw_strips({"m": Dimmed()}, 3)  # type: ignore[dict-item]
    assert draw.alt == "10 draws of m from N(0, I)"
    z = torch.randn(64, 16, generator=torch.Generator().manual_seed(3))[:10]
    assert drawn[2] == pytest.approx((z / 2).clamp(0, 1).view(10, 1, 4, 4).numpy())


@pytest.mark.parametrize(
    ("room", "planes", "sliders", "without_plane", "without_sliders"),
    [
        (1000, ["a", "flat"], "large", [], []),
        (150, ["a", "flat"], "small", [], []),
        (149, ["a", "flat"], None, [], ["small", "large"]),
        (80, ["a"], "small", ["flat"], []),
    ],
)
def test_planes_come_first_and_then_the_largest_vae_that_fits(
    monkeypatch, room, planes, sliders, without_plane, without_sliders
):
    """All of them share a part of 20 numbers."""
    sizes = {"a": 10, "flat": 80, "small": 40, "large": 400, "pca": 5}
    latents = {"a": 2, "flat": 2, "small": 8, "large": 8, "pca": 16}
    kinds = {"a": "autoencoder", "flat": "vae", "small": "vae", "large": "vae", "pca": "pca"}
    monkeypatch.setattr(explore, "MAX_WEIGHTS", room)
    monkeypatch.setattr(explore, "weights_by_part", lambda model: {model.name: sizes[model.name], "shared": 20})
    monkeypatch.setattr(explore, "plane", lambda name, *rest: name)
    monkeypatch.setattr(explore, "sliders", lambda name, *rest: name)
    monkeypatch.setattr(explore, "dots", lambda *rest: "dots")
    info = DatasetInfo("tiny", (1, 4, 4), {"train": 1, "val": 1, "test": 30}, None, "0" * 64)
    data: Any = SimpleNamespace(info=info, split=lambda name: Split(IMAGES, None))
    models: Any = {name: SimpleNamespace(name=name, latent=latent) for name, latent in latents.items()}
    params: Any = SimpleNamespace(models={name: SimpleNamespace(kind=kind) for name, kind in kinds.items()})
    found = explore.explorable(params, models, dict.fromkeys(models), data, np.arange(3))  # type: ignore[arg-type]
    assert (found.planes, found.sliders) == (planes, sliders)
    assert (found.without_plane, found.without_sliders) == (without_plane, without_sliders)
