import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stages"))

import quality
import quality_protocols
from quality_protocols import (
    NETWORKS,
    fit_like_keras,
    fit_to_the_end,
    initialise_glorot,
    keras_rmsprop,
    measure,
    train,
)
from quality_reference import FIGURES, PROTOCOLS, Figure, Run
from tiny_sets import images as random_images
from tiny_sets import tiny_mnist

from autoencoders import params
from autoencoders.data.batches import Batches
from autoencoders.errors import UserError
from autoencoders.models import PCA, VAE, Autoencoder
from autoencoders.params import Train
from autoencoders.training.loop import fit

CPU = torch.device("cpu")
SHAPE = (1, 6, 6)
IMAGES = np.random.default_rng(0).integers(0, 256, (70, *SHAPE), dtype=np.uint8)

# Copied from the project's reference, protocol P1: MNIST PCA, AE, VAE, Fashion-MNIST PCA, AE, VAE.
P1 = """
| 2 | .055669 | .03983 | .03966 | .046096 | .02675 | .02738 |
| 8 | .037441 | – | – | .026607 | – | – |
| 16 | .026860 | .00859 | .00956 | .020446 | .01001 | .01227 |
| 20 | .023538 | .00697 | .00822 | .018705 | .00929 | .01253 |
| 32 | .016828 | .00444 | .00760 | .015142 | .00782 | .01223 |
"""


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def figure(protocol: str, dataset: str, model: str, metric: str) -> Figure:
    found = [one for one in FIGURES if one.run == (protocol, dataset, model) and one.metric == metric]
    assert len(found) == 1
    return found[0]


# The numbers to reach


def test_the_reference_is_the_table_that_was_measured() -> None:
    table = [[cell.strip() for cell in row.strip("|").split("|")] for row in P1.strip().splitlines()]
    for k, *cells in table:
        for dataset, (pca, ae, vae) in (("mnist", cells[:3]), ("fashion-mnist", cells[3:])):
            one = figure("pca", dataset, f"pca-{k}", "mse")
            assert one.references == (float(pca),)
            assert (one.target, one.tolerance) == (float(pca), 1e-6)
            if k == "16":
                assert figure("p1", dataset, "ae-16", "mse").references == (float(ae),)
                assert figure("p1", dataset, "vae-16", "mse").references == (float(vae),)
    assert sum(one.run.protocol == "pca" for one in FIGURES) == 2 * len(table)


def test_the_networks_targets() -> None:
    targets = {(*one.run, one.metric): one.target for one in FIGURES if one.run.protocol != "pca" and one.target}
    assert targets == {
        ("p1", "mnist", "ae-16", "mse"): 0.0090,
        ("p1", "fashion-mnist", "ae-16", "mse"): 0.0105,
        ("p1", "mnist", "vae-16", "mse"): 0.0100,
        ("p1", "fashion-mnist", "vae-16", "mse"): 0.0127,
        ("keras", "mnist", "vae-2", "neg_elbo"): 154,
        ("keras", "fashion-mnist", "vae-2", "neg_elbo"): 266,
        ("pytorch", "mnist", "vae-20", "neg_elbo"): 106,
        ("pytorch", "fashion-mnist", "vae-20", "neg_elbo"): 245,
    }
    for one in FIGURES:
        assert one.target is None or one.tolerance or max(one.references) <= one.target  # others reached them


def test_a_figure_is_listed_once_and_every_protocol_has_some() -> None:
    assert len({(*one.run, one.metric) for one in FIGURES}) == len(FIGURES)
    assert tuple(dict.fromkeys(one.run.protocol for one in FIGURES)) == PROTOCOLS


@pytest.mark.parametrize(
    ("key", "measured", "met"),
    [
        (("pca", "mnist", "pca-2", "mse"), 0.0556699, True),
        (("pca", "mnist", "pca-2", "mse"), 0.0556702, False),
        (("pca", "mnist", "pca-2", "mse"), 0.0556678, False),
        (("p1", "mnist", "ae-16", "mse"), 0.0090, True),
        (("p1", "mnist", "ae-16", "mse"), 0.0090001, False),
        (("keras", "mnist", "vae-2", "neg_elbo"), 154.0001, False),
        (("keras", "mnist", "vae-2", "neg_elbo"), math.nan, False),
        (("keras", "mnist", "vae-2", "kl"), 5.0, None),
    ],
)
def test_targets_are_held_to_the_unrounded_value(key: tuple, measured: float, met: bool | None) -> None:
    assert figure(*key).met(measured) is met


