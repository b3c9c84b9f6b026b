import math
from pathlib import Path

import common
import numpy as np
import pytest
import quality
import torch
from common import (
    CPU,
    Images,
    fit_network,
    initialise,
    load_images,
    measure,
    model_entry,
    new_model,
    seeded,
    some_of,
    steps_of,
)
from quality import MODELS, SETS, TARGETS, Figure, figures_of
from quality_protocols import Protocol, fit_like_keras, fit_to_the_end, initialise_glorot, keras_rmsprop, train
from tiny_sets import images as random_images
from tiny_sets import tiny_mnist
from torch import nn

from autoencoders.data.batches import Batches
from autoencoders.errors import UserError
from autoencoders.params import Train

SHAPE = (1, 6, 6)
IMAGES = np.random.default_rng(0).integers(0, 256, (70, *SHAPE), dtype=np.uint8)
FIGURES = figures_of(MODELS, SETS)


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def figure(protocol: str, dataset: str, model: str, metric: str) -> Figure:
    [found] = [figure for figure in FIGURES if figure[:4] == (protocol, dataset, model, metric)]
    return found


# The numbers to reach


def test_references_were_measured_by_others_and_reach_the_targets():
    assert figure("pca", "mnist", "pca-2", "mse").references == (0.055669,)
    assert figure("pca", "fashion-mnist", "pca-32", "mse").references == (0.015142,)
    assert figure("p1", "mnist", "vae-16", "mse").references == (0.00956,)
    assert figure("keras", "mnist", "vae-2", "neg_elbo").references == (151.3, 153.3)
    assert figure("keras", "fashion-mnist", "vae-2", "neg_elbo").target == 266.0
    assert len({figure[:4] for figure in FIGURES}) == len(FIGURES) == 26
    targets = [figure for figure in FIGURES if figure.target is not None]
    assert len(targets) == 10 + 2 * len(TARGETS)
    assert all(max(figure.references) <= figure.target for figure in targets if figure.target)


@pytest.mark.parametrize(
    ("key", "measured", "met"),
    [
        (("pca", "mnist", "pca-2", "mse"), 0.0556699, True),
        (("pca", "mnist", "pca-2", "mse"), 0.0556702, False),
        (("pca", "mnist", "pca-2", "mse"), 0.0556678, False),
        (("p1", "mnist", "ae-16", "mse"), 0.0090, True),
        (("p1", "mnist", "ae-16", "mse"), 0.0090001, False),
        (("keras", "mnist", "vae-2", "neg_elbo"), math.nan, False),
        (("keras", "mnist", "vae-2", "kl"), 5.0, None),
    ],
)
def test_targets_are_held_to_the_unrounded_value(key, measured, met):
    assert figure(*key).met(measured) is met


# The protocols


@pytest.mark.parametrize(("protocol", "name", "hidden", "head"), [("p1", "ae-3", 400, 3), ("keras", "vae-2", 256, 4)])
def test_networks_are_as_wide_as_the_protocol_says_and_depend_on_the_seed_alone(protocol, name, hidden, head):
    model, seconds = train(protocol, name, IMAGES, CPU, epochs=2)
    layers = [(layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)]
    linear = [] if model.logits else [(36, head), (model.latent, 36)]
    assert sorted(layers) == sorted([(36, hidden), (hidden, head), (model.latent, hidden), (hidden, 36), *linear])
    assert seconds > 0
    torch.manual_seed(17)
    assert torch.equal(flat(train(protocol, name, IMAGES, CPU, epochs=2)[0]), flat(model))


def test_the_last_weights_are_kept_whatever_the_validation_says():
    """Validation is on the first training image: the darker the model draws, the worse it is there."""
    images = np.concatenate([np.full((1, *SHAPE), 235, np.uint8), np.full((40, *SHAPE), 20, np.uint8)])
    entry = model_entry(kind="autoencoder", latent=2, hidden=[8], loss="bce")
    chosen, kept = (new_model(entry, SHAPE, seeded(0)) for _ in range(2))
    settings = Train(steps=steps_of(4, images, 16), batch_size=16, learning_rate=1e-3, precision="fp32")
    seen: list[torch.Tensor] = []  # at step 0 and after each of 12
    assert fit_network(chosen, images, settings, on_validation=lambda _: seen.append(flat(chosen))).best_step == 0
    fit_to_the_end(kept, images, Protocol(hidden=8, batch_size=16, epochs=4), CPU)
    assert torch.equal(flat(chosen), seen[0])
    assert torch.equal(flat(kept), seen[12])
    assert not kept.training


@pytest.mark.parametrize(("kind", "latent", "head"), [("vae", 2, 2), ("autoencoder", 64, 64)])
def test_glorot_bounds_count_mu_and_logvar_as_two_layers(kind, latent, head):
    entry = model_entry(kind=kind, latent=latent, hidden=[256], **({"loss": "bce"} if kind == "autoencoder" else {}))
    model = new_model(entry, (1, 28, 28), seeded(0))
    initialise_glorot(model, seeded(0))
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    for layer, fan in zip(layers, (784 + 256, 256 + head, latent + 256, 256 + 784), strict=True):
        bound = math.sqrt(6 / fan)
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert torch.count_nonzero(layer.bias) == 0


