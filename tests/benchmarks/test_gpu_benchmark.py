import csv
import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import gpu
from gpu_step import Training, one_cycle

CPU = torch.device("cpu")
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28), dtype=np.uint8))


def flat(training: Training) -> torch.Tensor:
    return torch.cat([value.detach().flatten().clone() for value in training.model.parameters()])


def test_it_imports_torch_and_numpy_and_nothing_else_that_must_be_installed() -> None:
    others = {"pydantic", "yaml", "mlflow", "pandas"}
    code = f"import sys, gpu; print({{name.partition('.')[0] for name in sys.modules}} & {others})"
    path = f"{Path(gpu.__file__).parent}:{Path(gpu.__file__).parents[1] / 'src'}"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_a_step_takes_the_next_images_of_the_order_and_begins_again_at_its_end() -> None:
    training = Training(gpu.NETWORKS["mlp"](), IMAGES, 8, torch.full((1,), 1e-3))
    seen: list[torch.Tensor] = []

    def loss(x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return sum(value.sum() for value in training.model.parameters())  # type: ignore[return-value]

    training._loss = loss
    for _ in range(3):
        training.step()
    expected = IMAGES[torch.cat([training.order, training.order])[:24]]
    assert torch.equal(torch.cat(seen), expected)


def test_the_learning_rate_is_the_one_of_the_step() -> None:
    training = Training(gpu.NETWORKS["mlp"](), IMAGES, 8, torch.tensor([0.0, 0.5]))
    start = flat(training)
    training.step()
    assert torch.equal(flat(training), start)
    training.step()
    assert (flat(training) - start).abs().max() == pytest.approx(0.5, rel=0.5)


def test_a_training_that_starts_again_goes_the_same_way() -> None:
    model = gpu.NETWORKS["mlp"]()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    training = Training(model, IMAGES, 8, one_cycle(3, 1e-2))

    def three_steps() -> torch.Tensor:
        torch.manual_seed(0)
        for _ in range(3):
            training.step()
        return flat(training)

    first = three_steps()
    assert not torch.equal(three_steps(), first)
    training.restart(weights)
    assert torch.equal(three_steps(), first)


def test_the_rate_rises_for_a_tenth_and_falls_to_zero() -> None:
    rates = one_cycle(100, 0.01)
    assert len(rates) == 100
    assert rates[:10].tolist() == pytest.approx([0.001 * step for step in range(1, 11)])
    assert rates[10] == pytest.approx(0.01)
    assert rates[55] == pytest.approx(0.005)
    assert 0 < rates[-1] < 1e-5


def test_the_cost_of_a_step_is_counted_as_said() -> None:
    flop, size = gpu.cost(gpu.NETWORKS["mlp"](), 10)
    layers = [(784, 400), (400, 40), (20, 400), (400, 784)]
    macs = sum(a * b for a, b in layers)
    assert flop == 2 * 10 * (3 * macs - 784 * 400)  # no gradient of the images
    passes = [2, 3, 3, 3]
    elements = sum(times * (10 * (a + b) + a * b) for times, (a, b) in zip(passes, layers, strict=True))
    weights = macs + 400 + 40 + 400 + 784
    assert size == 2 * elements + 10 * 784 * 9 + 28 * weights


def test_the_bound_is_the_slower_of_products_and_memory() -> None:
    model = gpu.NETWORKS["mlp"]()
    flop, size = gpu.cost(model, 10)
    assert gpu.bound(model, 10, "NVIDIA H200") == pytest.approx(10 / (size / 4.3e12))
    assert size / 4.3e12 > flop / 790e12
    assert gpu.bound(model, 10, "cpu") is None


def test_training_to_a_quality_lowers_the_elbo() -> None:
    bars = torch.zeros(64, 1, 28, 28, dtype=torch.uint8)
    bars[:, :, :, :14] = 255
    noisy = bars ^ (torch.rand(bars.shape, generator=torch.Generator().manual_seed(0)) < 0.1)
    _, few, _ = gpu.time_to_quality(noisy, noisy, "eager", 16, 1, 1e-2)
    _, many, _ = gpu.time_to_quality(noisy, noisy, "eager", 16, 10, 1e-2)
    assert many < 0.5 * few


def test_the_command_prints_and_keeps_every_mode_that_a_cpu_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train", "t10k"):
        with gzip.open(raw / f"{name}-images-idx3-ubyte.gz", "wb") as file:
            file.write(bytes(16) + IMAGES.numpy().tobytes())
    assert torch.equal(torch.from_numpy(gpu.mnist(tmp_path, "train")), IMAGES)
    options = ["--device", "cpu", "--mnist", str(tmp_path), "--batches", "4", "--seconds", "0.001"]
    quality = ["--quality", "eager", "4", "1", "0.001"]
    assert gpu.main([*options, *quality, "--out", str(tmp_path / "gpu.csv")]) == 0
    with (tmp_path / "gpu.csv").open(newline="") as file:
        rows = [(row["network"], row["mode"].split(",")[0], row["batch"]) for row in csv.DictReader(file)]
    assert rows == [(name, mode, "4") for name in ("mlp", "conv") for mode in ("eager", "fit")] + [
        ("mlp", "eager", "4")
    ]
    assert "(to reach: 105.2) after" in capsys.readouterr().out