def test_references_of_several_seeds_are_shown_as_their_range() -> None:
    assert figure("keras", "mnist", "vae-2", "neg_elbo").reference == "151.3–153.3"
    assert figure("keras", "fashion-mnist", "vae-2", "neg_elbo").reference == "263.2–264.6"
    assert figure("p1", "mnist", "ae-16", "mse").reference == "0.00859"
    assert figure("pca", "mnist", "pca-16", "mse").reference == "0.026860"


# The protocols


def test_the_protocols_are_those_described() -> None:
    described = {name: (how.hidden, how.batch_size, how.epochs, how.like_keras) for name, how in NETWORKS.items()}
    assert described == {
        "p1": (400, 128, 50, False),
        "keras": (256, 100, 50, True),
        "pytorch": (400, 128, 10, False),
    }


@pytest.mark.parametrize(("protocol", "model", "hidden", "head"), [("p1", "ae-3", 400, 3), ("keras", "vae-2", 256, 4)])
def test_networks_are_as_wide_as_the_protocol_says(protocol: str, model: str, hidden: int, head: int) -> None:
    network, seconds = train(protocol, model, IMAGES, CPU, epochs=1)
    layers = [(one.in_features, one.out_features) for one in network.modules() if isinstance(one, nn.Linear)]
    assert layers == [(36, hidden), (hidden, head), (network.latent, hidden), (hidden, 36)]
    assert seconds > 0


@pytest.mark.parametrize("protocol", ["p1", "keras"])
def test_a_training_depends_on_its_seed_alone(protocol: str) -> None:
    first, _ = train(protocol, "vae-2", IMAGES, CPU, epochs=2)
    torch.manual_seed(17)
    second, _ = train(protocol, "vae-2", IMAGES, CPU, epochs=2)
    assert torch.equal(flat(first), flat(second))


def test_all_training_images_are_stepped_through_in_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = VAE.loss

    def loss(self: VAE, x: torch.Tensor, noise: torch.Tensor, *weights: Any) -> dict[str, torch.Tensor]:
        seen.append(len(x) if torch.is_grad_enabled() else 0)
        return original(self, x, noise, *weights)

    monkeypatch.setattr(VAE, "loss", loss)
    for protocol in ("pytorch", "keras"):
        monkeypatch.setitem(NETWORKS, protocol, quality_protocols.Protocol(8, 32, 3, protocol == "keras"))
        seen.clear()
        train(protocol, "vae-2", IMAGES, CPU)
        assert [count for count in seen if count] == [32, 32, 6] * 3


def test_the_last_weights_are_kept_whatever_the_validation_says() -> None:
    dark, bright = np.full((8, *SHAPE), 20, np.uint8), np.full((8, *SHAPE), 235, np.uint8)

    def trained(validation: np.ndarray, keep_last: bool) -> tuple[torch.Tensor, int]:
        model = Autoencoder(params.Autoencoder(latent=2, hidden=[8]), SHAPE, torch.Generator().manual_seed(0))
        settings = Train(epochs=4, batch_size=16, learning_rate=0.01)
        fitting = fit_to_the_end if keep_last else fit
        images = np.full((40, *SHAPE), 20, np.uint8)
        progress = fitting(model, Batches(images, 16, CPU), Batches(validation, 16, CPU), settings)
        assert not model.training
        return flat(model), progress.best_epoch

    # The darker it draws, the worse on bright images: the loop's own choice there is the first epoch.
    best, best_epoch = trained(bright, keep_last=False)
    last, last_epoch = trained(dark, keep_last=False)
    assert (best_epoch, last_epoch) == (1, 4)
    assert not torch.equal(best, last)
    assert torch.equal(trained(bright, keep_last=True)[0], last)
    assert torch.equal(trained(dark, keep_last=True)[0], last)


def test_glorot_bounds_count_mu_and_logvar_as_two_layers() -> None:
    model = VAE(params.Vae(latent=2, hidden=[256]), (1, 28, 28))
    initialise_glorot(model, torch.Generator().manual_seed(0))
    layers = [one for one in model.modules() if isinstance(one, nn.Linear)]
    for layer, fan in zip(layers, (784 + 256, 256 + 2, 2 + 256, 256 + 784), strict=True):
        bound = math.sqrt(6 / fan)
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert torch.count_nonzero(layer.bias) == 0