def test_rmsprop_follows_keras_rule():
    layer = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(layer.weight, 1.0)
    optimizer = keras_rmsprop(layer)
    weight, average = 1.0, 0.0
    for gradient in (2.0, -0.5, 1e-8):
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        optimizer.step()
        average = 0.9 * average + 0.1 * gradient**2
        weight -= 0.001 * gradient / (math.sqrt(average) + 1e-7)
        assert layer.weight.item() == pytest.approx(weight, abs=1e-15)


def test_the_first_keras_step_moves_every_weight_equally_far():
    model = new_model(model_entry(kind="vae", latent=2, hidden=[8]), SHAPE, seeded(0))
    before = flat(model)
    fit_like_keras(model, Batches(IMAGES, 70, CPU), epochs=1)
    moved = (flat(model) - before).abs()
    # g / √(.1 g²) = √10, where a ReLU does not shut the gradient off.
    assert moved[moved > 0].median().item() == pytest.approx(0.001 * math.sqrt(10), rel=1e-3)
    assert moved.max().item() <= 0.001 * math.sqrt(10) * 1.001
    assert (moved > 0).float().mean() > 0.8


# Measuring


def test_measures_of_an_empty_vae_are_closed_forms(monkeypatch):
    monkeypatch.setattr(common, "EVAL_BATCH", 32)  # batches of 32, 32 and 6
    model = new_model(model_entry(kind="vae", latent=2, hidden=[8]), SHAPE, seeded(0))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    measured = measure(model, IMAGES)
    assert measured["mse"] == pytest.approx(((IMAGES / 255 - 0.5) ** 2).mean())
    assert measured["neg_elbo"] == pytest.approx(36 * math.log(2), rel=1e-6)
    assert measured["kl"] == 0
    initialise(model, IMAGES)
    assert measure(model, IMAGES)["mse"] == pytest.approx((IMAGES / 255).var(axis=0).mean(), rel=1e-4)


def test_pca_is_fitted_on_the_images_that_it_gets():
    model, _ = train("pca", "pca-3", IMAGES, CPU)
    values = np.linalg.eigvalsh(np.cov((IMAGES.reshape(70, -1) / 255).T, bias=True))
    assert measure(model, IMAGES) == {"mse": pytest.approx(values[:-3].sum() / 36, rel=1e-5)}


def test_images_are_all_there_are_once_each_and_kept(tmp_path, monkeypatch):
    tiny_mnist(monkeypatch, tmp_path / "mirror")
    loaded = load_images("mnist", tmp_path / "cache", str(tmp_path / "mirror"))
    originals = random_images(60, (28, 28), seed=1)
    assert sorted(image.tobytes() for image in loaded.train) == sorted(image.tobytes() for image in originals)
    np.testing.assert_array_equal(loaded.test[:, 0], random_images(20, (28, 28), seed=2))
    again = load_images("mnist", tmp_path / "cache", "/no/such/mirror")
    np.testing.assert_array_equal(again.train, loaded.train)


# The CSV file and the command


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Trainings that cost nothing: the data sets that they are asked for are listed."""
    asked: list[str] = []
    monkeypatch.setattr(quality, "train", lambda *_: (None, 12.34))
    monkeypatch.setattr(quality, "measure", lambda *_: {"neg_elbo": 154.004, "kl": 6.0, "mse": 0.04})
    return asked


def run(out: Path, asked: list[str], sets: tuple[str, ...] = SETS, again: bool = False) -> int:
    def images_of(dataset: str) -> Images:
        asked.append(dataset)
        return Images(IMAGES, IMAGES)

    return quality.benchmark(figures_of(["keras"], sets), out, images_of, again)


def test_a_missed_target_is_counted_kept_and_shown(tmp_path, trained, capsys):
    assert run(tmp_path / "q.csv", trained) == 1
    assert (tmp_path / "q.csv").read_text().splitlines()[:3] == [
        "protocol,dataset,model,metric,measured,reference,target,met,seconds",
        "keras,mnist,vae-2,neg_elbo,154.004,151.3–153.3,≤ 154,no,12.3",
        "keras,mnist,vae-2,kl,6,6.0,,,12.3",
    ]
    assert "1 of 2 targets met" in capsys.readouterr().out


def test_what_is_measured_is_kept_and_another_call_measures_what_is_missing(tmp_path, trained):
    out = tmp_path / "q.csv"
    run(out, trained, SETS[:1])
    run(out, trained)
    whole = out.read_text()
    assert trained == list(SETS)
    out.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    run(out, trained)
    run(out, trained, SETS[:1], again=True)
    assert trained == [*SETS, SETS[1], SETS[0]]
    assert out.read_text() == whole


def test_a_file_of_another_kind_and_unknown_names_are_refused(tmp_path):
    (tmp_path / "q.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"q\.csv is no table of this benchmark"):
        quality.read(tmp_path / "q.csv")
    assert some_of(None, ("p1", "keras")) == ["p1", "keras"]
    with pytest.raises(UserError, match="Did you mean 'keras'"):
        some_of("p1,kera", ("p1", "keras"))