def test_an_autoencoders_head_is_one_layer_to_glorot() -> None:
    model = Autoencoder(params.Autoencoder(latent=64, hidden=[32]), (1, 28, 28))
    initialise_glorot(model, torch.Generator().manual_seed(0))
    head = [one for one in model.encoder if isinstance(one, nn.Linear)][-1]
    assert head.weight.abs().max().item() == pytest.approx(math.sqrt(6 / (32 + 64)), rel=0.02)


def test_rmsprop_follows_keras_rule() -> None:
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


def test_the_first_keras_step_moves_every_weight_equally_far() -> None:
    model = VAE(params.Vae(latent=2, hidden=[8]), SHAPE, torch.Generator().manual_seed(0))
    before = flat(model)
    fit_like_keras(model, Batches(IMAGES, 70, CPU), epochs=1)
    moved = (flat(model) - before).abs()
    # g / √(.1 g²) = √10, where a ReLU does not shut the gradient off.
    assert moved[moved > 0].median().item() == pytest.approx(0.001 * math.sqrt(10), rel=1e-3)
    assert moved.max().item() <= 0.001 * math.sqrt(10) * 1.001
    assert (moved > 0).float().mean() > 0.8


# Measuring


def test_measures_of_an_untrained_pca_and_of_an_empty_vae_are_closed_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_protocols, "MEASURED_AT_ONCE", 32)  # batches of 32, 32 and 6
    pixels = IMAGES / 255
    assert measure(PCA(params.Pca(latent=2), SHAPE), IMAGES, CPU) == {"mse": pytest.approx((pixels**2).mean())}
    model = VAE(params.Vae(latent=2, hidden=[8]), SHAPE)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    measured = measure(model, IMAGES, CPU)
    assert measured["mse"] == pytest.approx(((pixels - 0.5) ** 2).mean())
    assert measured["neg_elbo"] == pytest.approx(36 * math.log(2), rel=1e-6)
    assert measured["kl"] == 0


def test_pca_is_fitted_on_the_images_that_it_gets() -> None:
    model, _ = train("pca", "pca-3", IMAGES, CPU)
    flat_images = IMAGES.reshape(70, -1) / 255
    values = np.linalg.eigvalsh(np.cov(flat_images.T, bias=True))
    assert measure(model, IMAGES, CPU)["mse"] == pytest.approx(values[:-3].sum() / 36, rel=1e-5)


def test_images_are_all_there_are_once_each_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_mnist(monkeypatch, tmp_path / "mirror")
    loaded = quality.load_images("mnist", tmp_path / "cache", str(tmp_path / "mirror"))
    originals = random_images(60, (28, 28), seed=1)
    assert sorted(one.tobytes() for one in loaded.train) == sorted(one.tobytes() for one in originals)
    np.testing.assert_array_equal(loaded.test[:, 0], random_images(20, (28, 28), seed=2))
    again = quality.load_images("mnist", tmp_path / "cache", "/no/such/mirror")
    np.testing.assert_array_equal(again.train, loaded.train)


# The CSV file and the command

KERAS = [one for one in FIGURES if one.run.protocol == "keras"]
MNIST_RUN, FASHION_RUN = Run("keras", "mnist", "vae-2"), Run("keras", "fashion-mnist", "vae-2")
VALUES = {"neg_elbo": 150.0, "kl": 6.0, "mse": 0.04}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Trainings that cost nothing: what they are asked for is listed."""
    asked: list[Run] = []

    def train_and_measure(run: Run, images: object, epochs: int | None) -> tuple[dict[str, float], float]:
        asked.append(run)
        return VALUES, 12.34

    monkeypatch.setattr(quality, "_train_and_measure", train_and_measure)
    return asked


def run(path: Path, figures: list[Figure] = KERAS, again: bool = False) -> int:
    return quality.benchmark(figures, quality.Results(path), lambda name: None, again)


def test_rows_hold_what_was_measured_and_what_it_is_held_to(tmp_path: Path, trained: list[Run]) -> None:
    assert run(tmp_path / "q.csv") == 0
    lines = (tmp_path / "q.csv").read_text().splitlines()
    assert lines[0] == "protocol,dataset,model,metric,measured,reference,target,met,seconds"
    assert lines[1:3] == [
        "keras,mnist,vae-2,neg_elbo,150,151.3–153.3,≤ 154,yes,12.3",
        "keras,mnist,vae-2,kl,6,6.0,,,12.3",
    ]
    assert len(lines) == 1 + 6


def test_a_second_run_measures_nothing_and_another_only_what_it_is_told(tmp_path: Path, trained: list[Run]) -> None:
    run(tmp_path / "q.csv")
    before = (tmp_path / "q.csv").read_text()
    run(tmp_path / "q.csv")
    assert trained == [MNIST_RUN, FASHION_RUN]
    run(tmp_path / "q.csv", [one for one in KERAS if one.run == FASHION_RUN], again=True)
    assert trained == [MNIST_RUN, FASHION_RUN, FASHION_RUN]
    assert (tmp_path / "q.csv").read_text() == before


def test_an_interruption_loses_nothing_that_was_measured(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = quality._train_and_measure

    def interrupted(run: Run, images: object, epochs: int | None) -> tuple[dict[str, float], float]:
        if run == FASHION_RUN:
            raise KeyboardInterrupt
        return measured(run, images, epochs)

    monkeypatch.setattr(quality, "_train_and_measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "q.csv")
    assert len((tmp_path / "q.csv").read_text().splitlines()) == 1 + 3
    monkeypatch.setattr(quality, "_train_and_measure", measured)
    run(tmp_path / "q.csv")
    assert trained == [MNIST_RUN, FASHION_RUN]
    assert list(tmp_path.iterdir()) == [tmp_path / "q.csv"]


def test_a_run_with_a_row_missing_is_done_again_and_leaves_no_row_twice(tmp_path: Path, trained: list[Run]) -> None:
    run(tmp_path / "q.csv")
    whole = (tmp_path / "q.csv").read_text()
    (tmp_path / "q.csv").write_text("".join(whole.splitlines(keepends=True)[:-1]))
    run(tmp_path / "q.csv")
    assert trained == [MNIST_RUN, FASHION_RUN, FASHION_RUN]
    assert (tmp_path / "q.csv").read_text() == whole


def test_rows_that_another_process_wrote_meanwhile_stay(tmp_path: Path) -> None:
    one, other = quality.Results(tmp_path / "q.csv"), quality.Results(tmp_path / "q.csv")
    one.add(KERAS[:3], VALUES, 1.0)
    other.add(KERAS[3:], VALUES, 2.0)
    kept = quality.Results(tmp_path / "q.csv")
    assert [kept[figure].seconds for figure in KERAS] == [1.0] * 3 + [2.0] * 3


def test_a_missed_target_is_counted_and_shown(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(VALUES, "neg_elbo", 154.004)
    assert run(tmp_path / "q.csv") == 1
    printed = capsys.readouterr().out
    assert "| neg_elbo | 154.00    | 151.3–153.3   | ≤ 154    | no  |" in printed
    assert "1 of 2 targets met" in printed


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "protocol,dataset,model,metric,measured,seconds\np,d,m,x,many,1\n"])
def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "q.csv").write_text(text)
    with pytest.raises(UserError, match=r"q\.csv, line 2, is no row of this benchmark"):
        quality.Results(tmp_path / "q.csv")
    assert quality.main(["--out", str(tmp_path / "q.csv")]) == 2
    assert (tmp_path / "q.csv").read_text() == text


def test_protocols_and_sets_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert {one.run for one in quality.chosen(["p1"], ["mnist"])} == {
        Run("p1", "mnist", "ae-16"),
        Run("p1", "mnist", "vae-16"),
    }
    for arguments, message in (
        (["--only", "p1,kera"], "Did you mean 'keras'?"),
        (["--threads", "0"], "must be 1 or more"),
        (["--epochs", "1"], "--epochs is no protocol's"),
    ):
        with pytest.raises(SystemExit, match="2"):
            quality.main(arguments)
        assert message in capsys.readouterr().err


def test_threads_are_set_before_torch_is_imported_and_help_needs_neither(tmp_path: Path) -> None:
    script = f"""
import os, sys
import quality
def benchmark(*options):
    print(os.environ["OMP_NUM_THREADS"], {{"torch", "numpy"}} & set(sys.modules))
    return 0
quality.benchmark = benchmark
quality.main(["--threads", "1", "--out", {str(tmp_path / "q.csv")!r}])
quality.main(["--help"])
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(quality.__file__).parent), "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.stdout.splitlines()[0]) == ("", "1 set()")
    assert "--epochs" not in done.stdout
